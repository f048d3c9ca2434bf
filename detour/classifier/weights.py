"""One named tensor of a file: where it lies there, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ..checks import quoted

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
MOST_SHARED = 2
"""How often the bytes of a file may be claimed; more is a small file that fills the memory."""
_WIDEST = 4
"""How many times its own numbers a tensor may span in the file: a slice out of a larger one."""


def width(dtype: torch.dtype) -> int:
    """Bytes for each number."""
    return torch.empty(0, dtype=dtype).element_size()


class Shaped(Protocol):
    """What is compared with a network: a `Weight`, or a tensor."""

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Weight:
    """A tensor that has not been read yet.

    path, place: its file, and the byte at which its first number lies there; dtype, shape.
    stride: the steps between neighbours in numbers, as in torch; empty = contiguous.
    """

    path: Path
    place: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Its bytes, each number counted once."""
        return self.count * width(self.dtype)

    @property
    def span(self) -> int:
        """How many numbers lie in the file from its first to its last."""
        if not self.stride or self.count == 0:
            return self.count
        steps = zip(self.shape, self.stride, strict=True)
        return 1 + sum((length - 1) * step for length, step in steps)

    def read(self, name: str) -> Tensor:
        """The tensor, on the CPU, in memory of its own; floats as float32, all finite.

        name: what the file calls it, for the sentence. Raises ValueError for NaN and for a file
        that has become shorter.
        """
        raw = torch.empty(self.span * width(self.dtype), dtype=torch.uint8)
        with self.path.open("rb") as file:
            file.seek(self.place)
            if file.readinto(memoryview(raw.numpy())) != len(raw):  # pyright: ignore
                raise ValueError(f"{self.path.name} was cut while it was read: get it again.")
        values = raw.view(self.dtype)
        if self.stride and self.count:
            values = values.as_strided(self.shape, self.stride).contiguous()
        values = values.view(self.shape)
        if not self.dtype.is_floating_point:
            return values
        return _check_values(values.float(), name, self.path)


def check_size(weight: Weight, name: str, held: int, claimed: int = 0) -> None:
    """Refuse a weight that its part of the file, of `held` bytes, does not hold.

    claimed: how many bytes the file says that the part has.
    """
    if min((*weight.shape, *weight.stride, weight.span, 0)) < 0:
        raise ValueError(
            f"{weight.path.name} is damaged: {quoted(name)} has no shape. Get it again."
        )
    if max(max(weight.span, weight.count) * width(weight.dtype), claimed) > held:
        raise ValueError(
            f"{weight.path.name} was refused: {quoted(name)} claims the shape "
            f"{quoted(list(weight.shape))}, which is more than the file holds there "
            f"({held:,} bytes)."
        )
    if weight.span > _WIDEST * weight.count:
        raise ValueError(
            f"{weight.path.name} was refused: {quoted(name)} is a few numbers out of a large "
            "block. Save the weights as copies: tensor.clone()."
        )


def _check_values(values: Tensor, name: str, path: Path) -> Tensor:
    finite = torch.isfinite(values)
    if not finite.all():
        raise ValueError(
            f"{path.name} is broken: {int((~finite).sum())} of the {values.numel()} values of "
            f"{quoted(name)} are NaN or infinite. Get the file again, or train with a smaller "
            "learning rate."
        )
    return values
