"""The bypass of the mid-block: a stand-in takes its place for the length of a call.

With h the mid-block's input, M(h) its output and lam the bypass of this call,

    out = torch.lerp(M(h), h, lam) = (1 - lam) * M(h) + lam * h

lam 0 puts nothing in place, lam 1 does not compute M at all, lam below 0 makes the
mid-block count more. The formula is ours, made from the abstract of arXiv 2505.17560 v1
("partially bypassed").

Hosts that call the block reach `forward`; hosts that loop over its layers reach `__iter__`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..checks import require_choice
from .targets import find_mid_block, keeps_index
from .way import Coverage, Way

APPLY_TO = ("both", "cond", "uncond")
Lam = float | tuple[float, ...]
"""The bypass of a call: one number, or one for each row of its batch."""


@dataclass(frozen=True)
class Dial(Way):
    """All settings of a bypass.

    apply_to: one of `APPLY_TO`: both halves of guidance, or the rows of the prompt (`cond`) or
        of the negative prompt (`uncond`) alone.
    skip_compute: at lam 1 do not run the mid-block; False runs it and drops the result, for
        patches that record something inside of it.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    apply_to: str = "both"
    skip_compute: bool = True

    def __post_init__(self) -> None:
        require_choice("apply_to", self.apply_to, APPLY_TO)

    def call(self, progress: Sequence[float], is_cond: Sequence[bool | None] = ()) -> Call:
        """The bypass of a model call whose rows are at these places of the denoising.

        is_cond: for each row whether it is the prompt's or the negative prompt's; None is
            neither. Not needed where `apply_to` is `both`.
        """
        wanted = lams = self.lams(progress)
        if self.apply_to != "both":
            half = self.apply_to == "cond"
            rows = zip(wanted, is_cond, strict=True)
            lams = tuple(lam if cond is half else 0.0 for lam, cond in rows)
        return Call(self, tuple(progress), lams, any(wanted) and not any(lams))


@dataclass(frozen=True)
class Call:
    """One model call: the progress and the bypass of each of its rows.

    other_half: whether it would be bypassed if `apply_to` had not left its rows out.
    """

    dial: Dial
    progress: tuple[float, ...]
    lams: tuple[float, ...]
    other_half: bool = False

    def lam(self, each: int = 1) -> Lam:
        """One number if all rows have the same bypass, else one for each.

        each: rows of the mid-block for each row of the call (a video's frames).
        """
        if len(set(self.lams)) == 1:
            return self.lams[0]
        return tuple(lam for lam in self.lams for _ in range(each))


@dataclass
class BypassCoverage(Coverage):
    """Counts the model calls of one run.

    calls: those in which the U-Net ran; bypassed: those of them with a bypass.
    other_half: those whose rows `apply_to` left out.
    from_cache: calls that something else answered, so that the U-Net did not run.
    """

    way: Dial
    bypassed: int = 0
    other_half: int = 0
    from_cache: int = 0

    def record(self, call: Call, *, ran: bool = True) -> None:
        """Count one model call; ran: whether the U-Net ran in it."""
        self.visit(call.progress, ran=ran)
        self.from_cache += not ran
        self.bypassed += ran and any(call.lams)
        self.other_half += call.other_half

    def missed(self) -> str | None:
        """As for every way; and where the wanted half of guidance was never there."""
        apply_to = self.way.apply_to
        if self.other_half and not self.bypassed:
            half = "the prompt" if apply_to == "cond" else "the negative prompt"
            return (
                f"Nothing was bypassed: apply_to is {apply_to}, and no call of this model had "
                f"rows of {half} (guidance is off, or another model has them); use apply_to = both."
            )
        return super().missed()

    def done(self) -> str:
        """How many calls were bypassed."""
        done = f"bypassed {self.bypassed} of {self.calls} model calls"
        if self.from_cache:
            done += f"; {self.from_cache} more came from a cache, without the U-Net"
        return done


@contextmanager
def bypassed(
    unet: nn.Module,
    call: Call,
    *,
    is_read: bool = False,
    each: int = 1,
    device: torch.device | None = None,
) -> Iterator[None]:
    """Bypass the mid-block of `unet` for a call inside the `with`; whatever happens, undo it.

    is_read: whether something records inside the mid-block, so that it runs even at lam 1.
    each: rows of the mid-block for each row of the call (a video's frames).
    device: where the call computes, so that bypasses by row lie there before it.
    """
    lam = call.lam(each)
    if lam == 0.0:
        yield
        return
    holder, name = find_mid_block(unet)
    inner = getattr(holder, name)
    skips = call.dial.skip_compute and not is_read
    setattr(holder, name, BypassedMidBlock(inner, lam, skips, device))
    try:
        yield
    finally:
        setattr(holder, name, inner)


