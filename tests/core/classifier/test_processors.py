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
from transformers_families import (
    CLASSES,
    FAMILIES,
    FAST,
    OTHERS,
    SLOW,
    UNEDITABLE,
    Processor,
    make_folder,
    small_processor,
)

from detour.classifier.facts import make_preprocessing
from detour.classifier.load import load_classifier
from detour.classifier.processors import processor_steps, usual_steps

Make = Callable[..., Tensor]


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
    network, processor = make_folder(tmp_path, family)
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
