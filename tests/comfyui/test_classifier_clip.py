"""Classifiers fitted on the host's own CLIP vision models (tiny ones with random weights)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.usefixtures("host_folders")

CONFIG = {
    "model_type": "clip_vision_model",
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "num_channels": 3,
    "patch_size": 8,
    "image_size": 32,
    "projection_dim": 12,
}
HOST = Path(os.environ.get("COMFYUI_PATH", "."))
OWN_KINDS = (  # the configurations of all hosts; older ones lack the last two
    "clip_vision_config_g",
    "clip_vision_config_h",
    "clip_vision_config_vitl",
    "clip_vision_config_vitl_336",
    "clip_vision_config_vitl_336_llava",
    "clip_vision_siglip_384",
    "clip_vision_siglip_512",
    "image_encoders/dino2_giant",
    "image_encoders/dino2_large",
    "clip_vision_siglip2_base_naflex",
    "image_encoders/dino3_large",
)
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture
def make_clip(lab, tmp_path):
    """Makes a CLIP_VISION as the host's loader does."""

    def make(seed: int = 0, dtype: torch.dtype = torch.float32, **changes):
        import comfy.clip_vision

        config = {k: v for k, v in {**CONFIG, **changes}.items() if v is not None}
        path = tmp_path / "clip.json"
        path.write_text(json.dumps(config))
        clip = comfy.clip_vision.ClipVisionModel(path)
        lab.fill(clip.model, seed)
        clip.model.to(dtype)
        return clip

    return make


@pytest.fixture
def probes(lab):
    """Two classes in two attributes, 40 pictures of each group."""
    generator = torch.Generator().manual_seed(0)
    chained = None
    for name, red in (("warm", 0.9), ("cold", 0.1)):
        for attribute, green in (("plain", 0.2), ("leafy", 0.8)):
            images = torch.rand(40, 32, 32, 3, generator=generator) * 0.3
            images = images + 0.7 * torch.tensor([red, green, 1 - red])
            chained = lab.run_node(
                "DetourProbeImages",
                images=images,
                class_name=name,
                attribute=attribute,
                probes=chained,
            )[0]
    return chained


def prepared(clip, images):
    """Pictures as the host gives them to a model that sees one size."""
    import comfy.clip_vision

    settings = {"size": clip.image_size, "mean": clip.image_mean, "std": clip.image_std}
    return comfy.clip_vision.clip_preprocess(images, **settings).float()


def embeddings(clip, images):
    """The host's own; of a kind that gives one for each token, their mean."""
    if clip.model_type == "dinov3":  # the host's own encoding fails on it in all versions so far
        found = clip.model(pixel_values=prepared(clip, images))[2]
    else:
        found = clip.encode_image(images)["image_embeds"]
    return found.mean(dim=1) if found.ndim == 3 else found


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_every_kind_that_the_host_knows(lab, make_clip, kind):
    path = HOST / "comfy" / f"{kind}.json"
    if not path.is_file():
        assert kind in OWN_KINDS[-2:]
        pytest.skip("this host does not know it")
    told = json.loads(path.read_text())
    small = {**told, **SMALL, **({"projection_dim": 12} if "projection_dim" in told else {})}
    if "llava" in kind:  # its projection is as wide as a language model, for each patch
        small["image_size"] = 56
    clip = make_clip(**small)
    clip.model_type = told["model_type"]
    backbone = lab.pack("nodes.clip_backbone")
    hosted = backbone.unfitted_clip(clip)
    for shape in ((240, 320), (333, 251)):
        images = torch.rand(2, *shape, 3)
        theirs = embeddings(clip, images)
        assert hosted.unedited.feature_count == theirs.shape[1]
        assert torch.allclose(hosted.features(images), theirs, atol=1e-5)
        alpha = torch.cat([images, torch.rand(2, *shape, 1)], dim=3)
        assert torch.equal(hosted.features(alpha), hosted.features(images))
        if told["image_size"] > 0:  # the pictures themselves are equal to the bit
            assert torch.equal(hosted.unedited.preprocessing(images), prepared(clip, images))


def test_no_kind_is_left_out():
    folder = HOST / "comfy"
    files = [*folder.glob("clip_vision*.json"), *(folder / "image_encoders").glob("*.json")]
    known = {file.relative_to(folder).with_suffix("").as_posix() for file in files}
    assert known - set(OWN_KINDS) == set()


def test_a_flexible_head_is_saved_and_loaded(lab, make_clip, probes):
    path = HOST / "comfy" / "clip_vision_siglip2_base_naflex.json"
    if not path.is_file():
        pytest.skip("this host has no model for pictures of any size")
    clip = make_clip(**{**json.loads(path.read_text()), **SMALL})
    fitted = lab.run_node("DetourClassifierFromProbes", probes=probes, clip_vision=clip)[0]
    (saved,) = lab.run_node("DetourSaveClassifier", classifier=fitted, filename="flexible")
    again, _ = lab.run_node("DetourLoadClassifier", file=saved, clip_vision=clip)
    images = torch.rand(2, 40, 70, 3)
    assert torch.equal(again.logits(images), fitted.logits(images))


