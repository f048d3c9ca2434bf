"""What all of Detour's pictures share: colours, letters, and the way to and from tensors."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image, ImageFont

from .bitmap_letters import BitmapLetters

PAPER = (255, 255, 255)
INK = (32, 36, 44)
SOFT_INK = (110, 118, 130)
RULE = (222, 226, 232)
ACCENT = (214, 88, 32)
"""Orange: the bypass, and pictures that it changed."""
ACCENT_WASH = (253, 238, 229)
COOL = (36, 104, 196)
"""Blue: the other direction."""

SYSTEM_FONTS = ("arial.ttf", "Arial.ttf", "LiberationSans-Regular.ttf", "DejaVuSans.ttf")
"""Of Windows, macOS and Linux."""


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own letters at `size` pixels; before 10.1 the system's, else its small ones."""
    try:
        return ImageFont.load_default(size)
    except TypeError:
        known = _system_font()
        return (
            known.font_variant(size=size)
            if known
            else BitmapLetters(size, ImageFont.load_default())
        )


@cache
def _system_font() -> ImageFont.FreeTypeFont | None:
    """The first of `SYSTEM_FONTS` that Pillow finds in the system's folders."""
    for name in SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name)
        except OSError:
            continue
    return None


def fitted(letters: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str, width: float) -> str:
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
