"""What all ways have in common: settings with a schedule, and the count of what one run did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..schedule import Schedule


@dataclass(frozen=True)
class Way:
    """The settings of a way: what nodes, panel, API and scripts hand on, whole."""

    schedule: Schedule = field(default_factory=Schedule)

    def lams(self, progress: Sequence[float]) -> tuple[float, ...]:
        """How strongly the way acts on rows at these places of the denoising."""
        return tuple(self.schedule.lam(place) for place in progress)


@dataclass
class Coverage:
    """Counts what one run did. It belongs to that run and is thrown away after it.

    calls: the calls of whatever the way acts on; reached: those inside the window.
    """

    way: Way
    calls: int = 0
    reached: int = 0
    lowest: float = math.inf
    highest: float = -math.inf

    def visit(self, progress: Sequence[float], *, ran: bool = True) -> None:
        """Count one call with rows at these places; ran: False where a cache answered it."""
        self.calls += ran
        self.reached += any(self.way.schedule.contains(place) for place in progress)
        self.lowest = min(self.lowest, *progress)
        self.highest = max(self.highest, *progress)

    def missed(self) -> str | None:
        """The notice for a run in which the way could do nothing: here because the window was
        never there. None if there was something."""
        if self.calls == 0 or self.reached > 0:
            return None
        schedule = self.way.schedule
        remedy = "widen the window" if schedule.schedule_by == "step" else "use schedule_by = step"
        return (
            f"This run covered progress {self.lowest:.2g} to {self.highest:.2g}, the window "
            f"{schedule.start_percent:g} to {schedule.end_percent:g} was never reached; {remedy}."
        )

    def done(self) -> str:
        """What a run did that missed nothing, in a few words."""
        return f"acted in {self.reached} of {self.calls} model calls"

    def summary(self) -> str:
        """One line for the user: the notice of a run that missed, or what was done."""
        return self.missed() or f"strength {self.way.schedule.strength:g}: {self.done()}"