def test_heads_of_earlier_versions_see_what_they_saw(lab, make_clip, host_folders):
    """Their files know no rounding; their hash, pinned here, is made of what they know."""
    from safetensors.torch import save_file

    clip = make_clip()
    loader = lab.pack("nodes.clip_backbone")
    steps = lab.pack("detour.classifier.preprocess").Preprocessing(
        32, 32, tuple(clip.image_mean), tuple(clip.image_std), "bicubic"
    )
    model = lab.pack("detour.classifier.model")
    text = (
        f"Preprocessing(resize=32, crop=32, mean={tuple(clip.image_mean)}, "
        f"std={tuple(clip.image_std)}, interpolation='bicubic', crop_first=False)"
    )
    assert repr(steps) == text
    about = {
        "labels": ["a", "b"],
        "preprocessing": {
            "resize": 32,
            "crop": 32,
            "mean": clip.image_mean,
            "std": clip.image_std,
            "interpolation": "bicubic",
            "crop_first": False,
        },
        "backbone_hash": model.hash_backbone(loader.clip_backbone(clip), steps),
    }
    head = {"head.weight": torch.rand(2, 12), "head.bias": torch.rand(2)}
    save_file(head, host_folders / "models" / "old.safetensors", {"detour": json.dumps(about)})
    hosted, _ = lab.run_node("DetourLoadClassifier", file="old.safetensors", clip_vision=clip)
    images = torch.rand(2, 50, 90, 3)
    pixels = steps(images)
    with torch.no_grad():
        wanted = clip.model(pixel_values=pixels, intermediate_output=-2)[2]
    assert torch.equal(hosted.features(images), wanted)


def test_half_precision_weights_compute_in_float32(lab, make_clip):
    clip = make_clip(dtype=torch.float16)
    hosted = lab.pack("nodes.clip_backbone").unfitted_clip(clip)
    images = (torch.rand(3, 32, 32, 3) * 255).round() / 255
    features = hosted.features(images)
    assert features.dtype == torch.float32
    assert torch.allclose(features, clip.encode_image(images)["image_embeds"], atol=1e-5)


def test_fit_save_and_load(lab, make_clip, probes):
    clip = make_clip()
    fitted, report, _ = lab.run_node("DetourClassifierFromProbes", probes=probes, clip_vision=clip)
    assert fitted.labels == ("warm", "cold")
    assert fitted.runtime.patcher is clip.patcher
    assert "cold, leafy" in report
    images = torch.stack([probes.sources[n] for n in (0, 50, 90, 130)])
    said = lab.run_node("DetourClassify", classifier=fitted, images=images)[0].split("\n")
    assert said == ["warm", "warm", "cold", "cold"]
    (saved,) = lab.run_node("DetourSaveClassifier", classifier=fitted, filename="mood")
    again, report = lab.run_node("DetourLoadClassifier", file=saved, clip_vision=clip)
    assert "a head on CLIP vision" in report
    assert torch.equal(again.logits(images), fitted.logits(images))
    halved = make_clip(dtype=torch.float16)  # as a host with another machine loads it
    again, _ = lab.run_node("DetourLoadClassifier", file=saved, clip_vision=halved)
    assert torch.allclose(again.logits(images), fitted.logits(images), atol=1e-2)
    with pytest.raises(ValueError, match=r"another backbone than the one connected"):
        lab.run_node("DetourLoadClassifier", file=saved, clip_vision=make_clip(seed=1))
    with pytest.raises(ValueError, match=r"is a head without its backbone: connect"):
        lab.run_node("DetourLoadClassifier", file=saved)


def test_kept_features_belong_to_one_model(lab, make_clip, probes):
    clip = make_clip()
    images = torch.stack(list(probes.sources[:3]))
    inputs = {"images": images, "class_name": "warm", "attribute": "plain"}
    kept = lab.run_node("DetourProbeImages", clip_vision=clip, **inputs)[0]
    wrap = lab.pack("nodes.clip_backbone").unfitted_clip
    fitting = lab.pack("detour.search.linear_head").unfitted
    for seed, fits in ((0, True), (1, False)):
        backbone = wrap(make_clip(seed=seed))
        classifier = backbone.with_classifier(fitting(backbone.unedited, ("warm", "cold")))
        if fits:
            assert torch.allclose(classifier.probes(kept).features, backbone.features(images))
        else:
            with pytest.raises(ValueError, match=r"features of another network"):
                classifier.probes(kept)


def test_the_hash_is_computed_once_for_each_model(lab, make_clip, monkeypatch):
    clip = make_clip()
    wrap = lab.pack("nodes.clip_backbone").unfitted_clip
    first = wrap(clip).backbone_hash()
    again = wrap(clip)
    monkeypatch.setattr(type(again.unedited), "backbone_hash", lambda _: pytest.fail("again"))
    assert again.backbone_hash() == first


def test_two_backbones_are_refused(lab, make_clip, probes):
    classifier = lab.run_node("DetourLoadClassifier", file="nurse_or_builder.safetensors")[0]
    with pytest.raises(ValueError, match=r"disconnect the other"):
        lab.run_node(
            "DetourClassifierFromProbes",
            probes=probes,
            classifier=classifier,
            clip_vision=make_clip(),
        )
