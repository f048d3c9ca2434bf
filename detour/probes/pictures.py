"""Where a probe picture comes from: a file, a batch in memory, or what was kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ..classifier.preprocess import check_layout
from ..images import decode_image, read_image

CHUNK = 32
PIXELS = 2**24
"""So many pictures, or pixels, go to the network together (one picture may have more)."""
THUMBNAIL = 128
"""Pixels of a thumbnail's longer side."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What remains of a picture: its features `[D]`, who made them, and a thumbnail.

    backbone: hash of the network that made the features. thumbnail: `[h, w, 3]` uint8.
    """

    features: Tensor
    backbone: str
    thumbnail: Tensor


@dataclass(frozen=True, eq=False)
class Encoded:
    """A picture as the bytes of its file, and what it is called in sentences."""

    data: bytes
    name: str


Picture = Path | Encoded | Tensor
"""A picture file, the bytes of one, or a picture `[H, W, C]` in 0..1."""
Source = Path | Tensor | Kept
"""A picture file, a picture `[H, W, C]` in 0..1, or what was kept of one."""


def read_source(source: Picture) -> Tensor:
    """The picture `[H, W, C]` in 0..1. Raises ValueError for a file that is no picture."""
    if isinstance(source, Encoded):
        return decode_image(source.data, source.name)[0]
    return source if isinstance(source, Tensor) else read_image(source)[0]


def make_thumbnail(source: Source) -> Tensor:
    """The picture in small, `[h, w, 3]` uint8: its longer side 128 pixels at the most."""
    if isinstance(source, Kept):
        return source.thumbnail
    picture = read_source(source)
    height, width = picture.shape[:2]
    colours = picture[..., :3] if picture.shape[-1] > 2 else picture[..., :1]  # grey, maybe alpha
    rgb = colours.float().cpu().expand(height, width, 3)
    shrink = min(1.0, THUMBNAIL / max(height, width))
    if shrink < 1:
        size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        planes = rgb.permute(2, 0, 1)[None]
        small = functional.interpolate(planes, size, mode="bilinear", antialias=True)
        rgb = small[0].permute(1, 2, 0)
    return (rgb.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8)


def whole_pictures(batches: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The pictures `[H, W, C]` of IMAGE batches `[B, H, W, C]` in 0..1, of any sizes.

    Raises ValueError for what is no image batch, and for NaN.
    """
    for images in batches:
        check_layout(images)
    pictures = tuple(picture for images in batches for picture in images)
    for number, picture in enumerate(pictures, 1):
        if not torch.isfinite(picture).all():
            raise ValueError(
                f"Picture {number} of {len(pictures)} holds NaN or infinite values: the step that "
                "made it failed; leave it out."
            )
    return pictures


def compute_features(
    sources: Sequence[Picture],
    features: Callable[[Tensor], Tensor],
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Features `[N, D]` of N pictures, by a function of IMAGE batches `[B, H, W, C]`.

    Pictures are decoded a few at a time; those of one size go to the function together.
    Whatever `progress(done, all)` raises stops the work.
    """
    rows: list[Tensor | None] = [None] * len(sources)
    for places, pictures in _chunks(sources):
        if progress is not None:
            progress(places[0], len(sources))
        for shape in dict.fromkeys(picture.shape for picture in pictures):
            same = [i for i, picture in enumerate(pictures) if picture.shape == shape]
            try:
                found = features(_batch([pictures[i] for i in same])).detach().cpu()
            except ValueError as error:
                raise _named(error, sources[places[same[0]]]) from None
            for place, row in zip(same, found, strict=True):
                rows[places[place]] = row
        pictures.clear()  # before the next ones are decoded
    if progress is not None:
        progress(len(sources), len(sources))
    return torch.stack([row for row in rows if row is not None])


def _batch(pictures: Sequence[Tensor]) -> Tensor:
    """Pictures of one size as `[B, H, W, C]`; a single one, which may be large, is not copied."""
    return pictures[0][None] if len(pictures) == 1 else torch.stack(list(pictures))


def _chunks(sources: Sequence[Picture]) -> Iterator[tuple[list[int], list[Tensor]]]:
    """A few pictures at a time, with their numbers: less than `PIXELS`, and one picture."""
    places: list[int] = []
    pictures: list[Tensor] = []
    pixels = 0
    for number, source in enumerate(sources):
        places.append(number)
        pictures.append(read_source(source))
        pixels += pictures[-1].shape[0] * pictures[-1].shape[1]
        if len(pictures) == CHUNK or pixels >= PIXELS or number == len(sources) - 1:
            yield places, pictures
            places, pictures, pixels = [], [], 0


def _named(error: ValueError, source: Picture) -> ValueError:
    """The error, with the file that it is about."""
    return error if isinstance(source, Tensor) else ValueError(f"{source.name}: {error}")
