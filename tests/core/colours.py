"""A classifier whose features are easy to know, and probes to go with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from detour.classifier.facts import Description
from detour.classifier.model import ImageClassifier
from detour.classifier.preprocess import Preprocessing
from detour.probes.probe_set import ProbeSet, batch_probes

RAW = Preprocessing((4, 4), None, mean=(0.0,) * 3, std=(1.0,) * 3)


class MeanColour(nn.Module):
    """A backbone whose three features are the mean red, green and blue."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale), requires_grad=False)

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.mean(dim=(2, 3)) * self.scale


def colour_classifier(labels=("red", "blue"), scale: float = 1.0, **about) -> ImageClassifier:
    """Class 0 likes red, class 1 blue, others nothing."""
    weight = torch.zeros(len(labels), 3)
    weight[0, 0] = 1.0
    if len(labels) > 1:
        weight[1, 2] = 1.0
    description = Description(tuple(labels), preprocessing=RAW, **about)
    return ImageClassifier(MeanColour(scale), weight, torch.zeros(len(labels)), description)


def even(red: float, green: float, blue: float, count: int = 1, size: int = 4) -> Tensor:
    """Pictures `[count, size, size, 3]` of one colour."""
    return torch.tensor([red, green, blue]).expand(count, size, size, 3).clone()


def textured(height: int = 240, width: int = 320) -> Tensor:
    """`[1, H, W, 3]` of whole 255ths: large shapes and fine ones, in many colours."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noise = torch.rand(1, 3, height, width, generator=generator)
    bits = ((0.7 * smooth + 0.3 * noise).clamp(0, 1) * 255).round().to(torch.uint8)
    return bits.permute(0, 2, 3, 1) / 255


@pytest.fixture
def classifier() -> ImageClassifier:
    """Two classes, red and blue."""
    return colour_classifier()


@pytest.fixture
def four_groups() -> ProbeSet:
    """Two pictures of each of four groups; green stands for the spurious feature."""
    chained = None
    for name, colour in (("red", (0.8, 0.0, 0.1)), ("blue", (0.1, 0.0, 0.8))):
        for attribute, green in (("green", 0.7), ("no green", 0.0)):
            images = even(colour[0], green, colour[2], count=2)
            images[1, 0, 0] += 1e-3  # another picture
            made = batch_probes(images, name, attribute, 5)
            chained = made if chained is None else chained.chain(made)
    assert chained is not None
    return chained


@pytest.fixture
def write_picture(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small picture of one colour below the test's folder."""

    def write(name: str, colour=(200, 0, 0), size=(6, 5), mode="RGB") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, colour).save(path)
        return path

    return write


@pytest.fixture
def make_classifier() -> Callable[..., ImageClassifier]:
    """`colour_classifier`, for tests that need other labels."""
    return colour_classifier
