"""Classifiers fitted on the host's own CLIP vision models (tiny ones with random weights)."""

from __future__ import annotations

import json

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
KINDS = {
    "clip": {},
    "without_projection": {"projection_dim": None},
    "siglip": {"model_type": "siglip_vision_model", "projection_dim": None},
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


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_the_hosts_embeddings(lab, make_clip, kind):
    clip = make_clip(**KINDS[kind])
    hosted = lab.pack("nodes.clip_backbone").unfitted_clip(clip)
    images = torch.rand(3, 32, 32, 3)
    wanted = clip.encode_image(images)["image_embeds"]
    wanted = wanted.mean(dim=1) if wanted.ndim == 3 else wanted
    # The host rounds pictures to 8 bits first, we do not.
    rounded = (images * 255).round() / 255
    assert torch.allclose(hosted.features(rounded), wanted, atol=1e-5)
    assert hosted.features(images).shape == (3, 12 if kind == "clip" else 16)
    assert hosted.features(torch.rand(1, 90, 50, 4)).shape[0] == 1


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
    assert fitted.patcher is clip.patcher
    assert "cold, leafy" in report
    images = torch.stack([probes.sources[n] for n in (0, 50, 90, 130)])
    said = lab.run_node("DetourClassify", classifier=fitted, images=images)[0].split("\n")
    assert said == ["warm", "warm", "cold", "cold"]
    (saved,) = lab.run_node("DetourSaveClassifier", classifier=fitted, filename="mood")
    again, report = lab.run_node("DetourLoadClassifier", file=saved, clip_vision=clip)
    assert "a head on CLIP vision" in report
    assert torch.equal(again.logits(images), fitted.logits(images))
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
    fitting = lab.pack("detour.probing").unfitted
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
    classifier = lab.run_node("DetourLoadClassifier", file="coloured_digits.safetensors")[0]
    with pytest.raises(ValueError, match=r"disconnect the other"):
        lab.run_node(
            "DetourClassifierFromProbes",
            probes=probes,
            classifier=classifier,
            clip_vision=make_clip(),
        )
