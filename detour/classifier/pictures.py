"""Picture files to tensors in the layout of image hosts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

_SIXTEEN_BIT = 65535


def read_image(path: Path | str) -> Tensor:
    """The picture in a file: `[1, H, W, 3]`, float32 in 0..1, turned upright.

    Grey is expanded, alpha dropped, 16 bits are kept; of an animation the first frame.
    Raises FileNotFoundError, or ValueError for what is no picture, or damaged, or so large
    that Pillow takes it for an attack.
    """
    with _opened(Path(path)) as file:
        values = _values(ImageOps.exif_transpose(file))
    return torch.from_numpy(values)[None]


def decode_image(data: bytes, name: str) -> Tensor:
    """The picture in the bytes of a file, as `read_image`; `name` is for the error's sentence."""
    with _opening(io.BytesIO(data), name) as file:
        values = _values(ImageOps.exif_transpose(file))
    return torch.from_numpy(values)[None]


def check_image(path: Path | str) -> None:
    """Look at the beginning of a picture file only; raises as `read_image` does."""
    with _opened(Path(path)):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no picture {path}: check the name.")
    with _opening(path, path.name) as file:
        yield file


@contextmanager
def _opening(source: Path | io.BytesIO, name: str) -> Iterator[Image.Image]:
    try:
        with Image.open(source) as file:
            yield file
    except UnidentifiedImageError:
        raise ValueError(f"{name} is no picture that can be read: remove it.") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{name} is too large: make it smaller first.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{name} is damaged ({error}): remove it or get it again.") from None


def _values(picture: Image.Image) -> np.ndarray:
    """`[H, W, 3]` float32 in 0..1."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        largest = 1 if picture.mode == "F" else _SIXTEEN_BIT
        grey = np.asarray(picture, dtype=np.float32) / largest
        if grey.min() < 0 or grey.max() > 1:
            raise ValueError(f"its values leave 0 to {largest}, save it with 8 or 16 bits")
        return np.repeat(grey[..., None], 3, axis=2)
    return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0
