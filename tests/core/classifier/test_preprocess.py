"""Preprocessing equals torchvision's, for every kind of picture that a host may give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.functional import InterpolationMode

from detour.classifier.preprocess import Preprocessing

Make = Callable[..., Tensor]


@pytest.mark.parametrize("size", [(20, 24), (300, 40), (224, 224), (31, 500)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_equal_to_torchvision(pictures: Make, size: tuple[int, int], interpolation: str) -> None:
    ours = Preprocessing(40, 32, interpolation=interpolation)
    images = pictures(2, *size)
    resize = v2.Resize(40, InterpolationMode(interpolation), antialias=True)
    theirs = v2.CenterCrop(32)(resize(images.permute(0, 3, 1, 2))).clamp(0, 1)
    assert torch.equal(ours(images), v2.functional.normalize(theirs, ours.mean, ours.std))
    plain = Preprocessing(40, 32, (0.0,) * 3, (1.0,) * 3, interpolation)
    assert torch.equal(plain(images), theirs)


def test_crop_first_and_exact_sizes(pictures: Make) -> None:
    images = pictures(1, 218, 178)
    celeba = Preprocessing(224, 178, (0.0,) * 3, (1.0,) * 3, crop_first=True)
    cropped = images[:, 20:198].permute(0, 3, 1, 2)
    assert torch.equal(celeba(images), v2.functional.resize(cropped, [224], antialias=True))
    assert celeba.input_size == (224, 224)
    waterbirds = Preprocessing((256, 256), 224)
    assert waterbirds(images).shape == (1, 3, 224, 224)
    assert Preprocessing((20, 30), None)(images).shape == (1, 3, 20, 30)
    assert Preprocessing(None, None)(images).shape == (1, 3, 218, 178)


def test_alpha_grey_and_whole_numbers(pictures: Make) -> None:
    rgb = pictures(2)
    step = Preprocessing(16, 16)
    with_alpha = torch.cat([rgb, torch.rand(2, 20, 24, 1)], dim=3)
    assert torch.equal(step(with_alpha), step(rgb))
    grey = rgb[..., :1]
    assert torch.equal(step(grey), step(grey.expand(-1, -1, -1, 3)))
    assert torch.equal(step(rgb[..., :2]), step(grey))
    for dtype, whole in ((torch.uint8, 255), (torch.uint16, 65535)):
        numbers = (rgb * whole).round().to(dtype)
        assert torch.equal(step(numbers), step(numbers.float() / whole))
    assert step(rgb.half()).dtype == torch.float32


@pytest.mark.parametrize("step", [Preprocessing(16, 16), Preprocessing(None, None)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_one_layout_and_the_pictures_are_left_alone(
    pictures: Make, step: Preprocessing, channels: int
) -> None:
    images = pictures(2, channels=channels)
    before = images.clone()
    assert step(images).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


def test_one_pixel_and_huge_pictures() -> None:
    step = Preprocessing(16, 16, (0.0,) * 3, (1.0,) * 3)
    assert torch.allclose(step(torch.full((1, 1, 1, 3), 0.25)), torch.tensor(0.25))
    huge = torch.zeros(2, 3000, 4000, 3, dtype=torch.uint8) + 51
    assert torch.allclose(step(huge), torch.tensor(0.2))
    with pytest.raises(ValueError, match="nearer to a square"):
        Preprocessing()(torch.zeros(1, 1, 50_000, 3))


@pytest.mark.parametrize("arithmetic", ["float", "rounded", "bytes", "pillow"])
def test_order_of_colours_and_border(pictures: Make, arithmetic: str) -> None:
    images = (pictures(2, 20, 24) * 255).round() / 255
    border = (51 / 255, 102 / 255, 1.0)
    plain = Preprocessing(None, 30, arithmetic=arithmetic, crop_border=border)
    seen = plain(images)
    wanted = torch.tensor(border).view(1, 3, 1, 1).repeat(2, 1, 30, 30)
    wanted[..., 5:25, 3:27] = images.permute(0, 3, 1, 2)
    assert torch.equal(seen, v2.functional.normalize(wanted, plain.mean, plain.std))
    turned = dataclasses.replace(plain, bgr=True)(images)
    assert torch.equal(turned, seen.flip(1))
    assert turned.is_contiguous(memory_format=torch.channels_last)
    assert plain.input_size == (30, 30)


@pytest.mark.parametrize("arithmetic", ["bytes", "pillow"])
def test_whole_numbers_hide_nothing(pictures: Make, arithmetic: str) -> None:
    step = Preprocessing(16, 16, arithmetic=arithmetic)
    images = pictures(3)
    bits = (images * 255).round().to(torch.uint8)
    assert torch.equal(step(bits), step(bits / 255))
    images[1, 10, 10, 0] = float("nan")
    with pytest.raises(ValueError, match="Picture 2 of 3 holds NaN"):
        step(images)
    with pytest.raises(ValueError, match=r"divide 0\.\.255 by 255"):
        step(torch.full((1, 10, 10, 3), 255.0))


def test_sizes_that_keep_proportions() -> None:
    wide = torch.zeros(1, 30, 60, 3)
    for fit, size in (("exact", (20, 20)), ("cover", (20, 40)), ("inside", (10, 20))):
        step = Preprocessing((20, 20), None, resize_fit=fit)
        assert step(wide).shape[2:] == size
        assert step.input_size == (20, 20)
    assert Preprocessing(20, None, resize_longest=30)(wide).shape[2:] == (15, 30)
    multiple = Preprocessing(20, None, resize_multiple=16)
    assert multiple(wide).shape[2:] == (32, 48)
    assert multiple.input_size == (32, 32)
    share = Preprocessing((8, 8), None, crop_share=(0.5, 0.5))
    assert torch.equal(share(wide), Preprocessing((8, 8), 15, crop_first=True)(wide))


def test_the_text_that_hashes_of_saved_heads_are_made_of() -> None:
    text = (
        "Preprocessing(resize=256, crop=224, mean=(0.485, 0.456, 0.406), "
        "std=(0.229, 0.224, 0.225), interpolation='bilinear', crop_first=False)"
    )
    assert repr(Preprocessing()) == text
    assert repr(Preprocessing(bgr=True)) == f"{text[:-1]}, bgr=True)"


def test_empty_batch() -> None:
    assert Preprocessing()(torch.zeros(0, 10, 10, 3)).shape == (0, 3, 224, 224)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (torch.zeros(10, 10, 3), r"\[10, 10, 3\]"),
        (torch.zeros(1, 10, 10, 5), "5 channels"),
        (torch.zeros(1, 3, 224, 224), "224 channels"),
        (torch.zeros(1, 0, 10, 3), "empty"),
        (torch.zeros(1, 10, 10, 3, dtype=torch.int64), "int64"),
        (torch.full((1, 10, 10, 3), 255.0), "divide 0..255 by 255"),
        (torch.full((1, 10, 10, 3), -1.0), "move -1..1 to 0..1"),
        (np.zeros((1, 10, 10, 3)), "ndarray"),
    ],
)
def test_what_are_no_pictures(images: Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Preprocessing()(images)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_broken_pictures_are_named(pictures: Make, value: float) -> None:
    images = pictures(3)
    images[1, 10, 10, 0] = value
    with pytest.raises(ValueError, match="Picture 2 of 3 holds NaN"):
        Preprocessing(16, 16)(images)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"resize": 0}, "resize 0"),
        ({"resize": 100_000}, "resize 100000"),
        ({"crop": (1, 2, 3)}, "crop"),
        ({"crop": 2.5}, "crop 2.5"),
        ({"mean": (0.5,)}, "three numbers"),
        ({"mean": (0.5, 0.5, float("nan"))}, "three numbers"),
        ({"std": (1.0, 1.0, 0.0)}, "above 0"),
        ({"interpolation": "magic"}, "'magic' is unknown"),
        ({"interpolation": "lanczos"}, "'lanczos' is unknown"),
        ({"arithmetic": "exact"}, "arithmetic 'exact' is unknown"),
        ({"resize_fit": "wide"}, "resize_fit 'wide' is unknown"),
        ({"crop_centring": 1}, "crop_centring 1 is unknown"),
        ({"resize_longest": -1}, "resize_longest -1"),
        ({"resize_multiple": 0}, "resize_multiple 0"),
        ({"crop_share": (0.5,)}, "crop_share"),
        ({"crop_share": (0.5, 7.0)}, "crop_share"),
        ({"crop_border": (0.5,)}, "crop_border .* three numbers"),
        ({"bgr": 1}, "bgr 1 must be true or false"),
    ],
)
def test_impossible_preprocessing(values: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Preprocessing(**values)
