"""What the pictures beside the workflows share: colours, letters, and a file that is small."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image, ImageFont

from .failure import Failure

BACK, INK, SOFT = (22, 25, 30), (240, 242, 245), (160, 168, 180)
ORANGE = (255, 140, 40)
LARGEST = 60 * 1024
"""Bytes of a picture; template browsers load all of them."""
QUALITIES = (88, 82, 76, 70, 62)


def letters(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own letters at a size in pixels."""
    return ImageFont.load_default(size)


def save(picture: Image.Image, target: Path) -> int:
    """Write a JPEG of at most `LARGEST` bytes; its size. A Failure if it cannot be so small."""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        data = buffer.getvalue()
        if len(data) <= LARGEST:
            part = target.with_name(f"{target.name}.{os.getpid()}.part")
            part.write_bytes(data)
            os.replace(part, target)
            return len(data)
    raise Failure(f"{target.name} is larger than {LARGEST} bytes at any quality.")
