"""The last linear layer: what probes are looked at with, and what edits are made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


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
