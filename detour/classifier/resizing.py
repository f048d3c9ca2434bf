"""The sizes that pictures get, and the ways of the libraries to resize and crop them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..checks import quoted

FLOAT, ROUNDED, BYTES, PILLOW = ARITHMETICS = ("float", "rounded", "bytes", "pillow")
EXACT, COVER, INSIDE = FITS = ("exact", "cover", "inside")
ROUND, FLOOR, TRUNCATE = CENTRINGS = ("round", "floor", "truncate")

_PILLOW_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
_TENSOR_FILTERS = ("bilinear", "bicubic", "nearest")
_SMALLEST_SHARE, _LARGEST_SHARE = 0.01, 4


def interpolations(arithmetic: str) -> tuple[str, ...]:
    """The names of the interpolations that an arithmetic has."""
    return tuple(_PILLOW_FILTERS) if arithmetic == PILLOW else _TENSOR_FILTERS


def enlarged(side: int, share: object) -> int:
    """What is resized to, of which `share` (crop_pct) is then kept, so that `side` is left.

    Raises ValueError for what is no such share.
    """
    if not isinstance(share, (int, float)) or not _SMALLEST_SHARE <= share <= _LARGEST_SHARE:
        raise ValueError(
            f"crop_pct {quoted(share)} must be a number from {_SMALLEST_SHARE} to "
            f"{_LARGEST_SHARE}, usually up to 1."
        )
    return int(side / share)


def new_size(
    height: int, width: int, size: int | tuple[int, int], fit: str, longest: int | None
) -> tuple[int, int]:
    """The height and width of a picture of `height` x `width` after resizing.

    size: the shorter side, or (height, width), which are met as `fit` says: `exact`; `cover`
    keeps the proportions and fills both; `inside` keeps them and exceeds none. longest: with
    the shorter side, what the longer one may have.
    """
    if isinstance(size, int):
        return _shorter_side(height, width, size, longest)
    if fit == EXACT:
        return size
    ratios = (height / size[0], width / size[1])
    ratio = min(ratios) if fit == COVER else max(ratios)
    return max(1, round(height / ratio)), max(1, round(width / ratio))


def _shorter_side(height: int, width: int, size: int, longest: int | None) -> tuple[int, int]:
    short, long = min(height, width), max(height, width)
    exact = float(size)
    if longest is not None and long / short * size > longest:
        exact = longest * short / long
        size = round(exact)
    if short == size:
        return height, width
    sides = max(1, size), max(1, int(exact * long / short))
    return sides if height <= width else (sides[1], sides[0])


def centre(
    pictures: Tensor, size: tuple[int, int], centring: str, border: tuple[float, ...]
) -> Tensor:
    """The middle `[B, 3, *size]` of pictures `[B, 3, H, W]`, floats or whole numbers.

    centring: where the middle lies if an odd number of pixels is left over: `round` (to the
    even one, as torchvision), `floor` or `truncate`. border: red, green and blue in 0..1 of
    what lies outside of a picture.
    """
    height, width = pictures.shape[-2:]
    top, left = _start(height - size[0], centring), _start(width - size[1], centring)
    rows, columns = _overlap(top, size[0], height), _overlap(left, size[1], width)
    inner = pictures[..., rows, columns]
    if inner.shape[-2:] == size:
        return inner
    colours = torch.tensor(border, device=pictures.device)
    if not pictures.is_floating_point():
        colours = (255 * colours).round()
    whole = colours.to(pictures.dtype).view(1, -1, 1, 1).repeat(len(pictures), 1, *size)
    whole[..., _moved(rows, top), _moved(columns, left)] = inner
    return whole


def _start(left_over: int, centring: str) -> int:
    """Where the middle begins; below 0 where the picture is smaller than it."""
    if centring == FLOOR:
        return left_over // 2
    if left_over < 0 or centring == TRUNCATE:
        return int(left_over / 2)
    return round(left_over / 2)


def _overlap(start: int, kept: int, side: int) -> slice:
    return slice(max(0, start), min(side, start + kept))


def _moved(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)


def resample(pictures: Tensor, size: tuple[int, int], interpolation: str, way: str) -> Tensor:
    """Pictures `[B, 3, H, W]` resized to `[B, 3, *size]`, antialiased but for `nearest`.

    way: `float` and `rounded` work on floats; `bytes` (torchvision's arithmetic) and `pillow`
    (Pillow's, to the bit) on uint8, on the CPU.
    """
    if way == PILLOW:
        return _by_pillow(pictures, size, interpolation)
    # Imported here: a page that only names the settings of classifiers is built without them, and
    # v2 warns in old versions.
    from torchvision.transforms import InterpolationMode, functional

    antialias = interpolation != "nearest"
    if way == BYTES:
        from torchvision.transforms.v2 import functional

        interpolation = interpolation if antialias else "nearest-exact"
    mode = InterpolationMode(interpolation)
    return functional.resize(pictures, list(size), mode, antialias=antialias)


def _by_pillow(pictures: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    height, width = size
    resized = [
        np.asarray(Image.fromarray(pixels).resize((width, height), _PILLOW_FILTERS[interpolation]))
        for pixels in pictures.permute(0, 2, 3, 1).contiguous().numpy()
    ]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)
