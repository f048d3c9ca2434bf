"""What all of Detour's pictures share: colours, and the way to and from tensors."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

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
