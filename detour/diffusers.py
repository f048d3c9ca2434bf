"""The mid-block bypass for scripts that use diffusers' pipelines and U-Nets.

    with mid_block_bypass(pipe, Schedule(strength=1.0, end_percent=0.3)) as coverage:
        images = pipe("a nurse at work").images
    print(coverage.bypassed, "of", coverage.calls, "model calls were bypassed")

diffusers itself is not imported here: pipelines, U-Nets and schedulers are used as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .diffusers_clock import Clock
from .diffusers_rows import conditioned, require_known_rows
from .schedule import Schedule
from .ways.bypass import BypassCoverage, Dial, bypassed
from .ways.targets import find_mid_block, uncompiled

log = logging.getLogger(__name__)


@contextmanager
def mid_block_bypass(
    pipe_or_unet: Any,
    schedule: Schedule,
    *,
    scheduler: Any = None,
    apply_to: str = "both",
    skip_compute: bool = True,
) -> Iterator[BypassCoverage]:
    """Bypass the mid-block in every U-Net call inside the `with`; yields its count.

    pipe_or_unet: a diffusers pipeline with a `unet`, or a U-Net of diffusers.
    scheduler: for a bare U-Net, the scheduler of the loop; without one the timesteps are read
        as Stable Diffusion's 0..999. A pipeline brings its own.
    apply_to: `both`, or `cond` / `uncond` for pipelines whose batches are known (listed in
        docs/diffusers.md).
    skip_compute: at lam 1 do not run the mid-block, unless an attention processor reads in it.

    Raises ValueError for a model without a mid-block and for what cannot be told of a U-Net.
    """
    dial = Dial(schedule, apply_to, skip_compute)
    if hasattr(pipe_or_unet, "unet"):
        run = pipeline_bypass(lambda: pipe_or_unet, lambda: dial)
    else:
        _require_unet(pipe_or_unet)
        if apply_to != "both":
            require_known_rows(pipe_or_unet)
        clock = Clock(schedule.schedule_by, lambda: scheduler)
        run = _followed(_Calls(pipe_or_unet, clock, lambda: dial))
    with run as coverage:
        try:
            yield coverage
        finally:
            notice = coverage.missed()
            if notice:
                log.warning(notice)


@contextmanager
def pipeline_bypass(
    find_pipe: Callable[[], Any], find_dial: Callable[[], Dial]
) -> Iterator[BypassCoverage]:
    """As `mid_block_bypass`, for hosts that put another pipeline, another scheduler or another
    schedule in place during a run: both are asked for at each call. The U-Net, `apply_to` and
    `schedule_by` are those of the beginning.
    """
    pipe, dial = find_pipe(), find_dial()
    find_mid_block(pipe.unet)
    if dial.apply_to != "both":
        require_known_rows(pipe)
    clock = Clock(dial.schedule.schedule_by, lambda: find_pipe().scheduler, find_pipe)
    with _followed(_Calls(pipe.unet, clock, find_dial)) as coverage:
        yield coverage


@contextmanager
def _followed(calls: _Calls) -> Iterator[BypassCoverage]:
    with calls.open:
        before = calls.unet.register_forward_pre_hook(calls.enter, with_kwargs=True)
        after = calls.unet.register_forward_hook(calls.leave, always_call=True)
        try:
            yield calls.coverage
        finally:
            before.remove()
            after.remove()


@dataclass
class _Calls:
    """The U-Net's calls of one `with`; `open` holds the bypass of the one under way."""

    unet: Any
    clock: Clock
    find_dial: Callable[[], Dial]
    coverage: BypassCoverage = field(init=False)
    open: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.coverage = BypassCoverage(self.find_dial())

    def enter(self, _unet: nn.Module, args: tuple, kwargs: dict) -> None:
        """Before a call: bypass it as far as its progress says."""
        self.open.close()  # torch tells no hook of a call that Ctrl-C ended
        sample, timestep = _first_two(args, kwargs)
        dial, rows = self.find_dial(), sample.shape[0]
        halves = dial.apply_to != "both"
        is_cond = conditioned(self.clock.find_pipe(), rows) if halves else ()
        call = dial.call(self.clock.progress(timestep, rows), is_cond)
        self.coverage.record(call)
        self.open.enter_context(
            bypassed(
                self.unet,
                call,
                is_read=call.lam() == 1.0 and _is_read(self.unet),
                each=_frames(self.unet, sample),
                device=sample.device,
            )
        )

    def leave(self, _unet: nn.Module, _args: tuple, _output: Any) -> None:
        """After a call, also one that failed."""
        self.open.close()


def _require_unet(model: Any) -> None:
    """Raise ValueError if there is no mid-block; of a pipeline's parts that have one tell the
    names."""
    parts = getattr(model, "components", {})
    names = [name for name, part in parts.items() if _is_unet(part)]
    if names:
        raise ValueError(
            f"{model.__class__.__name__} has no part named unet; pass one of its U-Nets "
            f"({', '.join(names)}) with that one's scheduler."
        )
    find_mid_block(model)


def _is_unet(part: Any) -> bool:
    return isinstance(part, nn.Module) and isinstance(getattr(part, "mid_block", None), nn.Module)


def _is_read(unet: nn.Module) -> bool:
    """Whether something may record inside the mid-block, so that it has to run: an attention
    processor other than diffusers' models bring (SAG, Attend-and-Excite, LEDITS++, your own)."""
    holder, name = find_mid_block(unet)
    modules = getattr(holder, name).modules()
    processors = [getattr(module, "processor", None) for module in modules]
    kinds = {type(processor) for processor in processors if processor is not None}
    return any(not kind.__module__.startswith("diffusers.models.") for kind in kinds)


def _frames(unet: Any, sample: torch.Tensor) -> int:
    """How many rows of the mid-block one row of a video's batch is (its frames in a row)."""
    if sample.ndim < 5:
        return 1
    by_frame = "SpatioTemporal" in uncompiled(unet).__class__.__name__
    return sample.shape[1 if by_frame else 2]


def _first_two(args: tuple, kwargs: dict) -> tuple[torch.Tensor, Any]:
    sample = args[0] if args else kwargs["sample"]
    return sample, args[1] if len(args) > 1 else kwargs["timestep"]