class BypassedMidBlock(nn.Module):
    """Looks like the mid-block it stands for: same children, same key names, same attributes."""

    inner: Any
    lam: Lam
    weight: float | torch.Tensor
    skips: bool
    layers: list[nn.Module]

    def __init__(
        self,
        inner: nn.Module,
        lam: Lam,
        skip_compute: bool = True,
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        # Past nn.Module.__setattr__, which would register the block as a child of itself.
        self.__dict__["inner"] = inner
        self.__dict__["_modules"] = inner._modules
        self.__dict__["lam"] = lam
        self.__dict__["weight"] = _weight(lam, device)
        self.__dict__["skips"] = lam == 1.0 and skip_compute
        self.__dict__["layers"] = self._plan(inner)
        self.training = inner.training

    def _plan(self, inner: nn.Module) -> list[nn.Module]:
        # Built here and not in __iter__: that runs inside a compiled region.
        if not isinstance(inner, Iterable):
            return []
        if self.skips:
            stand_ins = [keeps_index(layer) for layer in inner]
            return [*(layer for layer in stand_ins if layer is not None), _Copy()]
        memory: list[torch.Tensor] = []
        return [_Remember(memory), *inner, _Blend(memory, self.weight)]

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["inner"], name)

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index):
        return self.inner[index]

    def forward(self, *args, **kwargs) -> torch.Tensor:
        """The blend of the mid-block's output and its input `h [B, C, ...]`, the first argument
        or, where a host calls by keyword, `hidden_states`."""
        h = args[0] if args else kwargs["hidden_states"]
        if self.skips:
            return h.clone()
        return blend(self.inner(*args, **kwargs), h, self.weight)


def _weight(lam: Lam, device: torch.device | None) -> float | torch.Tensor:
    """A bypass for `blend`. Rows as a tensor, made before the call: within a compiled region each
    new tuple would be a new graph. Without waiting: the copy of a few bytes is queued."""
    if not isinstance(lam, tuple):
        return lam
    return torch.tensor(lam, dtype=torch.float32).to(device, non_blocking=True)


def blend(out: torch.Tensor, h: torch.Tensor, lam: float | torch.Tensor) -> torch.Tensor:
    """`torch.lerp(out, h, lam)` for one lam or one for each row; exact at 0 and 1.

    out, h: `[B, C, ...]`, same shape; lam: a number or `[B]`. Never returns `h` itself: `h` is
    also the last skip connection, into which hosts write. Raises ValueError if shapes or rows
    do not match.
    """
    if out.shape != h.shape:
        raise ValueError(
            f"The mid-block turned {tuple(h.shape)} into {tuple(out.shape)}; only a mid-block "
            "that keeps the shape can be bypassed."
        )
    if not isinstance(lam, torch.Tensor):
        return torch.lerp(out, h, lam)
    if lam.shape[0] != h.shape[0]:
        raise ValueError(
            f"The bypass has {lam.shape[0]} rows, the mid-block's input {h.shape[0]}: this host "
            "batches in a way that cannot be followed; use apply_to = both."
        )
    weight = lam.to(h.device, h.dtype, non_blocking=True).view(-1, *[1] * (h.ndim - 1))
    mixed = torch.lerp(out, h, weight)
    return torch.where(weight == 0, out, torch.where(weight == 1, h, mixed))


class _Copy(nn.Module):
    """Ends a skipped mid-block. A copy, since hosts write into what follows (ControlNet's
    residual, FreeU's scales) while the skip connection still holds the input."""

    def forward(self, h: torch.Tensor, *_args, **_kwargs) -> torch.Tensor:
        return h.clone()


class _Remember(nn.Module):
    """Begins a looped mid-block: keeps its input for the blend."""

    def __init__(self, memory: list[torch.Tensor]) -> None:
        super().__init__()
        self.memory = memory

    def forward(self, h: torch.Tensor, *_args, **_kwargs) -> torch.Tensor:
        self.memory.append(h)
        return h


class _Blend(nn.Module):
    """Ends a looped mid-block: blends its output with the kept input."""

    def __init__(self, memory: list[torch.Tensor], weight: float | torch.Tensor) -> None:
        super().__init__()
        self.memory, self.weight = memory, weight

    def forward(self, out: torch.Tensor, *_args, **_kwargs) -> torch.Tensor:
        return blend(out, self.memory.pop(), self.weight)
