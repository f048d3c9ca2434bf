"""Each image classifier of transformers sees what its own image processor would give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from colours import textured
from safetensors.torch import save
from torch import Tensor
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from detour.classifier.facts import make_preprocessing
from detour.classifier.load import load_classifier
from detour.classifier.processors import processor_steps, usual_steps

Make = Callable[..., Tensor]
SIDE = 32
_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": SIDE,
    "patch_size": 8,
}
_TOWER = {"vision_config": _VIT}
_SWIN = {
    "image_size": SIDE,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [1, 1],
    "num_heads": [2, 2],
    "window_size": 2,
}
_PYRAMID = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
_HEADS = {"num_attention_heads": [1, 1, 2, 2]}
_TWO_STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8}
_CONVNEXT = {**_TWO_STAGES, "num_stages": 2}
FAMILIES: dict[str, dict[str, object]] = {  # small networks, otherwise as the library makes them
    **dict.fromkeys(("beit", "data2vec-vision", "deit", "dinov2", "dinov2_with_registers"), _VIT),
    **dict.fromkeys(("ijepa", "vit", "vit_msn"), _VIT),
    **dict.fromkeys(("clip", "metaclip_2", "siglip"), _TOWER),
    **dict.fromkeys(("donut-swin", "swin", "swinv2"), _SWIN),
    **dict.fromkeys(("convnext", "convnextv2"), _CONVNEXT),
    "bit": {**_TWO_STAGES, "num_groups": 2},
    "cvt": {"embed_dim": [16, 32, 48], "num_heads": [1, 2, 3], "depth": [1, 2, 3]},
    "efficientformer": {
        "depths": [1, 1, 1, 1],
        "hidden_sizes": [8, 16, 16, 32],
        "dim": 32,
        "num_hidden_layers": 1,
        "key_dim": 8,
        "num_attention_heads": 2,
        "resolution": 1,
    },
    "efficientnet": {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128},
    "focalnet": {
        "image_size": SIDE,
        "patch_size": 2,
        "embed_dim": 16,
        "depths": [1, 1],
        "focal_levels": [1, 1],
        "focal_windows": [1, 1],
    },
    "hgnet_v2": {
        "stem_channels": [3, 8, 16],
        "stage_in_channels": [16, 16],
        "stage_mid_channels": [8, 8],
        "stage_out_channels": [16, 32],
        "stage_num_blocks": [1, 1],
        "stage_downsample": [False, True],
        "stage_light_block": [False, False],
        "stage_kernel_size": [3, 3],
        "stage_numb_of_layers": [1, 1],
        **_TWO_STAGES,
        "hidden_sizes": [16, 32],
    },
    "hiera": {
        "image_size": [SIDE, SIDE],
        "embed_dim": 16,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
    },
    "levit": {
        "image_size": SIDE,
        "hidden_sizes": [16, 24, 32],
        "num_attention_heads": [1, 1, 2],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
    "mobilenet_v1": {"depth_multiplier": 0.25},
    "mobilenet_v2": {"depth_multiplier": 0.25},
    "mobilevit": {
        "hidden_sizes": [16, 24, 32],
        "neck_hidden_sizes": [8, 8, 8, 16, 16, 16, 32],
    },
    "mobilevitv2": {"width_multiplier": 0.25},
    "perceiver": {
        "num_latents": 8,
        "d_latents": 16,
        "d_model": 16,
        "num_self_attends_per_block": 1,
        "num_self_attention_heads": 2,
        "num_cross_attention_heads": 2,
        "image_size": SIDE,
    },
    "poolformer": _PYRAMID,
    "pvt": {**_PYRAMID, **_HEADS, "image_size": SIDE},
    "pvt_v2": {**_PYRAMID, **_HEADS, "image_size": SIDE},
    "regnet": {**_TWO_STAGES, "groups_width": 4},
    "resnet": {**_TWO_STAGES, "layer_type": "basic"},
    "segformer": {**_PYRAMID, **_HEADS, "decoder_hidden_size": 16},
    "swiftformer": {"depths": [1, 1, 1, 1], "embed_dims": [8, 8, 16, 16]},
    "textnet": {
        "stem_out_channels": 8,
        "hidden_sizes": [8] * 5,
        "conv_layer_kernel_sizes": [[[3, 3]]] * 4,
        "conv_layer_strides": [[2]] * 4,
    },
    "van": {**_PYRAMID, "image_size": SIDE},
}
OTHERS = {  # cannot be run at all, and the sentence that says so
    "dinat": "'dinat' .*natten",
    "nat": "'nat' .*natten",
    "imagegpt": "do_color_quantize turns colours into tokens",
    "siglip2": "varying number of patches",
    "shieldgemma2": "a language model judges",
    "vit_hybrid": "'vit_hybrid'",  # transformers 4.57 fails in its own initialising
    "timm_wrapper": "load its weights by themselves",  # with a name: test_timm.py
}
UNEDITABLE = {  # run, but no single linear layer makes the logits
    "perceiver": "does not make the logits by itself",
    "swiftformer": "head",
}
CLASSES = {
    "hgnet_v2": ("RTDetrImageProcessor", "RTDetrImageProcessorFast"),
    "dinov2_with_registers": IMAGE_PROCESSOR_MAPPING_NAMES["dinov2"],
    **{k: v for k, v in IMAGE_PROCESSOR_MAPPING_NAMES.items() if k in FAMILIES and v},
}
SLOW = sorted({names[0] for names in CLASSES.values()})
FAST = sorted(
    {names[1] for names in CLASSES.values() if names[1]} | {"DINOv3ViTImageProcessorFast"}
)
Processor = transformers.BaseImageProcessor


def small_processor(name: str, side: int = SIDE, **changes) -> Processor:
    """A class of processors that gives the networks above pictures of `side` pixels."""
    kind = getattr(transformers, name)
    base = name.removesuffix("Fast").removesuffix("ImageProcessor")
    crops = getattr(kind(), "do_center_crop", None)
    larger = side + 5 if crops and base not in ("Levit", "Perceiver", "PoolFormer") else side
    shorter = "shortest_edge" in (kind().size or {})
    size = {"shortest_edge": larger} if shorter else {"height": larger, "width": larger}
    cropped = side + 5 if base == "Perceiver" else side
    values = {"size": size, "crop_size": {"height": cropped, "width": cropped}}
    known = {"crop_size", "do_resize", "do_center_crop", *kind().to_dict()}
    idle = {key: False for key in ("do_pad", "do_thumbnail")}
    values = {key: value for key, value in {**idle, **values}.items() if key in known}
    return kind(**{**values, **changes})


def make_folder(folder: Path, family: str) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    name = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES[family]
    name = name if isinstance(name, str) else name[0]
    config = transformers.AutoConfig.for_model(
        family, num_labels=3, architectures=[name], **FAMILIES[family]
    )
    network = transformers.AutoModelForImageClassification.from_config(config)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value), alpha=0.1)
    network.save_pretrained(folder)
    return network.eval()


def picture(height: int = 240, width: int = 320) -> tuple[Tensor, np.ndarray]:
    """As a host gives it, and its 8 bits."""
    images = textured(height, width)
    return images, (images[0] * 255).round().to(torch.uint8).numpy()


def theirs(processor: Processor, pixels: np.ndarray) -> Tensor:
    return processor(pixels, return_tensors="pt")["pixel_values"].float()


def ours(values: dict, images: Tensor) -> Tensor:
    return make_preprocessing(processor_steps(values)[0])(images)


def said(processor: Processor) -> dict:
    """What its file says."""
    return json.loads(processor.to_json_string())


def test_every_family_is_here() -> None:
    assert set(FAMILIES) | set(OTHERS) == set(MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_logits_of_each_family(family: str, tmp_path: Path) -> None:
    network = make_folder(tmp_path, family)
    processor = small_processor(CLASSES[family][0], 64 if family == "mobilevitv2" else SIDE)
    processor.save_pretrained(tmp_path)
    images, pixels = picture()
    wanted = theirs(processor, pixels)
    assert torch.equal(ours(said(processor), images), wanted)
    if family in UNEDITABLE:
        with pytest.raises(ValueError, match=UNEDITABLE[family]):
            load_classifier(tmp_path)
        return
    classifier = load_classifier(tmp_path)
    assert not any("is taken" in note or "are taken" in note for note in classifier.notes[:-1])
    # The same memory layout as ours: convolutions round by it.
    wanted = wanted.contiguous(memory_format=torch.channels_last)
    assert torch.equal(classifier.logits(images), network(wanted).logits)


@pytest.mark.parametrize("family", OTHERS)
def test_families_that_cannot_be_run(family: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(save({"a": torch.zeros(1)}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    slow, _ = IMAGE_PROCESSOR_MAPPING_NAMES[family]
    slow = "ViTImageProcessor" if family == "timm_wrapper" else slow
    file = {"image_processor_type": slow}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(file))
    with pytest.raises(ValueError, match=OTHERS[family]) as refusal:
        load_classifier(tmp_path)
    assert len(str(refusal.value)) <= 600


SHAPES = [(240, 320), (241, 333), (97, 40), (20, 17), (32, 32)]
ODD = SHAPES[1:4]
"""The first one is that of `test_logits_of_each_family`, the last one needs no resizing."""


@pytest.mark.parametrize("name", SLOW)
def test_slow_processors(name: str) -> None:
    processor = small_processor(name)
    for images, pixels in (picture(*shape) for shape in ODD):
        assert torch.equal(ours(said(processor), images), theirs(processor, pixels))


@pytest.mark.parametrize("name", FAST)
def test_fast_processors(name: str) -> None:
    """Theirs takes 255 mean from 0..255, ours mean from 0..1: float32 rounds otherwise."""
    processor = small_processor(name)
    for images, pixels in (picture(*shape) for shape in SHAPES):
        torch.testing.assert_close(
            ours(said(processor), images), theirs(processor, pixels), rtol=0, atol=1e-6
        )


WAYS = [
    ("ViT", {"do_resize": False}),
    ("ViT", {"size": {"height": 20, "width": 41}}),
    ("ViT", {"image_mean": 0.5, "image_std": 0.25}),
    ("ViT", {"do_normalize": False}),
    ("ViT", {"do_rescale": False}),
    ("ViT", {"do_rescale": False, "do_normalize": False}),
    ("ViT", {"do_rescale": False, "image_mean": [120.0] * 3, "image_std": [60.0] * 3}),
    ("ViT", {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3}),
    ("ViT", {"do_center_crop": True, "crop_size": {"height": 20, "width": 20}}),
    ("Beit", {"do_center_crop": False}),
    ("Bit", {"size": {"height": 40, "width": 50}}),
    ("CLIP", {"use_square_size": True}),
    ("CLIP", {"crop_size": {"height": 45, "width": 20}}),
    ("ConvNext", {"size": {"shortest_edge": 384}}),
    ("ConvNext", {"crop_pct": 0.6}),
    ("EfficientNet", {"do_center_crop": True, "crop_size": {"height": 25, "width": 25}}),
    ("EfficientNet", {"include_top": False, "image_std": [0.3, 0.2, 0.1]}),
    ("EfficientNet", {"include_top": True, "image_std": [0.3, 0.2, 0.1]}),
    ("EfficientNet", {"rescale_offset": True, "rescale_factor": 1 / 127.5}),
    ("EfficientNet", {"rescale_offset": True, "do_normalize": False, "include_top": False}),
    ("Levit", {"size": {"height": 40, "width": 50}}),
    ("MobileViT", {"do_flip_channel_order": False}),
    ("PoolFormer", {"crop_pct": None}),
    ("PoolFormer", {"size": {"height": 33, "width": 44}}),
    ("PoolFormer", {"size": {"height": 33, "width": 33}}),
    ("Perceiver", {"do_center_crop": False}),
    ("TextNet", {"size_divisor": 20, "do_center_crop": True}),
]


@pytest.mark.parametrize("fast", ["", "Fast"])
@pytest.mark.parametrize(("base", "changes"), WAYS)
def test_switches(base: str, changes: dict, fast: str) -> None:
    images, pixels = picture()
    name = f"{base}ImageProcessor{fast}"
    if fast and "use_square_size" in changes:
        pytest.skip("the fast one has no such switch")
    processor = small_processor(name, **changes)
    # Scales and offsets are folded into mean and std; colours in 0..255 reach far.
    reach = 255 if changes.get("do_rescale") is False else 4
    found, wanted = ours(said(processor), images), theirs(processor, pixels)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=reach * 1e-5)


@pytest.mark.parametrize("resample", range(6))
@pytest.mark.parametrize("name", ["ViTImageProcessor", "BitImageProcessor"])
def test_every_kind_of_resampling(name: str, resample: int) -> None:
    for shape in SHAPES:
        images, pixels = picture(*shape)
        processor = small_processor(name, resample=resample)
        assert torch.equal(ours(said(processor), images), theirs(processor, pixels))
    fast = small_processor(f"{name}Fast", resample=resample)
    if resample in (0, 2, 3):
        torch.testing.assert_close(
            ours(said(fast), images), theirs(fast, pixels), rtol=0, atol=1e-6
        )
    else:  # torchvision cannot either
        with pytest.raises(ValueError, match=r"interpolation '.*' is unknown"):
            ours(said(fast), images)


def test_longest_edge() -> None:
    for shape in (*SHAPES, (400, 100), (100, 400)):
        images, pixels = picture(*shape)
        size = {"shortest_edge": 40, "longest_edge": 60}
        processor = transformers.ViTImageProcessorFast(size=size)
        torch.testing.assert_close(
            ours(said(processor), images), theirs(processor, pixels), rtol=0, atol=1e-6
        )


OLD_FILES = [
    {"feature_extractor_type": "ViTFeatureExtractor", "size": 32, "resample": 2},
    {"feature_extractor_type": "DeiTFeatureExtractor", "size": 40, "crop_size": 32},
    {"feature_extractor_type": "BeitFeatureExtractor", "size": 40, "crop_size": 32},
    {"feature_extractor_type": "CLIPFeatureExtractor", "size": 40, "crop_size": 32},
    {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 32, "crop_pct": 0.875},
    {"feature_extractor_type": "LevitFeatureExtractor", "size": 32, "crop_size": 32},
    {"feature_extractor_type": "MobileViTFeatureExtractor", "size": 40, "crop_size": 32},
    {"feature_extractor_type": "PoolFormerFeatureExtractor", "size": 32, "crop_size": 32},
    {"image_processor_type": "ViTImageProcessor", "size": [30, 40]},
    {"image_processor_type": "ViTImageProcessorFast", "size": 32},
    {"image_processor_type": "SiglipImageProcessorFast", "size": 32},
    {"image_processor_type": "ViTImageProcessor", "image_mean": None, "image_std": None},
    {"image_processor_type": "BeitImageProcessor"},
    {"image_processor_type": "BeitImageProcessorFast"},
]


@pytest.mark.parametrize("values", OLD_FILES)
def test_files_that_say_little(values: dict) -> None:
    images, pixels = picture()
    name = values.get("image_processor_type", values.get("feature_extractor_type"))
    kind = getattr(transformers, name.replace("FeatureExtractor", "ImageProcessor"))
    torch.testing.assert_close(
        ours(values, images), theirs(kind(**values), pixels), rtol=0, atol=1e-6
    )
    _, notes = processor_steps(values)
    assert "image_mean" in " ".join(notes) or "MobileViT" in name
    assert (" size," in " ".join(notes)) == ("size" not in values)


@pytest.mark.parametrize("family", sorted(set(CLASSES) - {"donut-swin"}))
def test_files_and_folders_that_name_no_processor(family: str) -> None:
    steps, notes = usual_steps({"model_type": family, "image_size": 40})
    assert "no preprocessor_config.json" in notes[0]
    if family == "hgnet_v2":  # transformers itself names none
        with pytest.raises(ValueError, match=r"image_processor_type '' .* is not known here"):
            processor_steps({}, family)
        return
    if "resize_multiple" not in steps:
        assert make_preprocessing(steps).input_size == (40, 40)
    values = said(small_processor(CLASSES[family][0]))
    del values["image_processor_type"]
    named, (note,) = processor_steps(values, family)
    assert named == processor_steps(said(small_processor(CLASSES[family][0])))[0]
    assert f"{CLASSES[family][0]}, that of {family}, is taken" in note


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"do_sharpen": True}, "do_sharpen switched on"),
        ({"image_processor_type": "BlipImageProcessor"}, "'BlipImageProcessor' .* not known here"),
        ({"image_processor_type": "evil.Processor"}, "'evil.Processor' .* not known here"),
        ({"image_processor_type": "x" * 9000}, "not known here"),
        ({"image_processor_type": "DonutImageProcessor"}, "do_thumbnail switched on"),
        (
            {"image_processor_type": "ViTImageProcessorFast", "do_pad": True, "pad_size": 9},
            "do_pad",
        ),
        ({"size": {"longest_edge": 30}}, "size .*longest_edge.* cannot be used"),
        ({"size": {"max_height": 30, "max_width": 30}}, "size .*max_height.* cannot be used"),
        ({"size": "big"}, "size 'big' .* cannot be used"),
        ({"size": True}, "size True .* cannot be used"),
        ({"size": {"height": 10**9, "width": 1}}, "resize .*cannot be used"),
        ({"resample": 9}, "resample 9"),
        ({"resample": "cubic"}, "resample 'cubic'|resample cubic"),
        ({"image_mean": [1, 2]}, "image_mean .* three numbers"),
        ({"image_std": "wide"}, "image_std 'wide' .* three numbers"),
        ({"rescale_factor": "x"}, "rescale_factor 'x'"),
        ({"image_processor_type": "PoolFormerImageProcessor", "crop_pct": 0}, "crop_pct 0"),
    ],
)
def test_what_is_refused(changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refusal:
        make_preprocessing(
            processor_steps({"image_processor_type": "ViTImageProcessor", **changes})[0]
        )
    assert len(str(refusal.value)) <= 600


def test_slow_processors_by_their_name_in_transformers_5() -> None:
    values = said(small_processor("LevitImageProcessor"))
    named = {**values, "image_processor_type": "LevitImageProcessorPil"}
    assert processor_steps(named) == processor_steps(values)


def test_switches_that_do_nothing_are_named() -> None:
    values = said(small_processor("ViTImageProcessor"))
    assert processor_steps(values)[1] == ()
    plain = processor_steps(values)[0]
    steps, (note,) = processor_steps({**values, "do_center_crop": True, "crop_size": 9})
    assert steps == plain
    assert note.startswith("do_center_crop in preprocessor_config.json: passed over")
