"""Pictures in a host's layout to the numbers that a network was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..checks import quoted
from . import resizing

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

FIRST_FIELDS = 6
"""How many fields Preprocessing had when the first heads were saved."""

Size = int | tuple[int, int] | None


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a picture before the network sees it.

    resize: the shorter side in pixels, or (height, width); None leaves the size alone.
    crop: the centre kept, in pixels, square or (height, width); None keeps all.
    mean, std: of red, green and blue in 0..1; the network sees (picture - mean) / std.
    interpolation: `bilinear`, `bicubic` or `nearest`; with `pillow` also `lanczos`, `box` and
        `hamming`. All but `nearest` antialiased.
    crop_first: crop before resizing (as usual for CelebA) instead of after.
    arithmetic: how colours are resized: `float`; `rounded`, which rounds the result to whole
        numbers 0..255; on whole numbers from the start `bytes` (as torchvision) or `pillow`.
    resize_fit: (height, width) of resize are met `exact`ly, or keep the picture's proportions
        and `cover` them or stay `inside` of them.
    resize_longest: what the longer side may have, where resize is the shorter one.
    resize_multiple: after that, both sides are rounded up to multiples of it.
    crop_centring: which pixel is the centre's first if an odd number is left over: `round`
        (half to even, as torchvision), `floor` or `truncate`.
    crop_share: (height, width) kept in place of crop, as shares of the picture's shorter side,
        before resizing.
    crop_border: red, green and blue in 0..1 of what a crop keeps beside a picture.
    bgr: the network wants blue, green, red.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    resize: Size = 256
    crop: Size = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bilinear"
    crop_first: bool = False
    arithmetic: str = resizing.FLOAT
    resize_fit: str = resizing.EXACT
    resize_longest: int | None = None
    resize_multiple: int = 1
    crop_centring: str = resizing.ROUND
    crop_share: tuple[float, ...] | None = None
    crop_border: tuple[float, ...] = (0.0, 0.0, 0.0)
    bgr: bool = False

    def __post_init__(self) -> None:
        _check_size("resize", self.resize)
        _check_size("crop", self.crop)
        if self.resize_longest is not None:
            _check_side("resize_longest", self.resize_longest)
        _check_side("resize_multiple", self.resize_multiple)
        _check_share(self.crop_share)
        for name in ("mean", "std", "crop_border"):
            _check_colours(name, getattr(self, name))
        if min(self.std) < SMALLEST_STD:
            raise ValueError(
                f"std {quoted(self.std)} must be above 0 for each colour, and at least "
                f"{SMALLEST_STD}."
            )
        for name in ("crop_first", "bgr"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} {quoted(getattr(self, name))} must be true or false.")
        for name, known in (
            ("arithmetic", resizing.ARITHMETICS),
            ("interpolation", resizing.interpolations(self.arithmetic)),
            ("resize_fit", resizing.FITS),
            ("crop_centring", resizing.CENTRINGS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} {quoted(getattr(self, name))} is unknown: use one of "
                    f"{', '.join(known)}."
                )

    def __repr__(self) -> str:
        """As of any dataclass, but the later fields only where they are used: hashes of saved
        heads are made of this text."""
        later = [f.name for f in fields(self)[FIRST_FIELDS:] if getattr(self, f.name) != f.default]
        shown = [f.name for f in fields(self)[:FIRST_FIELDS]] + later
        return f"Preprocessing({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of what the network sees; of a square picture, where it varies."""
        if self.crop is not None and (self.resize is None or not self.crop_first):
            return _pair(self.crop)
        return (224, 224) if self.resize is None else self._new_size(*_pair(self.resize))

    def seen_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of what the network sees of a picture of this height and width."""
        crop = self.crop_share is None and self.crop
        if crop and not self.crop_first:
            return _pair(crop)
        if self.crop_share is not None:
            height, width = self._shared(height, width)
        elif crop:
            height, width = _pair(crop)
        return (height, width) if self.resize is None else self._new_size(height, width)

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
        _check_area(height, width, self.seen_size(height, width))
        step = max(1, _PIXELS_AT_ONCE // (height * width))
        parts = []
        for first, part in zip(range(0, len(images), step), images.split(step), strict=True):
            if self._on_bytes and images.is_floating_point():
                _check_values(part[..., :3], first, len(images))  # whole numbers would hide NaN
            parts.append(self._transform(part, device))
        pictures = torch.cat(parts) if len(parts) != 1 else parts[0]
        _check_values(pictures, 0, len(images))
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=pictures.device).view(3, 1, 1)
            for values in (self.mean, self.std)
        )
        # One layout for all: convolutions are faster in it, and they round by the layout.
        pictures = pictures.clamp(0, 1).contiguous(memory_format=torch.channels_last)
        if self.arithmetic == resizing.ROUNDED:
            pictures = pictures.mul_(255).round_().div_(255)
        pictures = pictures.sub_(mean).div_(std)
        return _reversed(pictures) if self.bgr else pictures

    @property
    def _on_bytes(self) -> bool:
        return self.arithmetic in (resizing.BYTES, resizing.PILLOW)

    def _transform(self, images: Tensor, device: torch.device | None) -> Tensor:
        pictures = _as_rgb(images.cpu() if self._on_bytes else images.to(device))
        if self._on_bytes:
            pictures = pictures.mul(255).round_().clamp_(0, 255).to(torch.uint8)
        if self.crop_first or self.crop_share is not None:
            pictures = self._resize(self._crop(pictures))
        else:
            pictures = self._crop(self._resize(pictures))
        if not self._on_bytes:
            return pictures
        return pictures.to(images.device if device is None else device, torch.float32).div_(255)

    def _crop(self, pictures: Tensor) -> Tensor:
        size = None if self.crop is None else _pair(self.crop)
        if self.crop_share is not None:
            size = self._shared(*pictures.shape[-2:])
        if size is None:
            return pictures
        return resizing.centre(pictures, size, self.crop_centring, self.crop_border)

    def _shared(self, height: int, width: int) -> tuple[int, int]:
        """The size of the part that `crop_share` keeps."""
        short = min(height, width)
        high, wide = (max(1, int(share * short)) for share in self.crop_share or (1, 1))
        return high, wide

    def _resize(self, pictures: Tensor) -> Tensor:
        if self.resize is None:
            return pictures
        height, width = pictures.shape[-2:]
        new = self._new_size(height, width)
        _check_area(height, width, new)
        return resizing.resample(pictures, new, self.interpolation, self.arithmetic)

    def _new_size(self, height: int, width: int) -> tuple[int, int]:
        """The size of a picture after resizing."""
        size = self.resize if self.resize is not None else (height, width)
        new = resizing.new_size(height, width, size, self.resize_fit, self.resize_longest)
        step = self.resize_multiple
        return math.ceil(new[0] / step) * step, math.ceil(new[1] / step) * step


def _check_area(height: int, width: int, new: tuple[int, int]) -> None:
    if math.prod(new) > LARGEST_RESIZED:
        raise ValueError(
            f"A picture of {width} x {height} pixels would become {new[1]} x {new[0]} for the "
            f"network, more than {LARGEST_RESIZED:,} pixels: crop it to a shape nearer to a "
            "square first, or write smaller sizes."
        )


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


def _reversed(pictures: Tensor) -> Tensor:
    """Red and blue exchanged."""
    return pictures.flip(1).contiguous(memory_format=torch.channels_last)


def _check_values(pictures: Tensor, first: int, count: int) -> None:
    """Refuse NaN and what is far outside of 0..1; `first` of `count` is the first of these."""
    low, high = torch.aminmax(pictures.flatten(1), dim=1)
    broken = ~(torch.isfinite(low) & torch.isfinite(high))
    if broken.any():
        raise ValueError(
            f"Picture {first + int(broken.int().argmax()) + 1} of {count} holds NaN or infinite "
            "values: the step that made it failed; leave it out."
        )
    if low.min() < -_OVERSHOOT or high.max() > 1 + _OVERSHOOT:
        raise ValueError(
            f"The pictures reach from {low.min():.3g} to {high.max():.3g}, they must be in "
            "0..1: divide 0..255 by 255, or move -1..1 to 0..1."
        )


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_SIDE


def _check_side(name: str, value: object) -> None:
    if not _is_side(value):
        raise ValueError(f"{name} {quoted(value)} must be pixels from 1 to {LARGEST_SIDE}.")


def _check_share(shares: object) -> None:
    if shares is not None and not (
        isinstance(shares, tuple)
        and len(shares) == 2
        and all(isinstance(share, (int, float)) and 0 < share <= 1 for share in shares)
    ):
        raise ValueError(f"crop_share {quoted(shares)} must be two numbers above 0 and up to 1.")


def _check_size(name: str, size: object) -> None:
    sides = size if isinstance(size, tuple) else (size, size)
    if size is not None and (len(sides) != 2 or not all(map(_is_side, sides))):
        raise ValueError(
            f"{name} {quoted(size)} cannot be used: write pixels from 1 to {LARGEST_SIDE}, one "
            "number for the shorter side or two for height and width."
        )
    if size is not None and math.prod(s for s in sides if isinstance(s, int)) > LARGEST_RESIZED:
        raise ValueError(
            f"{name} {quoted(size)} makes pictures of more than {LARGEST_RESIZED:,} pixels: write "
            "smaller sizes."
        )


def _check_colours(name: str, values: object) -> None:
    if not (
        isinstance(values, tuple)
        and len(values) == 3
        and all(isinstance(value, (int, float)) and abs(value) < math.inf for value in values)
    ):
        raise ValueError(f"{name} {quoted(values)} must be three numbers, for red, green and blue.")
    if max(map(abs, values)) > LARGEST_COLOUR:
        raise ValueError(
            f"{name} {quoted(values)} is for colours in 0..255, but colours in 0..1 are meant: "
            "divide each of the three by 255."
        )
