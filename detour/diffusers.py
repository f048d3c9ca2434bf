"""The mid-block bypass for scripts that use diffusers' pipelines and U-Nets.

    with mid_block_bypass(pipe, Schedule(strength=1.0, end_percent=0.3)) as coverage:
        images = pipe("a nurse at work").images
    print(coverage.bypassed, "of", coverage.calls, "model calls were bypassed")

diffusers itself is not imported here: pipelines, U-Nets and schedulers are used as they are.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .coverage import Coverage
from .midblock import bypassed, find_mid_block, rows_for, uniform
from .progress import SigmaTable, StepTable, stable_diffusion_sigmas
from .schedule import APPLY_TO, Schedule, require_choice

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

    pipe_or_unet: a diffusers pipeline, or a `UNet2DModel` / `UNet2DConditionModel`.
    scheduler: for a bare U-Net, the scheduler of the loop; without one the timesteps are read
        as Stable Diffusion's 0..999. A pipeline brings its own.
    apply_to: `both`, or `cond` / `uncond` for pipelines (their batch is [uncond, cond] while
        guidance is on, and cond alone while it is off).

    Raises ValueError for a model without a mid-block and for what cannot be told of a U-Net.
    """
    require_choice("apply_to", apply_to, APPLY_TO)
    pipe = pipe_or_unet if hasattr(pipe_or_unet, "unet") else None
    unet = pipe_or_unet if pipe is None else pipe.unet
    find_mid_block(_uncompiled(unet))
    # Of the class: a pipeline that was never called cannot tell its own value yet.
    if apply_to != "both" and not hasattr(pipe.__class__, "do_classifier_free_guidance"):
        raise ValueError(
            f"apply_to is {apply_to!r}, but {pipe_or_unet.__class__.__name__} does not tell which "
            "rows are conditioned; use apply_to = both."
        )
    clock = _Clock(schedule, scheduler if pipe is None else pipe.scheduler)
    calls = _Calls(unet, pipe, clock, apply_to, skip_compute, Coverage(schedule))
    with calls.open:
        before = unet.register_forward_pre_hook(calls.enter, with_kwargs=True)
        after = unet.register_forward_hook(calls.leave, always_call=True)
        try:
            yield calls.coverage
        finally:
            before.remove()
            after.remove()
            notice = calls.coverage.missed_window()
            if notice:
                log.warning(notice)


@dataclass
class _Calls:
    """The U-Net's calls of one `with`; `open` holds the bypass of the one under way."""

    unet: Any
    pipe: Any
    clock: _Clock
    apply_to: str
    skip_compute: bool
    coverage: Coverage
    open: ExitStack = field(default_factory=ExitStack)

    def enter(self, _unet: nn.Module, args: tuple, kwargs: dict) -> None:
        """Before a call: bypass it as far as its progress says."""
        sample, timestep = _first_two(args, kwargs)
        progress = self.clock.progress(timestep, sample.shape[0])
        lams = [self.clock.schedule.lam(place) for place in progress]
        if self.apply_to != "both":
            lams = rows_for(lams, _conditioned(self.pipe, len(lams)), self.apply_to)
        self.coverage.record(progress, lams)
        mid = bypassed(_uncompiled(self.unet), uniform(lams), skip_compute=self.skip_compute)
        self.open.enter_context(mid)

    def leave(self, _unet: nn.Module, _args: tuple, _output: Any) -> None:
        """After a call, also one that failed."""
        self.open.close()


def _uncompiled(unet: Any) -> Any:
    return getattr(unet, "_orig_mod", unet)


def _first_two(args: tuple, kwargs: dict) -> tuple[torch.Tensor, Any]:
    sample = args[0] if args else kwargs["sample"]
    return sample, args[1] if len(args) > 1 else kwargs["timestep"]


