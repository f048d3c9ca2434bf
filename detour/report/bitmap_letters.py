"""Letters of any size where Pillow (before 10.1) has its own in one small size only."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageDraw, ImageFont

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
