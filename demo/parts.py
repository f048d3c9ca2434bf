"""The parts that the tiny model's people are composed of: DiceBear's *Pixel Art* (CC0 1.0).

`parts.png` holds a tile for each part: how bright a pixel is when the part is drawn in black, how
much brighter in white, and how much it covers. That says it for every colour, so that people are
composed without the program that drew the parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SHEET = Path(__file__).with_name("parts.png")
SIZE = 16
LONG = ("01", "02", "03", "07", "08", "09", "12", "13", "20", "21")
SHORT = ("01", "02", "08", "10", "14", "15", "16", "17", "19", "22")
PARTS = {
    "skin": ("head",),
    "clothing": tuple(
        f"variant{name}" for name in ("01", "02", "05", "06", "08", "12", "13", "23")
    ),
    "eyes": tuple(f"variant{name}" for name in ("01", "06", "07", "08")),
    "glasses": ("light01", "light02", "light03", "dark01", "dark02", "dark06"),
    "mouth": ("happy01", "happy06", "happy08", "happy13", "sad06", "sad07"),
    "hair": (*(f"long{name}" for name in LONG), *(f"short{name}" for name in SHORT)),
}
"""DiceBear's names of the parts of each kind, as they are laid on one another."""
GROUND = "e8ecf1"
COLOURS = {
    "skin": ("ffdbac", "f5cfa0", "eac393", "a26d3d", "8d5524"),
    "clothing": ("5bc0de", "428bca", "ffd969", "ffc425", "44c585", "00b159", "d11141", "ae0001"),
    "eyes": ("697b94", "588387", "876658"),
    "glasses": ("323232", "43677d"),
    "mouth": ("c98276", "e35d6a"),
    "hair": ("cab188", "83623b", "603a14", "611c17", "28150a"),
}
"""The colours of each kind, out of DiceBear's own."""


@dataclass(frozen=True)
class Layer:
    """Every part of a kind in every colour: `ink [parts, colours, 3, 16, 16]` in 0..1, already
    multiplied by what it covers, `cover [parts, 1, 16, 16]`."""

    ink: torch.Tensor
    cover: torch.Tensor


@cache
def layers() -> dict[str, Layer]:
    """The layer of each kind, in the order of `PARTS`."""
    with Image.open(SHEET, formats=["PNG"]) as sheet:
        strip = torch.from_numpy(np.asarray(sheet.convert("RGB"), dtype=np.float32) / 255)
    tiles = strip.reshape(SIZE, -1, SIZE, 3).permute(1, 3, 0, 2)
    found, start = {}, 0
    for kind, names in PARTS.items():
        dark, gain, cover = tiles[start : start + len(names)].split(1, dim=1)
        tints = torch.stack([rgb(name) for name in COLOURS[kind]])[None, :, :, None, None]
        found[kind] = Layer(dark[:, None] + gain[:, None] * tints, cover)
        start += len(names)
    return found


def rgb(name: str) -> torch.Tensor:
    """Six hexadecimal digits as `[3]` in 0..1."""
    return torch.tensor(list(bytes.fromhex(name)), dtype=torch.float32) / 255
