"""Picture files to tensors in the layout of image hosts."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from .checks import quoted, shortened
from .files import open_file

FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "TIFF",
    "JPEG2000",
    "PPM",
    "QOI",
    "TGA",
)
"""The formats of pictures, by Pillow's names, that are read. No others: Pillow would start
Ghostscript for an EPS of any name."""
LARGEST_PIXELS = 2**26
"""Pixels of one picture, from its header, before anything is decoded (8,192 x 8,192)."""
LARGEST_FILE = 2**29
_SIXTEEN_BIT = 65535
_STRIP = 2**20
"""Pixels that are made floats at a time."""
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation to what turns the picture upright."""
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on damaged files, format by format."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_WORDS = (b"iCCP", b"tEXt", b"zTXt", b"iTXt")
"""Parts of a PNG that say nothing of its pixels, and that Pillow refuses from 1 MiB on."""
_PNG_EXIF = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
"""But these, as other programs write EXIF, may say which side is up."""
_LARGEST_EXIF = 2**16


def readable_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def picture_endings() -> tuple[str, ...]:
    """The endings of picture files, small letters, that this Pillow can read."""
    known, endings = readable_formats(), sorted(Image.registered_extensions().items())
    return tuple(ending for ending, name in endings if name in known)


def read_image(path: Path | str) -> Tensor:
    """The picture in a file: `[1, H, W, 3]`, float32 in 0..1, turned upright.

    Grey is expanded, alpha dropped, 16 bits are kept; of an animation the first frame.
    Raises FileNotFoundError, or ValueError for what is no picture, or damaged, or too large.
    """
    path = Path(path)
    with _file(path) as file:
        return _decoded(file, path.name)


def decode_image(data: bytes, name: str) -> Tensor:
    """The picture in the bytes of a file, as `read_image`; `name` is for the error's sentence."""
    return _decoded(io.BytesIO(data), name)


def check_image(path: Path | str) -> None:
    """Look at the beginning of a picture file only; raises as `read_image` does."""
    path = Path(path)
    with _file(path) as file, _opened(file, path.name, whole=False):
        pass


@contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    if not path.exists():
        raise FileNotFoundError(f"There is no picture {quoted(str(path))}: check the name.")
    with open_file(path) as file:
        yield file


def _decoded(file: BinaryIO, name: str) -> Tensor:
    with _opened(file, name) as picture:
        picture.load()
        return torch.from_numpy(_values(_turned(picture)))[None]


@contextmanager
def _opened(file: BinaryIO, name: str, whole: bool = True) -> Iterator[Image.Image]:
    """The picture, looked at and not yet decoded; a sentence for all that goes wrong with it."""
    name = shortened(name, 100)
    try:
        with Image.open(_pixels_only(file, whole), formats=readable_formats()) as picture:
            if picture.width * picture.height > LARGEST_PIXELS:
                raise Image.DecompressionBombError
            yield picture
    except UnidentifiedImageError:
        raise ValueError(f"{name} is no picture that can be read: remove it.") from None
    except _BOMB:
        raise ValueError(
            f"{name} is too large: {LARGEST_PIXELS:,} pixels are possible, make it smaller first."
        ) from None
    except MemoryError:
        raise ValueError(f"{name} does not fit into the memory: make it smaller first.") from None
    except _BROKEN as error:
        why = shortened(str(error), 200) or type(error).__name__
        raise ValueError(f"{name} is damaged ({why}): remove it or get it again.") from None


def _pixels_only(file: BinaryIO, whole: bool) -> BinaryIO:
    """The file; a PNG without its colour profile, and of its texts only EXIF.

    Not whole: up to its first pixels.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > LARGEST_FILE:
        raise ValueError(f"its file has {size:,} bytes, {LARGEST_FILE:,} are possible")
    kept = [file.read(len(_PNG))]
    if kept[0] != _PNG:
        file.seek(0)
        return file
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big") + 4, head[4:]
        if kind in _PNG_WORDS:
            start = file.tell()
            words = file.read(min(length, _LARGEST_EXIF))
            kept += [head, words] if _is_exif(kind, words, length) else []
            file.seek(start + length)
            continue
        kept.append(head)
        if kind == b"IDAT" and not whole:
            break
        kept.append(file.read(min(length, size)))
    return io.BytesIO(b"".join(kept))


def _is_exif(kind: bytes, words: bytes, length: int) -> bool:
    """Whether a text of a PNG, with its checksum, is EXIF that Pillow can read."""
    if not words.startswith(_PNG_EXIF) or len(words) < length:
        return False
    content, checksum = words[: length - 4], words[length - 4 : length]
    if zlib.crc32(kind + content) != int.from_bytes(checksum, "big"):
        return False
    if kind != b"zTXt":
        return kind == b"tEXt" or content.partition(b"\0")[2].startswith(b"\0")  # not compressed
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(content.partition(b"\0")[2][1:], _LARGEST_EXIF)
    except zlib.error:
        return False
    return unpacking.eof


def _turned(picture: Image.Image) -> Image.Image:
    """A decoded picture as it is meant to be seen; one whose EXIF cannot be read, as it is."""
    if picture.format == "TIFF":  # Pillow turns those itself
        return picture
    try:
        orientation = picture.getexif().get(_ORIENTATION)
    except _BROKEN:
        return picture
    how = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return picture if how is None else picture.transpose(how)


def _values(picture: Image.Image) -> np.ndarray:
    """`[H, W, 3]` float32 in 0..1."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        largest = 1 if picture.mode == "F" else _SIXTEEN_BIT
        grey = np.asarray(picture, dtype=np.float32) / largest
        if not (grey.min() >= 0 and grey.max() <= 1):
            raise ValueError(f"its values leave 0 to {largest}, save it with 8 or 16 bits")
        return np.repeat(grey[..., None], 3, axis=2)
    width, height = picture.size
    values = np.empty((height, width, 3), dtype=np.float32)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):  # whole, the bytes would lie beside the floats
        strip = picture.crop((0, top, width, min(top + rows, height)))
        values[top : top + rows] = np.asarray(strip.convert("RGB"))
    values /= 255.0
    return values