def _conditioned(pipe: Any, rows: int) -> list[bool]:
    """For each row of a pipeline's batch whether it is conditioned."""
    if getattr(pipe, "do_perturbed_attention_guidance", False):
        raise ValueError(
            "With perturbed-attention guidance the rows of a batch cannot be told apart; use "
            "apply_to = both."
        )
    if not pipe.do_classifier_free_guidance:
        return [True] * rows
    return [False] * (rows // 2) + [True] * (rows // 2)


@dataclass
class _Clock:
    """Reads the progress from timesteps. State of one `with`: the run that is under way."""

    schedule: Schedule
    scheduler: Any
    table: SigmaTable = field(init=False)
    steps: StepTable | None = None
    last_sigma: float = 0.0

    def __post_init__(self) -> None:
        if self.schedule.schedule_by == "step" and self.scheduler is None:
            raise ValueError(
                "schedule_by = step needs the steps of the run: pass scheduler=..., or use "
                "schedule_by = sigma."
            )
        self.table = SigmaTable(tuple(_training_sigmas(self.scheduler)))

    def progress(self, timestep: Any, rows: int) -> list[float]:
        """The progress 0..1 for each row; timestep: a number, or a tensor with one or `rows`."""
        times = timestep.flatten().tolist() if torch.is_tensor(timestep) else [float(timestep)]
        sigmas = [self._sigma(float(time)) for time in times]
        table = self._run_table(max(sigmas)) if self.schedule.schedule_by == "step" else self.table
        found = [table.progress(sigma) for sigma in sigmas]
        return found * rows if len(found) == 1 else found

    def _sigma(self, timestep: float) -> float:
        """The sigma of a call. A scheduler may round its timesteps, so its own sigma of the
        current step is taken if it belongs to this timestep."""
        continuous = _is_continuous(self.scheduler)
        by_table = math.exp(4 * timestep) if continuous else self._table_sigma(timestep)
        sigmas = getattr(self.scheduler, "sigmas", None)
        index = getattr(self.scheduler, "step_index", None)
        if sigmas is None:
            return by_table
        if index is None:
            index = getattr(self.scheduler, "begin_index", None) or 0
        if not index < len(sigmas):
            return by_table
        own = float(sigmas[index])
        scale = len(self.table.sigmas) - 1
        apart = abs(self.table.progress(own) - self.table.progress(by_table)) * scale
        return own if apart <= 1.0 else by_table

    def _table_sigma(self, timestep: float) -> float:
        return self.table.sigma(1.0 - timestep / (len(self.table.sigmas) - 1))

    def _run_table(self, sigma: float) -> StepTable:
        """The steps of the run under way; a run begins where the sigma goes up."""
        if self.steps is None or sigma > self.last_sigma * (1 + 1e-6):
            self.steps = StepTable(tuple(self._run_sigmas(sigma)))
        self.last_sigma = sigma
        return self.steps

    def _run_sigmas(self, first: float) -> list[float]:
        """The distinct sigmas of the scheduler's steps from `first` on, and the closing 0."""
        own = getattr(self.scheduler, "sigmas", None)
        if own is not None:
            every = [float(sigma) for sigma in own]
        else:
            every = [self._table_sigma(float(time)) for time in self.scheduler.timesteps]
        falling = sorted({sigma for sigma in every if sigma <= first * (1 + 1e-6)}, reverse=True)
        return falling if falling and falling[-1] == 0.0 else [*falling, 0.0]


def _is_continuous(scheduler: Any) -> bool:
    """True if the timesteps are log(sigma) / 4, as SVD's Euler and the EDM schedulers have them."""
    of_sigma = getattr(scheduler, "precondition_noise", None)
    if of_sigma is not None:
        return math.isclose(float(of_sigma(math.e)), 0.25, rel_tol=1e-5)
    config = getattr(scheduler, "config", {})
    by_v = config.get("prediction_type") == "v_prediction"
    return by_v and config.get("timestep_type") == "continuous"


def _training_sigmas(scheduler: Any) -> Sequence[float]:
    """The sigma table that a scheduler's model was trained with, rising."""
    if scheduler is None:
        return stable_diffusion_sigmas()
    if _is_continuous(scheduler):
        low, high = scheduler.config["sigma_min"], scheduler.config["sigma_max"]
        return [low * (high / low) ** (index / 999) for index in range(1000)]
    kept = getattr(scheduler, "alphas_cumprod", None)
    if kept is None:
        raise ValueError(
            f"{scheduler.__class__.__name__} has no alphas_cumprod, so the progress cannot be "
            "told; use a scheduler such as DDIM, Euler, DPM++ or UniPC."
        )
    alphas = kept.double().clamp(1e-12, 1 - 1e-12)
    return ((1 - alphas) / alphas).sqrt().tolist()
