"""The ways of Detour for scripts that use diffusers' pipelines and U-Nets.

    with mid_block_bypass(pipe, Schedule(strength=1.0, end_percent=0.3)) as coverage:
        images = pipe("a nurse at work").images
    print(coverage.bypassed, "of", coverage.calls, "model calls were bypassed")

`guidance_relief` and `prompt_fade` are used in the same way, and any of them together.
diffusers itself is not imported here: pipelines, U-Nets and schedulers are used as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn

from .diffusers_acting import ACTING, Acting, ActingBypass, calls_of
from .diffusers_clock import Clock
from .diffusers_rows import require_known_rows
from .schedule import Schedule
from .ways.bypass import BypassCoverage, Dial
from .ways.fade import Fade, FadeCoverage
from .ways.relief import Relief, ReliefCoverage
from .ways.targets import find_mid_block
from .ways.way import Way

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
        run = pipeline_way(lambda: pipe_or_unet, lambda: dial)
    else:
        _require_unet(pipe_or_unet)
        if apply_to != "both":
            require_known_rows(pipe_or_unet)
        clock = Clock(schedule.schedule_by, lambda: scheduler)
        run = _opened(pipe_or_unet, ActingBypass(lambda: dial, clock))
    with _told(run) as coverage:
        yield coverage


@contextmanager
def guidance_relief(pipe: Any, schedule: Schedule) -> Iterator[ReliefCoverage]:
    """Let the guidance scale go to 1 in every U-Net call inside the `with`; yields its count. At 1
    the negative prompt's rows are not computed.

    pipe: a diffusers pipeline whose batches are known (listed in docs/diffusers.md).

    Raises ValueError with one sentence for another pipeline.
    """
    relief = Relief(schedule)
    with _told(pipeline_way(lambda: pipe, lambda: relief)) as coverage:
        yield coverage


@contextmanager
def prompt_fade(
    pipe: Any, schedule: Schedule, *, toward: str = "negative", seed: int = 0
) -> Iterator[FadeCoverage]:
    """Let the prompt's embedding go to the negative prompt's, or to noise, in every U-Net call
    inside the `with`; yields its count.

    pipe: a diffusers pipeline whose batches are known (listed in docs/diffusers.md).
    toward: `negative` (with guidance on) or `noise`; seed: of the noise.

    Raises ValueError with one sentence for another pipeline, for values that cannot be used, and
    in the first U-Net call where there is no negative prompt to fade to.
    """
    fade = Fade(schedule, toward, seed)
    with _told(pipeline_way(lambda: pipe, lambda: fade)) as coverage:
        yield coverage


@contextmanager
def pipeline_way(find_pipe: Callable[[], Any], find_way: Callable[[], Way]) -> Iterator[Any]:
    """Let a way act in a pipeline's U-Net calls; yields its count. For hosts that put another
    pipeline, another scheduler or another schedule in place during a run: both are asked for at
    each call. The U-Net, the kind of way, `apply_to` and `schedule_by` are those of the beginning.
    """
    pipe, way = find_pipe(), find_way()
    if isinstance(way, Dial):
        find_mid_block(pipe.unet)
    else:
        _require_pipe(pipe)
    clock = Clock(way.schedule.schedule_by, lambda: find_pipe().scheduler, find_pipe)
    with _opened(pipe.unet, ACTING[type(way)](find_way, clock)) as coverage:
        yield coverage


@contextmanager
def _opened(unet: nn.Module, acting: Acting) -> Iterator[Any]:
    calls = calls_of(unet)
    calls.add(acting)
    try:
        yield acting.coverage
    finally:
        calls.remove(acting)


@contextmanager
def _told(run: AbstractContextManager[Any]) -> Iterator[Any]:
    """Log the notice of a run that missed."""
    with run as coverage:
        try:
            yield coverage
        finally:
            notice = coverage.missed() if coverage.calls else None
            if notice:
                log.warning(notice)


def _require_pipe(pipe: Any) -> None:
    """Raise ValueError for what is no pipeline with a U-Net."""
    if not hasattr(pipe, "unet"):
        raise ValueError(
            "Guidance Relief and Prompt Fade need a pipeline with a part named unet, and "
            f"{pipe.__class__.__name__} has none; docs/diffusers.md lists those that can be used."
        )


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
