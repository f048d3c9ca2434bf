"""What a run did with its schedule: proof that the bypass fired, or a notice that it did not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .schedule import Schedule


@dataclass
class Coverage:
    """Counts the model calls of one run. It belongs to that run and is thrown away after it.

    calls: calls in which the U-Net ran; bypassed: those of them with a bypass.
    reached: calls inside the window; other_half: those whose rows `apply_to` left out.
    from_cache: calls that something else answered, so that the U-Net did not run.
    """

    schedule: Schedule
    calls: int = 0
    reached: int = 0
    bypassed: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    other_half: int = 0
    from_cache: int = 0

    def record(
        self,
        progress: Sequence[float],
        lams: Sequence[float],
        *,
        ran: bool = True,
        other_half: bool = False,
    ) -> None:
        """Count one model call with the progress and the bypass of each of its rows.

        ran: whether the U-Net ran in it. other_half: whether it would have been bypassed if
            `apply_to` had not left its rows out.
        """
        self.calls += ran
        self.from_cache += not ran
        self.reached += any(self.schedule.contains(place) for place in progress)
        self.bypassed += ran and any(lam != 0.0 for lam in lams)
        self.other_half += other_half
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

    def missed(self, apply_to: str = "both") -> str | None:
        """The notice for a run in which nothing could be bypassed: the window or the half of
        guidance was never there; None if there was something."""
        if self.other_half and not self.bypassed:
            half = "the prompt" if apply_to == "cond" else "the negative prompt"
            return (
                f"Nothing was bypassed: apply_to is {apply_to}, and no call of this model had "
                f"rows of {half} (guidance is off, or another model has them); use apply_to = both."
            )
        return self.missed_window()

    def summary(self, apply_to: str = "both") -> str:
        """One line for the user: the notice of a run that missed, or what was bypassed."""
        done = f"bypassed {self.bypassed} of {self.calls} model calls"
        if self.from_cache:
            done += f"; {self.from_cache} more came from a cache, without the U-Net"
        return self.missed(apply_to) or f"strength {self.schedule.strength:g}: {done}"
