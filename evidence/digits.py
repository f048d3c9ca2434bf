"""Real handwritten digits, coloured so that they carry a bias: the colour goes with the group, so
that a classifier looks at the colour instead of the shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SHEET = Path(__file__).with_name("digits.png")
SIZE = 16
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
