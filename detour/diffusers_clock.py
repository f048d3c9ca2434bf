"""Where a model call of a diffusers loop is: by its sigma, or by the step of the run.

By step nothing is computed from sigmas where it can be counted: a run is a stretch of its
scheduler's timesteps, and the place of a call in it over the number of steps is the progress,
whatever the schedule ends at and whichever way it goes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from .progress import SigmaTable, StepTable, continuous_sigma

NEAR = 5e-4
"""Half precision rounds timesteps by less than this share."""


@dataclass
class Run:
    """The run under way, a stretch of the scheduler's `times` from the entry `begin` on.

    steps: the timesteps at which its steps begin; closing: the one at which the last step
    ends, None where the list ends with it.
    order: entries for one step (2: Heun and the like), 0 if the scheduler repeats timesteps at
    will, so that they are told by value (PNDM, RePaint).
    asked: what told its extent, to see that another run has begun; last: the latest entry.
    """

    times: list[float]
    begin: int
    steps: list[float]
    closing: float | None
    order: int
    asked: tuple
    last: int

    def step(self, position: int) -> int | None:
        """The step at an entry of the list; None for an entry inside of a step."""
        time = self.times[position]
        if self.order == 0:
            return self.steps.index(time) if time in self.steps else None
        whole, inside = divmod(position - self.begin, self.order)
        if inside == 0:
            return whole
        at_next = position + 1 < len(self.times) and self.times[position + 1] == time
        return whole + 1 if at_next else None


@dataclass
class Clock:
    """Reads the progress from timesteps. State of one `with`: the run that is under way.

    find_scheduler: of the loop, None for Stable Diffusion's 0..999; find_pipe: the pipeline, if
        there is one. Asked for at each call, since hosts put others in place.
    """

    schedule_by: str
    find_scheduler: Callable[[], Any]
    find_pipe: Callable[[], Any] = lambda: None
    table: SigmaTable | None = None
    seen: tuple = ()
    shift: float | None = None
    run: Run | None = None
    listed: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.schedule_by == "step":
            self._require_steps()
        else:
            self._table()

    def progress(self, timestep: Any, rows: int) -> list[float]:
        """The progress 0..1 for each row; timestep: a number, a tensor with one or `rows`, or None
        for the one that the scheduler is at."""
        timestep = self._now() if timestep is None else timestep
        times = timestep.flatten().tolist() if torch.is_tensor(timestep) else [float(timestep)]
        read = self._by_step if self.schedule_by == "step" else self._by_sigma
        found = [read(float(time)) for time in times]
        return found * rows if len(found) == 1 else found

    def _now(self) -> float:
        scheduler = self.find_scheduler()
        return float(scheduler.timesteps[_current_index(scheduler) or 0])

    def _require_steps(self) -> None:
        if self.find_scheduler() is None:
            raise ValueError(
                "schedule_by = step needs the steps of the run: pass scheduler=..., or use "
                "schedule_by = sigma."
            )
        pipe = self.find_pipe()
        kind = pipe.__class__
        takes = inspect.signature(kind.__call__).parameters if pipe is not None else {}
        if "denoising_end" in takes and not hasattr(kind, "denoising_end"):
            raise ValueError(
                f"{kind.__name__} does not tell where its run ends (denoising_end), so "
                "schedule_by = step cannot be followed; use schedule_by = sigma."
            )

    def _table(self) -> SigmaTable:
        """The model's sigmas, read anew when another scheduler was put in place."""
        scheduler = self.find_scheduler()
        seen = (scheduler.__class__, getattr(scheduler, "alphas_cumprod", None))
        shift = _shift(scheduler) if _is_flow(scheduler) else None
        known = self.seen and seen[0] is self.seen[0] and seen[1] is self.seen[1]
        if self.table is None or not known or shift != self.shift:
            self.table, self.seen, self.shift = _training_table(scheduler), seen, shift
        return self.table

    def _by_sigma(self, timestep: float) -> float:
        """A scheduler may round its timesteps, so its own sigma of the current step is taken
        if it belongs to this timestep."""
        table, by_table = self._table(), self._table_sigma(timestep)
        scheduler = self.find_scheduler()
        sigmas = getattr(scheduler, "sigmas", None)
        index = _current_index(scheduler) or 0
        if sigmas is None or not index < len(sigmas):
            return table.progress(by_table)
        own = table.progress(float(sigmas[index]))
        if _is_flow(scheduler) and float(scheduler.timesteps[index]) == timestep:
            return own
        apart = abs(own - table.progress(by_table)) * (len(table.sigmas) - 1)
        return own if apart <= 1.0 else table.progress(by_table)

    def _table_sigma(self, timestep: float) -> float:
        scheduler = self.find_scheduler()
        if _is_continuous(scheduler):
            return continuous_sigma(timestep)
        if _is_flow(scheduler):
            return timestep / scheduler.config["num_train_timesteps"]
        return self._table().at_timestep(timestep)

    def _by_step(self, timestep: float) -> float:
        run, position = self._follow(timestep)
        step = None if position is None else run.step(position)
        if step is not None:
            return min(step / len(run.steps), 1.0)
        sigmas = [self._table_sigma(time) for time in run.steps]
        sigmas.append(0.0 if run.closing is None else self._table_sigma(run.closing))
        return StepTable(tuple(sigmas)).progress(self._table_sigma(timestep))

    def _follow(self, timestep: float) -> tuple[Run, int | None]:
        """The run under way and the place of this call in its list; None if it is not in it.

        Another run has begun if the list or what bounds it is another, or if the place lies
        before the run; in a list made anew with the same values (Panorama copies it for each
        view) if the place goes back.
        """
        scheduler, pipe, run = self.find_scheduler(), self.find_pipe(), self.run
        listed = scheduler.timesteps
        told = [getattr(pipe, name, None) for name in ("_num_timesteps", "_denoising_end")]
        asked = (getattr(scheduler, "begin_index", None), *told)
        anew = listed is not self.listed
        if run is None or anew:
            times = [float(time) for time in listed]
        else:
            times = run.times
        position = _position(scheduler, times, timestep)
        if run is not None and (times != run.times or asked != run.asked):
            run = None
        if run is not None and position is not None:
            went_back = position < run.begin or (anew and position < run.last)
            run = None if went_back else run
        run = run or _begin(scheduler, times, position or 0, asked)
        run.last = run.last if position is None else position
        self.run, self.listed = run, listed
        return run, position


