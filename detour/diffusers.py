"""The mid-block bypass for scripts that use diffusers' pipelines and U-Nets.

    with mid_block_bypass(pipe, Schedule(strength=1.0, end_percent=0.3)) as coverage:
        images = pipe("a nurse at work").images
    print(coverage.bypassed, "of", coverage.calls, "model calls were bypassed")

diffusers itself is not imported here: pipelines, U-Nets and schedulers are used as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .checks import require_choice
from .diffusers_clock import Clock
from .diffusers_rows import conditioned, require_known_rows
from .schedule import APPLY_TO, Coverage, Schedule, rows_for, uniform
from .ways.bypass import bypassed
from .ways.targets import find_mid_block

log = logging.getLogger(__name__)


@contextmanager
def mid_block_bypass(
    pipe_or_unet: Any,
    schedule: Schedule,
    *,
    scheduler: Any = None,
    apply_to: str = "both",
    skip_compute: bool = True,
) -> Iterator[Coverage]:
    """Bypass the mid-block in every U-Net call inside the `with`; yields the run's `Coverage`.

    pipe_or_unet: a diffusers pipeline with a `unet`, or a U-Net of diffusers.
    scheduler: for a bare U-Net, the scheduler of the loop; without one the timesteps are read
        as Stable Diffusion's 0..999. A pipeline brings its own.
    apply_to: `both`, or `cond` / `uncond` for pipelines whose batches are known (listed in
        docs/diffusers.md).
    skip_compute: at lam 1 do not run the mid-block, unless an attention processor reads in it.

    Raises ValueError for a model without a mid-block and for what cannot be told of a U-Net.
    """
    require_choice("apply_to", apply_to, APPLY_TO)
    pipe = pipe_or_unet if hasattr(pipe_or_unet, "unet") else None
    unet = pipe_or_unet if pipe is None else pipe.unet
    _require_mid_block(unet)
    if apply_to != "both":
        require_known_rows(pipe_or_unet)
    clock = Clock(schedule, scheduler if pipe is None else pipe.scheduler, pipe)
    calls = _Calls(unet, pipe, clock, apply_to, skip_compute, Coverage(schedule))
    with calls.open:
        before = unet.register_forward_pre_hook(calls.enter, with_kwargs=True)
        after = unet.register_forward_hook(calls.leave, always_call=True)
        try:
            yield calls.coverage
        finally:
            before.remove()
            after.remove()
            notice = calls.coverage.missed(apply_to)
            if notice:
                log.warning(notice)


@dataclass
class _Calls:
    """The U-Net's calls of one `with`; `open` holds the bypass of the one under way."""

    unet: Any
    pipe: Any
    clock: Clock
    apply_to: str
    skip_compute: bool
    coverage: Coverage
    open: ExitStack = field(default_factory=ExitStack)

    def enter(self, _unet: nn.Module, args: tuple, kwargs: dict) -> None:
        """Before a call: bypass it as far as its progress says."""
        self.open.close()  # torch tells no hook of a call that Ctrl-C ended
        sample, timestep = _first_two(args, kwargs)
        progress = self.clock.progress(timestep, sample.shape[0])
        wanted = lams = [self.clock.schedule.lam(place) for place in progress]
        if self.apply_to != "both":
            lams = rows_for(wanted, conditioned(self.pipe, len(wanted)), self.apply_to)
        self.coverage.record(progress, lams, other_half=any(wanted) and not any(lams))
        frames = _frames(self.unet, sample)
        lam = uniform([lam for lam in lams for _ in range(frames)])
        holder = _holder(self.unet)
        skip = self.skip_compute and lam == 1.0 and not _is_read(holder)
        self.open.enter_context(bypassed(holder, lam, skip_compute=skip, device=sample.device))

    def leave(self, _unet: nn.Module, _args: tuple, _output: Any) -> None:
        """After a call, also one that failed."""
        self.open.close()


def _holder(unet: Any) -> Any:
    """The module that the mid-block is an attribute of: behind `torch.compile` the U-Net, and of
    ControlNet-XS the pair of mid-blocks, whose own residual is added behind the base model's."""
    whole = getattr(unet, "_orig_mod", unet)
    pair = getattr(whole, "mid_block", None)
    return pair if hasattr(pair, "base_midblock") else whole


def _require_mid_block(model: Any) -> None:
    """Raise ValueError if there is none; of a pipeline's parts that have one tell the names."""
    parts = getattr(model, "components", {})
    names = [name for name, part in parts.items() if _is_unet(part)]
    if names:
        raise ValueError(
            f"{model.__class__.__name__} has no part named unet; pass one of its U-Nets "
            f"({', '.join(names)}) with that one's scheduler."
        )
    find_mid_block(_holder(model))


def _is_unet(part: Any) -> bool:
    return isinstance(part, nn.Module) and isinstance(getattr(part, "mid_block", None), nn.Module)


def _is_read(holder: nn.Module) -> bool:
    """Whether something may record inside the mid-block, so that it has to run: an attention
    processor other than diffusers' models bring (SAG, Attend-and-Excite, LEDITS++, your own)."""
    mid = getattr(holder, find_mid_block(holder))
    processors = [getattr(module, "processor", None) for module in mid.modules()]
    kinds = {type(processor) for processor in processors if processor is not None}
    return any(not kind.__module__.startswith("diffusers.models.") for kind in kinds)


def _frames(unet: Any, sample: torch.Tensor) -> int:
    """How many rows of the mid-block one row of a video's batch is (its frames in a row)."""
    if sample.ndim < 5:
        return 1
    by_frame = "SpatioTemporal" in getattr(unet, "_orig_mod", unet).__class__.__name__
    return sample.shape[1 if by_frame else 2]


def _first_two(args: tuple, kwargs: dict) -> tuple[torch.Tensor, Any]:
    sample = args[0] if args else kwargs["sample"]
    return sample, args[1] if len(args) > 1 else kwargs["timestep"]
