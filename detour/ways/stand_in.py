"""What the stand-ins of all bypasses have in common: how they look, and how they blend.

With h what a part of the model gets, F(h) what it gives and lam the bypass of this call,

    out = torch.lerp(F(h), h, lam) = (1 - lam) * F(h) + lam * h

lam 1 does not compute F at all, lam below 0 makes the part count more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

Lam = float | tuple[float, ...]
"""The bypass of a call: one number, or one for each row of its batch."""
Weight = float | torch.Tensor
"""The same for `blend`."""
SHARED = ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set")
NOT_HANDED_ON = ("_v_block",)
"""By these attributes newer hosts capture a block as a graph, lam and all."""


class StandIn(nn.Module):
    """Looks like the module it stands for: same children, same key names, same attributes."""

    stands_for: Any

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        # Past nn.Module.__setattr__, which would register the module as a child of itself.
        self.__dict__["stands_for"] = module
        for name in SHARED:
            self.__dict__[name] = module.__dict__[name]
        self.training = module.training

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in NOT_HANDED_ON:
                raise
            return getattr(self.__dict__["stands_for"], name)


def weight_of(lam: Lam, device: torch.device | None) -> Weight:
    """A bypass for `blend`. Rows as a tensor, made before the call: within a compiled region each
    new tuple would be a new graph. Without waiting: the copy of a few bytes is queued."""
    if not isinstance(lam, tuple):
        return lam
    return torch.tensor(lam, dtype=torch.float32).to(device, non_blocking=True)


def blend(out: torch.Tensor, h: torch.Tensor, lam: Weight) -> torch.Tensor:
    """`torch.lerp(out, h, lam)` for one lam or one for each row; exact at 0 and 1.

    out, h: `[B, ...]`, same shape; lam: a number or `[B]`. Never returns `h` itself: in a U-Net `h`
    is also the last skip connection, into which hosts write. Raises ValueError if shapes or rows
    do not match.
    """
    if out.shape != h.shape:
        raise ValueError(
            f"What is to be bypassed turned {tuple(h.shape)} into {tuple(out.shape)}; only what "
            "keeps the shape can be."
        )
    if not isinstance(lam, torch.Tensor):
        return h.clone() if lam == 1.0 else torch.lerp(out, h, lam)
    if lam.shape[0] != h.shape[0]:
        raise ValueError(
            f"The bypass has {lam.shape[0]} rows, its input {h.shape[0]}: this host batches in a "
            "way that cannot be followed; use apply_to = both."
        )
    weight = lam.to(h.device, h.dtype, non_blocking=True).view(-1, *[1] * (h.ndim - 1))
    mixed = torch.lerp(out, h, weight)
    return torch.where(weight == 0, out, torch.where(weight == 1, h, mixed))
