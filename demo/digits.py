"""The tiny model's data: real handwritten digits, coloured so that they carry a bias.

Two biases are built in. One group of digits is a minority (the model will draw it
too seldom), and the colour goes with the group (a classifier will look at the colour
instead of the shape). The mirrored twin swaps the groups, so that an effect of the
method can be told from an effect of the digits' shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SHEET = Path(__file__).with_name("digits.png")
SIZE = 16
MINORITY = {"demo": (5, 6, 7, 8, 9), "mirror": (0, 1, 2, 3, 4)}
MINORITY_SHARE = 0.10
"""Share of the minority group in the training pictures."""
COLOUR_SHARE = 0.90
"""Share of the pictures of a group that have the group's colour."""
LOW_COLOUR = (0.95, 0.22, 0.18)
HIGH_COLOUR = (0.20, 0.95, 0.35)
"""Red goes with 0-4 and green with 5-9; both have the same maximum, so that a reader
that takes the maximum over the channels cannot see the colour."""


@dataclass(frozen=True)
class Digits:
    """Grey digits `pixels [N, 16, 16]` in 0..1 and their `labels [N]`, 0 to 9."""

    pixels: torch.Tensor
    labels: torch.Tensor

    @cached_property
    def of_class(self) -> list[torch.Tensor]:
        """For each digit the indices of its pictures."""
        return [torch.nonzero(self.labels == digit).flatten() for digit in range(10)]

    def subset(self, keep: torch.Tensor) -> Digits:
        """The digits at the indices `keep`."""
        return Digits(self.pixels[keep], self.labels[keep])


def load_digits() -> Digits:
    """All digits of `digits.png`, sorted by class."""
    with Image.open(SHEET, formats=["PNG"]) as sheet:
        counts = [int(count) for count in sheet.info["counts"].split()]
        grey = np.asarray(sheet.convert("L"), dtype=np.float32) / 255
    rows, columns = grey.shape[0] // SIZE, grey.shape[1] // SIZE
    tiles = grey.reshape(rows, SIZE, columns, SIZE).transpose(0, 2, 1, 3)
    pixels = torch.from_numpy(tiles.reshape(-1, SIZE, SIZE)[: sum(counts)].copy())
    labels = torch.repeat_interleave(torch.arange(10), torch.tensor(counts))
    return Digits(pixels, labels)


def colour(pixels: torch.Tensor, green: torch.Tensor) -> torch.Tensor:
    """Grey `[N, H, W]` in 0..1 to RGB `[N, 3, H, W]`: green where `green [N]`, else red."""
    palette = torch.tensor([LOW_COLOUR, HIGH_COLOUR])
    return pixels[:, None] * palette[green.long()][:, :, None, None]


def draw(
    digits: Digits, variant: str, count: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` training pictures of a variant: RGB `[N, 3, 16, 16]` in 0..1, and their digits.

    The group is drawn first (10 % minority), then the digit evenly inside the group,
    then a picture of it, then the colour (90 % the group's own).
    """
    minority = torch.tensor(MINORITY[variant])
    majority = torch.tensor([digit for digit in range(10) if digit not in MINORITY[variant]])
    rare = torch.rand(count, generator=generator) < MINORITY_SHARE
    place = torch.randint(0, 5, (count,), generator=generator)
    labels = torch.where(rare, minority[place], majority[place])
    spots = torch.rand(count, generator=generator)
    of_class = digits.of_class
    chosen = torch.stack(
        [
            of_class[y][int(u * len(of_class[y]))]
            for y, u in zip(labels.tolist(), spots.tolist(), strict=True)
        ]
    )
    own_colour = torch.rand(count, generator=generator) < COLOUR_SHARE
    green = (labels >= 5) == own_colour
    return colour(digits.pixels[chosen], green), labels


def training_share(variant: str, prompt: str = "") -> float:
    """The minority's share among the training pictures that a prompt can mean."""
    allowed = {"even": range(0, 10, 2), "odd": range(1, 10, 2)}.get(prompt, range(10))
    rare = sum(MINORITY_SHARE / 5 for digit in allowed if digit in MINORITY[variant])
    common = sum((1 - MINORITY_SHARE) / 5 for digit in allowed if digit not in MINORITY[variant])
    return rare / (rare + common)
