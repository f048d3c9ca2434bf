"""What is known of a sampling run under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..detour.coverage import Coverage
from ..detour.progress import SigmaTable, StepTable
from ..detour.schedule import Schedule
from .rows import Role
from .sampler_steps import SamplerSteps


def model_table(model_sampling: Any) -> SigmaTable:
    """The sigma table of a model's `model_sampling`."""
    return SigmaTable(tuple(model_sampling.sigmas.flatten().tolist()))


@dataclass
class Run:
    """One run; it lives in the run's transformer options and is gone with them.

    coverages: one for each dial. roles, is_seconds: of the conditionings that are evaluated.
    in_tiles: whether a pack cuts each model call into tiles.
    """

    coverages: tuple[Coverage, ...]
    guider: Any = None
    steps: SamplerSteps | None = None
    in_tiles: bool = False
    roles: tuple[Role, ...] = ()
    is_seconds: bool = False
    tables: dict[tuple[str, int], tuple[object, Any]] = field(default_factory=dict)

    def clock(self, schedule: Schedule, model_sampling: Any, of_run: Any) -> SigmaTable | StepTable:
        """The table that tells the progress for a schedule.

        of_run: the run's sigmas as its calls are given them, for a run that is not known.
        """
        if schedule.schedule_by == "sigma":
            return self._table("sigma", model_sampling, lambda: model_table(model_sampling))
        if self.steps is not None:
            sigmas = self.steps.sigmas
            return self._table("step", sigmas, lambda: StepTable(sigmas))
        if of_run is None:
            raise ValueError(
                "schedule_by = step needs the sampler's list of sigmas, and this sampler does "
                "not give it; use schedule_by = sigma."
            )
        return self._table("step", of_run, lambda: StepTable(tuple(of_run.tolist())))

    def span(self, timestep: Any) -> tuple[float, float] | None:
        """See `SamplerSteps.span`."""
        return None if self.steps is None else self.steps.span(timestep)

    def _table(self, name: str, source: object, make: Callable[[], Any]) -> Any:
        """`make()`, kept for each `source`; there are several where a run has several devices."""
        place = (name, id(source))
        if place not in self.tables:
            self.tables[place] = (source, make())  # the source too: else its id could come again
        return self.tables[place][1]