def _begin(scheduler: Any, times: list[float], begin: int, asked: tuple) -> Run:
    """The run that begins at an entry of the scheduler's list; asked: see `Run`."""
    count, order = asked[1] or len(times), getattr(scheduler, "order", 1)
    ending = asked[2]
    if not hasattr(scheduler, "step_index"):
        order = 0  # of equal entries the run begins at the last from which it fits the list
        equal = [at for at, time in enumerate(times) if time == times[begin]]
        begin = max((at for at in equal if at + count <= len(times)), default=begin)
    entries = times[begin : begin + count]
    if isinstance(ending, float) and 0.0 < ending < 1.0:  # some count before they cut
        cut = round((1.0 - ending) * scheduler.config["num_train_timesteps"])
        entries = [time for time in entries if time >= cut]
    if order == 0:
        own = getattr(scheduler, "_timesteps", entries)  # PNDM's, no Runge-Kutta stages
        steps = [time for time in dict.fromkeys(entries) if time in own]
    else:
        steps = entries[::order]
    after = begin + max(len(entries), len(steps) * order)
    closing = times[after] if after < len(times) else None
    return Run(times, begin, steps, closing, order, asked, begin)


def _current_index(scheduler: Any) -> int | None:
    """The place that a scheduler is at, or at which its next run begins."""
    index = getattr(scheduler, "step_index", None)
    return getattr(scheduler, "begin_index", None) if index is None else index


def _position(scheduler: Any, times: Sequence[float], time: float) -> int | None:
    """The place of a timestep in the list: the scheduler's own if it is there, else the first."""
    index = _current_index(scheduler)
    if index is not None and index < len(times) and _near(times[index], time):
        return index
    nearest = min(range(len(times)), key=lambda i: abs(times[i] - time))
    return nearest if _near(times[nearest], time) else None


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= NEAR * max(1.0, abs(b))


def _is_continuous(scheduler: Any) -> bool:
    """True if the timesteps are log(sigma) / 4, as SVD's Euler and the EDM schedulers have them."""
    of_sigma = getattr(scheduler, "precondition_noise", None)
    if of_sigma is not None:
        return math.isclose(float(of_sigma(math.e)), 0.25, rel_tol=1e-5)
    config = getattr(scheduler, "config", {})
    by_v = config.get("prediction_type") == "v_prediction"
    return by_v and config.get("timestep_type") == "continuous"


def _is_flow(scheduler: Any) -> bool:
    """True if sigma is the share of noise, 0 to 1, and the timesteps are it many times over."""
    by_flow = getattr(scheduler, "config", {}).get("use_flow_sigmas", False)
    return by_flow or scheduler.__class__.__name__.startswith("FlowMatch")


def _shift(scheduler: Any) -> float:
    """How much a scheduler of flow matching dwells on noise."""
    config = scheduler.config
    if config.get("use_dynamic_shifting", False):
        raise ValueError(
            f"This {scheduler.__class__.__name__} chooses its shift for each size of picture "
            "(use_dynamic_shifting), so that no schedule is the model's; use schedule_by = step."
        )
    return config.get("shift", config.get("flow_shift", 1.0))


def _training_table(scheduler: Any) -> SigmaTable:
    """The sigmas that a scheduler's model was trained with."""
    if scheduler is None:
        return SigmaTable.of_stable_diffusion()
    if _is_flow(scheduler):
        return SigmaTable.of_flow(_shift(scheduler))
    if _is_continuous(scheduler):
        return SigmaTable.between(scheduler.config["sigma_min"], scheduler.config["sigma_max"])
    kept = getattr(scheduler, "alphas_cumprod", None)
    if kept is None:
        raise ValueError(
            f"{scheduler.__class__.__name__} has no alphas_cumprod, so the progress cannot be "
            "told; use a scheduler such as DDIM, Euler, DPM++ or UniPC."
        )
    return SigmaTable.of_alphas(kept)
