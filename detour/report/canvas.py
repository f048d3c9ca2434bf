"""What all of Detour's pictures share: colours, letters, and the way to and from tensors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

PAPER = (255, 255, 255)
INK = (32, 36, 44)
SOFT_INK = (110, 118, 130)
RULE = (222, 226, 232)
ACCENT = (214, 88, 32)
"""Orange: the bypass, and pictures that it changed."""
ACCENT_WASH = (253, 238, 229)
COOL = (36, 104, 196)
"""Blue: the other direction."""


def to_pictures(images: torch.Tensor) -> list[Image.Image]:
    """IMAGE `[B, H, W, C]` in 0..1 (grey, RGB or RGBA) to a list of RGB pictures.

    Alpha is dropped and grey expanded. Raises ValueError for another shape or for NaN.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"An image batch has the shape [pictures, height, width, channels], but this one is "
            f"{tuple(images.shape)}."
        )
    if not torch.isfinite(images).all():
        raise ValueError(
            "The image batch holds values that are not numbers (NaN or infinite): the pictures "
            "broke before they came here, often by half precision in the VAE."
        )
    rgb = images[..., :3].expand(*images.shape[:3], 3)
    bytes_ = (rgb.float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return [Image.fromarray(np.ascontiguousarray(picture)) for picture in bytes_]


def to_images(picture: Image.Image) -> torch.Tensor:
    """A picture as an IMAGE batch of one: `[1, H, W, 3]` in 0..1."""
    return torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255)[None]


SYSTEM_FONTS = ("arial.ttf", "Arial.ttf", "LiberationSans-Regular.ttf", "DejaVuSans.ttf")
"""Of Windows, macOS and Linux: Latin with accents, Greek, Cyrillic."""
WIDE_FONTS = (
    "msyh.ttc",
    "malgun.ttf",
    "Arial Unicode.ttf",
    "Hiragino Sans GB.ttc",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
)
"""Of the same systems: Chinese, Japanese or Korean beside Latin."""
Letters = ImageFont.FreeTypeFont | ImageFont.ImageFont
NO_CHARACTER = "\uffff"
"""Never a letter: a font draws its sign for a missing one."""


def font(size: int, text: str = "") -> Letters:
    """Letters at `size` pixels for `text`.

    Pillow's own, which know ASCII and little else; for other text those of this machine's fonts
    that lack the fewest of its letters. Before Pillow 10.1 the machine's, else Pillow's small ones.
    """
    best, fewest = None, len(text) + 1
    for letters in _known_letters(size):
        lacking = _lacking(letters, text)
        if lacking < fewest:
            best, fewest = letters, lacking
        if not lacking:
            break
    return best or BitmapLetters(size, ImageFont.load_default())


def _known_letters(size: int) -> Iterator[Letters]:
    """Pillow's own (from 10.1 on), then those of the machine, each looked for when asked for."""
    try:
        yield ImageFont.load_default(size)
    except TypeError:
        pass
    for name in (*SYSTEM_FONTS, *WIDE_FONTS):
        known = _system_font(name)
        if known:
            yield known.font_variant(size=size)


@cache
def _system_font(name: str) -> ImageFont.FreeTypeFont | None:
    """A font of the system's folders by its file's name."""
    try:
        return ImageFont.truetype(name)
    except OSError:
        return None


def _lacking(letters: Any, text: str) -> int:
    """How many different letters of the text the font has no picture for.

    letters: of any type, since Pillow's stubs do not know that a mask has bytes.
    """
    if text.isascii():
        return 0
    missing = bytes(letters.getmask(NO_CHARACTER))
    return sum(bytes(letters.getmask(letter)) == missing for letter in set(text))


def fitted(letters: Letters, text: str, width: float) -> str:
    """The text; where it is wider than `width` pixels its middle becomes an ellipsis, so that
    names which differ at the end only stay apart."""
    if letters.getlength(text) <= width:
        return text
    shown, cut = "…", len(text)
    kept = 0
    while cut - kept > 1:  # as many letters as fit, by halving: a name may be of any length
        middle = (kept + cut) // 2
        short = text[: middle - middle // 2] + "…" + text[len(text) - middle // 2 :]
        if letters.getlength(short) <= width:
            shown, kept = short, middle
        else:
            cut = middle
    return shown


LINE = 11
"""Pixels from line to line of Pillow's small letters."""
FINER = 4
"""Enlarged so often first and then made smaller, they keep their edges."""


class BitmapLetters(ImageFont.FreeTypeFont):
    """Pillow's small letters, enlarged to lines of `size` pixels; drawn like a font of any size,
    anchors included. What is not in Latin-1 becomes "?".
    """

    def __init__(self, size: float, small: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> None:
        self.scale = size / LINE
        self.small = small

    def getlength(self, text: str | bytes, *_args: Any, **_kwargs: Any) -> float:
        """Width of a line in pixels."""
        return self.small.getlength(_drawable(text)) * self.scale

    def getbbox(self, text: str | bytes, *_args: Any, **_kwargs: Any) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of a line in pixels."""
        left, top, right, bottom = self.small.getbbox(_drawable(text))
        scaled = [round(value * self.scale) for value in (left, top, right, bottom)]
        return scaled[0], scaled[1], scaled[2], scaled[3]

    def getmask2(
        self,
        text: str | bytes,
        mode: str = "",
        direction: str | None = None,
        features: Any = None,
        language: str | None = None,
        stroke_width: float = 0,
        anchor: str | None = None,
        *_args: Any,
        **_kwargs: Any,
    ) -> tuple[Any, tuple[int, int]]:
        """The line as Pillow wants it: its mask, and where that lies from the given point."""
        line = _drawable(text)
        _, _, width, height = self.small.getbbox(line)
        small = Image.new("L", (max(1, round(width)), max(1, round(height))))
        ImageDraw.Draw(small).text((0, 0), line, 255, self.small)
        size = max(1, round(small.width * self.scale)), max(1, round(small.height * self.scale))
        fine = small.resize((small.width * FINER, small.height * FINER), Image.Resampling.NEAREST)
        mask = fine.resize(size, Image.Resampling.BICUBIC)
        across, down = anchor or "la"
        left = {"l": 0.0, "m": 0.5, "r": 1.0}[across] * size[0]
        top = {"a": 0.0, "m": 0.5, "d": 1.0}[down] * size[1]
        return mask.im, (-round(left), -round(top))


def _drawable(text: str | bytes) -> str:
    words = text.decode("latin-1") if isinstance(text, bytes) else text
    return words.replace("…", "..").encode("latin-1", "replace").decode("latin-1")
