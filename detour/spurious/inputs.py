"""Checks of what comes in, and reading features piece by piece."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK_BYTES = 64 * 2**20
"""Features are read in pieces of about this many bytes."""


def pieces(features: Tensor | np.ndarray) -> list[tuple[int, int]]:
    """Row ranges of the features of about `CHUNK_BYTES` each."""
    count, width = features.shape
    step = max(1, CHUNK_BYTES // (4 * width))
    return [(at, min(count, at + step)) for at in range(0, count, step)]


def linear(features: Tensor | np.ndarray, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Logits `[N, C]` of a head on all features, float32, read piece by piece."""
    w = weight.detach().cpu().float()
    b = None if bias is None else bias.detach().cpu().float()
    parts = [F.linear(float32(features, *piece), w, b) for piece in pieces(features)]
    return torch.cat(parts)


def float32(features: Tensor | np.ndarray, start: int, stop: int) -> Tensor:
    """Some rows of the features as float32."""
    if isinstance(features, np.ndarray):
        return torch.from_numpy(np.array(features[start:stop], dtype=np.float32))
    return features[start:stop].detach().float()


def check_features(features: Tensor | np.ndarray) -> None:
    """Refuse features that are not `[N, D]` finite floats in main memory."""
    if not isinstance(features, (Tensor, np.ndarray)):
        raise ValueError(
            f"The features are a {type(features).__name__}; a tensor or an array is needed."
        )
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(
            f"The features have the shape {tuple(features.shape)}, expected [pictures, features] "
            "with at least one of each."
        )
    array = isinstance(features, np.ndarray)
    floating = features.dtype.kind == "f" if array else features.dtype.is_floating_point
    if not floating or (not array and features.device.type != "cpu"):
        raise ValueError("The features must be floating-point numbers in main memory (cpu).")
    for start, stop in pieces(features):
        block = float32(features, start, stop)
        if not bool(torch.isfinite(block).all()):
            i, j = (~torch.isfinite(block)).nonzero()[0].tolist()
            raise ValueError(
                f"Feature {j} of probe {start + i} is {block[i, j].item()}. Remove that picture "
                "or compute its features again in float32."
            )


def finite(values: Tensor, what: str) -> Tensor:
    """The tensor itself, detached; refused unless it holds finite floats only."""
    if not values.dtype.is_floating_point or not bool(torch.isfinite(values).all()):
        raise ValueError(f"There is a NaN, an infinity or a non-float in {what}. Load it again.")
    return values.detach()


def integers(values: Tensor | Sequence[int], what: str, count: int) -> Tensor:
    """Whole numbers from 0, `[count]`, as a long tensor; anything else is refused."""
    tensor = torch.as_tensor(values).detach().cpu()
    if tensor.shape != (count,):
        raise ValueError(
            f"{what} has the shape {tuple(tensor.shape)}, expected [{count}]: one per picture."
        )
    if tensor.dtype == torch.bool:
        tensor = tensor.long()
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        raise ValueError(f"{what} holds {tensor.dtype} numbers; whole numbers are needed.")
    if int(tensor.min()) < 0:
        raise ValueError(f"{what} holds {int(tensor.min())}; numbers start at 0.")
    return tensor.long()


def check_below(values: Tensor, what: str, limit: int) -> None:
    """Refuse numbers at or above the limit."""
    if int(values.max()) >= limit:
        raise ValueError(
            f"{what} holds {int(values.max())}; the largest number that fits is {limit - 1}."
        )


def unit_numbers(units: Tensor | Sequence[Hashable], count: int) -> Tensor:
    """One number per distinct name, in order of appearance, `[count]`."""
    names: list[Hashable] = units.tolist() if isinstance(units, Tensor) else list(units)
    if len(names) != count:
        raise ValueError(f"There are {len(names)} units for {count} pictures: one each is needed.")
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([number[name] for name in names])
