"""Pictures in a host's layout to the numbers that a network was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

INTERPOLATIONS = ("bilinear", "bicubic", "nearest")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LARGEST_SIDE = 4096
LARGEST_RESIZED = 2**22
"""Pixels of one picture after resizing; a thread-like picture would fill the memory."""
_PIXELS_AT_ONCE = 2**22
_WHOLE_RANGE = {torch.uint8: 255.0, getattr(torch, "uint16", None): 65535.0}
_OVERSHOOT = 0.5
"""How far bicubic resizing can leave 0..1 at sharp edges."""

LARGEST_COLOUR, SMALLEST_STD = 4.0, 1e-3
"""Beyond these a network would see one colour only, or numbers that it cannot hold."""

Size = int | tuple[int, int] | None


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a picture before the network sees it.

    resize: the shorter side in pixels, or (height, width); None leaves the size alone.
    crop: the centre kept, in pixels, square or (height, width); None keeps all.
    mean, std: of red, green and blue in 0..1; the network sees (picture - mean) / std.
    interpolation: `bilinear`, `bicubic` or `nearest`; the first two antialiased.
    crop_first: crop before resizing (as usual for CelebA) instead of after.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    resize: Size = 256
    crop: Size = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bilinear"
    crop_first: bool = False

    def __post_init__(self) -> None:
        _check_size("resize", self.resize)
        _check_size("crop", self.crop)
        _check_colours("mean", self.mean)
        _check_colours("std", self.std)
        if min(self.std) < SMALLEST_STD:
            raise ValueError(
                f"std {self.std} must be above 0 for each colour, and at least {SMALLEST_STD}."
            )
        if not isinstance(self.crop_first, bool):
            raise ValueError(f"crop_first {self.crop_first!r} must be true or false.")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation {self.interpolation!r} is unknown: use one of "
                f"{', '.join(INTERPOLATIONS)}."
            )

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of what the network sees; of a square picture, where it varies."""
        order = (self.resize, self.crop) if self.crop_first else (self.crop, self.resize)
        return next((_pair(size) for size in order if size is not None), (224, 224))

    def __call__(self, images: Tensor, device: torch.device | None = None) -> Tensor:
        """`[B, H, W, C]` in 0..1 to normalised float32 `[B, 3, height, width]`, on `device`.

        One grey channel is expanded, alpha is dropped, uint8 and uint16 are scaled to 0..1;
        what bicubic resizing adds beyond 0..1 is cut, as in the files that networks learn from.
        Raises ValueError for another layout, for NaN and for values far outside of 0..1.
        """
        check_layout(images)
        if len(images) == 0:
            return torch.zeros(0, 3, *self.input_size, device=device)
        height, width = images.shape[1:3]
        step = max(1, _PIXELS_AT_ONCE // (height * width))
        parts = [self._transform(part, device) for part in images.split(step)]
        pictures = torch.cat(parts) if len(parts) != 1 else parts[0]
        _check_values(pictures)
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=pictures.device).view(3, 1, 1)
            for values in (self.mean, self.std)
        )
        # One layout for all: convolutions are faster in it, and they round by the layout.
        pictures = pictures.clamp(0, 1).contiguous(memory_format=torch.channels_last)
        return pictures.sub_(mean).div_(std)

    def _transform(self, images: Tensor, device: torch.device | None) -> Tensor:
        pictures = _as_rgb(images.to(device))
        if self.crop_first:
            return self._resize(self._crop(pictures))
        return self._crop(self._resize(pictures))

    def _crop(self, pictures: Tensor) -> Tensor:
        if self.crop is None:
            return pictures
        return transforms.center_crop(pictures, list(_pair(self.crop)))

    def _resize(self, pictures: Tensor) -> Tensor:
        if self.resize is None:
            return pictures
        height, width = pictures.shape[-2:]
        new = _resized(height, width, self.resize)
        if math.prod(new) > LARGEST_RESIZED:
            raise ValueError(
                f"A picture of {width} x {height} pixels would become {new[1]} x {new[0]} for "
                "the network: crop it to a shape nearer to a square first."
            )
        mode = InterpolationMode(self.interpolation)
        size = [self.resize] if isinstance(self.resize, int) else list(self.resize)
        return transforms.resize(pictures, size, mode, antialias=mode.value != "nearest")


def check_layout(images: Tensor) -> None:
    """Refuse what is not a batch of pictures `[B, H, W, C]`, with a sentence (ValueError)."""
    if not isinstance(images, Tensor) or images.ndim != 4:
        shape = list(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(
            f"Pictures must be a tensor [batch, height, width, channels], this is {shape}."
        )
    height, width, channels = images.shape[1:]
    if channels not in (1, 2, 3, 4):
        raise ValueError(
            f"Pictures of shape {list(images.shape)} have {channels} channels; 1 (grey), 3 "
            "(RGB) or 4 (RGBA) in the last dimension are understood."
        )
    if height == 0 or width == 0:
        raise ValueError(f"Pictures of {width} x {height} pixels are empty.")
    if not images.is_floating_point() and images.dtype not in _WHOLE_RANGE:
        raise ValueError(
            f"Pictures of type {images.dtype} cannot be read: use floats in 0..1 or uint8."
        )


def _as_rgb(images: Tensor) -> Tensor:
    """`[B, H, W, C]` to float32 `[B, 3, H, W]` in 0..1."""
    pictures = images.to(torch.float32)
    if images.dtype in _WHOLE_RANGE:
        pictures = pictures / _WHOLE_RANGE[images.dtype]
    grey = images.shape[-1] < 3
    pictures = pictures[..., :1].expand(-1, -1, -1, 3) if grey else pictures[..., :3]
    return pictures.permute(0, 3, 1, 2)


def _check_values(pictures: Tensor) -> None:
    low, high = torch.aminmax(pictures.flatten(1), dim=1)
    broken = ~(torch.isfinite(low) & torch.isfinite(high))
    if broken.any():
        raise ValueError(
            f"Picture {int(broken.int().argmax()) + 1} of {len(pictures)} holds NaN or infinite "
            "values: the step that made it failed; leave it out."
        )
    if low.min() < -_OVERSHOOT or high.max() > 1 + _OVERSHOOT:
        raise ValueError(
            f"The pictures reach from {low.min():.3g} to {high.max():.3g}, they must be in "
            "0..1: divide 0..255 by 255, or move -1..1 to 0..1."
        )


def _resized(height: int, width: int, size: int | tuple[int, int]) -> tuple[int, int]:
    if not isinstance(size, int):
        return size
    short = min(height, width)
    return size * height // short, size * width // short


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _check_size(name: str, size: object) -> None:
    sides = size if isinstance(size, tuple) else (size, size)
    usable = [
        isinstance(side, int) and not isinstance(side, bool) and 0 < side <= LARGEST_SIDE
        for side in sides
    ]
    if size is not None and (len(sides) != 2 or not all(usable)):
        raise ValueError(
            f"{name} {size!r} cannot be used: write pixels from 1 to {LARGEST_SIDE}, one number "
            "for the shorter side or two for height and width."
        )


def _check_colours(name: str, values: object) -> None:
    if not (
        isinstance(values, tuple)
        and len(values) == 3
        and all(isinstance(value, (int, float)) and abs(value) < math.inf for value in values)
    ):
        raise ValueError(f"{name} {values!r} must be three numbers, for red, green and blue.")
    if max(map(abs, values)) > LARGEST_COLOUR:
        raise ValueError(
            f"{name} {values!r} is for colours in 0..255, but colours in 0..1 are meant: divide "
            "each of the three by 255."
        )
