"""The ways of Detour for scripts that use diffusers' pipelines, U-Nets and transformers.

    with mid_block_bypass(pipe, Schedule(strength=1.0, end_percent=0.3)) as coverage:
        images = pipe("a nurse at work").images
    print(coverage.bypassed, "of", coverage.calls, "model calls were bypassed")

`guidance_relief` and `prompt_fade` are used in the same way, and any of them together.
diffusers itself is not imported here: pipelines, models and schedulers are used as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from torch import nn

from .diffusers_acting import ACTING, Acting, ActingBypass, calls_of
from .diffusers_call import is_unet
from .diffusers_clock import Clock
from .diffusers_rows import require_known_rows
from .schedule import Schedule
from .ways.bypass import BypassCoverage, Dial
from .ways.fade import Fade, FadeCoverage
from .ways.relief import Relief, ReliefCoverage
from .ways.targets import AUTO, find_blocks, find_mid_block, parse_blocks
from .ways.way import Way

log = logging.getLogger(__name__)


@contextmanager
def mid_block_bypass(
    pipe_or_model: Any,
    schedule: Schedule,
    *,
    scheduler: Any = None,
    apply_to: str = "both",
    skip_compute: bool = True,
    blocks: str = AUTO,
) -> Iterator[BypassCoverage]:
    """Bypass the mid-block, or a range of a transformer's blocks, in every call of the model inside
    the `with`; yields its count.

    pipe_or_model: a diffusers pipeline with a `unet` or a `transformer`, or one of these models.
    scheduler: for a bare model, the scheduler of the loop; without one the timesteps of a U-Net
        are read as Stable Diffusion's 0..999. A pipeline brings its own.
    apply_to: `both`, or `cond` / `uncond` for pipelines whose batches are known (listed in
        docs/diffusers.md).
    skip_compute: at lam 1 do not run what is bypassed, unless an attention processor reads in it.
    blocks: `auto` (the mid-block; of a transformer the middle third, which is a guess), or a range
        of a transformer's blocks such as `8-15`.

    Raises ValueError for a model without a mid-block that is no known transformer, and for what
    cannot be told of a model.
    """
    dial = Dial(schedule, apply_to, skip_compute, parse_blocks(blocks))
    if _denoisers(pipe_or_model):
        run = pipeline_way(lambda: pipe_or_model, lambda: dial)
    else:
        _require_model(pipe_or_model, dial, scheduler)
        if apply_to != "both":
            require_known_rows(pipe_or_model)
        clock = Clock(schedule.schedule_by, lambda: scheduler)
        run = _opened([pipe_or_model], ActingBypass(lambda: dial, clock))
    with _told(run) as coverage:
        yield coverage


@contextmanager
def guidance_relief(pipe: Any, schedule: Schedule) -> Iterator[ReliefCoverage]:
    """Let the guidance scale go to 1 in every model call inside the `with`; yields its count. At 1
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
    """Let the prompt's embedding go to the negative prompt's, or to noise, in every model call
    inside the `with`; yields its count.

    pipe: a diffusers pipeline whose batches are known (listed in docs/diffusers.md).
    toward: `negative` (with guidance on) or `noise`; seed: of the noise.

    Raises ValueError with one sentence for another pipeline, for values that cannot be used, and
    in the first model call where there is no negative prompt to fade to.
    """
    fade = Fade(schedule, toward, seed)
    with _told(pipeline_way(lambda: pipe, lambda: fade)) as coverage:
        yield coverage


@contextmanager
def pipeline_way(find_pipe: Callable[[], Any], find_way: Callable[[], Way]) -> Iterator[Any]:
    """Let a way act in a pipeline's model calls; yields its count. For hosts that put another
    pipeline, another scheduler or another schedule in place during a run: both are asked for at
    each call. The model, the kind of way, `apply_to` and `schedule_by` are those of the beginning.
    """
    pipe, way = find_pipe(), find_way()
    denoisers = _denoisers(pipe)
    if not denoisers:
        raise ValueError(
            f"The ways need a pipeline with a part named unet or transformer, and "
            f"{pipe.__class__.__name__} has none; docs/diffusers.md lists those that can be used."
        )
    if isinstance(way, Dial):
        for denoiser in denoisers:
            _require_part(denoiser, way)
    clock = Clock(way.schedule.schedule_by, lambda: find_pipe().scheduler, find_pipe)
    with _opened(denoisers, ACTING[type(way)](find_way, clock)) as coverage:
        yield coverage


@contextmanager
def _opened(denoisers: Sequence[nn.Module], acting: Acting) -> Iterator[Any]:
    with ExitStack() as opened:
        for denoiser in denoisers:
            calls = calls_of(denoiser)
            calls.add(acting)
            opened.callback(calls.remove, acting)
        yield acting.coverage


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


def _denoisers(pipe: Any) -> list[nn.Module]:
    """What a pipeline calls at each step: its U-Net, or its transformers (Wan 2.2 has two, one for
    the noisy part of the run). None of a model itself."""
    if isinstance(pipe, nn.Module):
        return []
    if hasattr(pipe, "unet"):
        return [pipe.unet]
    parts = [getattr(pipe, name, None) for name in ("transformer", "transformer_2")]
    return [part for part in parts if isinstance(part, nn.Module)]


def _require_part(denoiser: nn.Module, dial: Dial) -> None:
    """Raise ValueError if a model has not what a dial bypasses."""
    if is_unet(denoiser):
        find_mid_block(denoiser)
    find_blocks(denoiser, dial.blocks)


def _require_model(model: Any, dial: Dial, scheduler: Any) -> None:
    """The same for a model that is given without its pipeline; of a pipeline's parts that could be
    given instead tell the names."""
    parts = getattr(model, "components", {})
    names = [name for name, part in parts.items() if _is_unet(part)]
    if names:
        raise ValueError(
            f"{model.__class__.__name__} has no part named unet; pass one of its U-Nets "
            f"({', '.join(names)}) with that one's scheduler."
        )
    if not isinstance(model, nn.Module):
        find_mid_block(model)
    _require_part(model, dial)
    if not is_unet(model) and scheduler is None:
        raise ValueError(
            f"A call of {model.__class__.__name__} does not tell where in the run it is; pass "
            "scheduler=..., the one of the loop."
        )


def _is_unet(part: Any) -> bool:
    return isinstance(part, nn.Module) and isinstance(getattr(part, "mid_block", None), nn.Module)
