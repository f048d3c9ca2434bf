"""The last linear layer: what probes are looked at with, and what edits are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

HALVES: Mapping[str, torch.dtype] = {"float16": torch.float16, "bfloat16": torch.bfloat16}
"""The types in which a model's file is published to save half of it."""


@dataclass(frozen=True, eq=False)
class Head:
    """weight `[C, D]` and bias `[C]`, or None; never written to.

    Raises ValueError for a weight of another shape.
    """

    weight: Tensor
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        if self.weight.ndim != 2:
            raise ValueError(
                f"The head's weight has the shape {tuple(self.weight.shape)}, not [C, D]."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Classes and features, `(C, D)`."""
        return int(self.weight.shape[0]), int(self.weight.shape[1])

    @cached_property
    def sha256(self) -> str:
        """The hash by which an edit knows its head, computed once.

        Over shape and little-endian float32 of the weight, then of the bias; the shape goes in
        as Python writes it, in ASCII: `(1000, 1280)`, `(1000,)`.
        """
        digest = hashlib.sha256()
        for tensor in (self.weight,) if self.bias is None else (self.weight, self.bias):
            array = tensor.detach().cpu().float().contiguous().numpy()
            digest.update(repr(tuple(array.shape)).encode("ascii"))
            digest.update(array.astype("<f4").tobytes())
        return digest.hexdigest()

    def rounded(self, half: str) -> Head:
        """The head as its file in one of `HALVES` gives it back, in float32."""
        parts = (self.weight, self.bias)
        weight, bias = (
            None if part is None else part.detach().cpu().to(HALVES[half]).float() for part in parts
        )
        assert weight is not None
        return Head(weight, bias)

    @cached_property
    def halves(self) -> dict[str, str]:
        """The hash of this head rounded to each of `HALVES`, by its name.

        Equal to `sha256` where the head already is of that type. Two heads of one model are told
        by it, never two heads in full precision: see `detour.edit.apply.adopted`.
        """
        return {half: self.rounded(half).sha256 for half in HALVES}
