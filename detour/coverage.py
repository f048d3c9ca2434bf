"""What a run did with its schedule: proof that the bypass fired, or a notice that it did not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .schedule import Schedule


@dataclass
class Coverage:
    """Counts the model calls of one run. It belongs to that run and is thrown away after it.

    calls: model calls; reached: those inside the window; bypassed: those with a bypass.
    """

    schedule: Schedule
    calls: int = 0
    reached: int = 0
    bypassed: int = 0
    lowest: float = math.inf
    highest: float = -math.inf

    def record(self, progress: Sequence[float], lams: Sequence[float]) -> None:
        """Count one model call with the progress and the bypass of each of its rows."""
        self.calls += 1
        self.reached += any(self.schedule.contains(place) for place in progress)
        self.bypassed += any(lam != 0.0 for lam in lams)
        self.lowest = min(self.lowest, *progress)
        self.highest = max(self.highest, *progress)

    def missed_window(self) -> str | None:
        """The notice for a run of which no call fell into the window; None if one did."""
        if self.calls == 0 or self.reached > 0:
            return None
        by_step = self.schedule.schedule_by == "step"
        remedy = "widen the window" if by_step else "use schedule_by = step"
        return (
            f"This run covered progress {self.lowest:.2g} to {self.highest:.2g}, the window "
            f"{self.schedule.start_percent:g} to {self.schedule.end_percent:g} was never "
            f"reached; {remedy}."
        )

    def summary(self) -> str:
        """One line for the user: the notice of a missed window, or what was bypassed."""
        done = f"bypassed {self.bypassed} of {self.calls} model calls"
        return self.missed_window() or f"strength {self.schedule.strength:g}: {done}"
