"""When, how strongly and for whom the mid-block is bypassed, and what was bypassed in a run.

`lam = strength * shape(u)` inside a half-open window of the progress, 0 outside of it, with
`u` the place inside the window. The formulas are ours, made from the abstract of
arXiv 2505.17560 v1 ("progressively" and "temporarily").
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from .checks import quoted, require_between, require_choice

SHAPES = ("constant", "ramp_up", "ramp_down", "bump", "cosine", "curve")
SCHEDULE_BY = ("sigma", "step")
APPLY_TO = ("both", "cond", "uncond")
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Schedule:
    """A bypass over the denoising; the field names are the node's input names.

    strength: the bypass at full height, -1..1. 0 never bypasses.
    shape: one of `SHAPES`.
    start_percent, end_percent: the window of the progress, 0..1, half-open.
    schedule_by: `sigma` (progress in the model's noise schedule) or `step` (in this run).
    points: for the shape `curve`, `(u, v)` pairs: at place u of the window v times strength.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    strength: float = 1.0
    shape: str = "constant"
    start_percent: float = 0.0
    end_percent: float = 0.3
    schedule_by: str = "sigma"
    points: Points = ()

    def __post_init__(self) -> None:
        require_between("strength", self.strength, -1.0, 1.0)
        require_between("start_percent", self.start_percent, 0.0, 1.0)
        require_between("end_percent", self.end_percent, 0.0, 1.0)
        if self.start_percent >= self.end_percent:
            raise ValueError(
                f"start_percent ({self.start_percent:g}) must be smaller than end_percent "
                f"({self.end_percent:g}): the bypass needs a window to be active in."
            )
        require_choice("shape", self.shape, SHAPES)
        require_choice("schedule_by", self.schedule_by, SCHEDULE_BY)
        _check_points(self.points)
        if self.shape == "curve" and not self.points:
            raise ValueError(
                "The shape 'curve' needs points: write them as u:v pairs, for example "
                "'0:1, 0.5:0.6, 1:0'."
            )

    def contains(self, progress: float) -> bool:
        """True inside the half-open window; an end of 1 includes the very end."""
        before_end = progress < self.end_percent or self.end_percent == 1.0
        return self.start_percent <= progress and before_end

    def reaches(self, least: float, most: float) -> bool:
        """True if a progress from `least` to `most` may lie inside the window."""
        before_end = least < self.end_percent or self.end_percent == 1.0
        return before_end and self.start_percent <= most

    def lam(self, progress: float) -> float:
        """The bypass at a progress of 0 (pure noise) to 1 (finished picture)."""
        if self.strength == 0.0 or not self.contains(progress):
            return 0.0
        u = (progress - self.start_percent) / (self.end_percent - self.start_percent)
        return self.strength * shape_value(self.shape, u, self.points)

    @property
    def is_off(self) -> bool:
        """True if no progress at all gets a bypass."""
        flat_curve = self.shape == "curve" and all(v == 0.0 for _, v in self.points)
        return self.strength == 0.0 or flat_curve


def shape_value(shape: str, u: float, points: Points = ()) -> float:
    """The height of a shape at `u` in 0..1 of the window; 1 is full strength."""
    if shape == "constant":
        return 1.0
    if shape == "ramp_up":
        return u
    if shape == "ramp_down":
        return 1.0 - u
    if shape == "bump":
        return math.sin(math.pi * u)
    if shape == "cosine":
        return (1.0 + math.cos(math.pi * u)) / 2.0
    return _interpolate(points, u)


def parse_points(text: str) -> Points:
    """The points written as `u:v, u:v`, for example `0:1, 0.5:0.6, 1:0`; empty text is none.

    Raises ValueError that names the part which cannot be read.
    """
    points = []
    for part in _parts(text):
        u, colon, v = part.partition(":")
        try:
            if not colon:
                raise ValueError
            points.append((float(u), float(v)))
        except ValueError:
            raise ValueError(
                f"Cannot read the point {quoted(part)}: write points as u:v pairs, for "
                "example '0:1, 0.5:0.6, 1:0'."
            ) from None
    _check_points(tuple(points))
    return tuple(points)


def parse_strengths(text: str) -> tuple[float, ...]:
    """The strengths written as `0, 0.25, 0.5, 1`.

    Raises ValueError that names the part which cannot be read.
    """
    strengths = []
    for part in _parts(text):
        try:
            strength = float(part)
        except ValueError:
            raise ValueError(
                f"Cannot read the strength {quoted(part)}: write numbers from -1 to 1 with "
                "commas between them, for example '0, 0.25, 0.5, 1'."
            ) from None
        require_between("strength", strength, -1.0, 1.0)
        strengths.append(strength)
    if not strengths:
        raise ValueError("strengths is empty: write at least one number, for example '0, 0.5, 1'.")
    return tuple(strengths)


def _parts(text: str) -> list[str]:
    parts = text.replace(";", ",").replace("\n", ",").split(",")
    return [part.strip() for part in parts if part.strip()]


def _check_points(points: Points) -> None:
    for u, v in points:
        require_between("The place u of a point", u, 0.0, 1.0)
        require_between("The value v of a point", v, -1.0, 1.0)
    places = [u for u, _ in points]
    if places != sorted(places):
        raise ValueError(
            f"The points' places must go up from left to right, but are "
            f"{', '.join(f'{u:g}' for u in places)}."
        )


def _interpolate(points: Points, u: float) -> float:
    """Piecewise linear through the points, the ends held; at a jump the later point counts."""
    after = bisect.bisect_right(points, u, key=lambda point: point[0])
    if after == 0:
        return points[0][1]
    if after == len(points):
        return points[-1][1]
    (u0, v0), (u1, v1) = points[after - 1], points[after]
    return v0 + (v1 - v0) * (u - u0) / (u1 - u0)


Lam = float | tuple[float, ...]
"""The bypass of a call: one number, or one for each row of its batch."""


@dataclass(frozen=True)
class Dial:
    """All settings of a bypass: what nodes, panel, API and scripts hand on, whole.

    apply_to: one of `APPLY_TO`: both halves of guidance, or the rows of the prompt (`cond`) or
        of the negative prompt (`uncond`) alone.
    skip_compute: at lam 1 do not run the mid-block; False runs it and drops the result, for
        patches that record something inside of it.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    schedule: Schedule = Schedule()
    apply_to: str = "both"
    skip_compute: bool = True

    def __post_init__(self) -> None:
        require_choice("apply_to", self.apply_to, APPLY_TO)

    def call(self, progress: Sequence[float], is_cond: Sequence[bool | None] = ()) -> Call:
        """The bypass of a model call whose rows are at these places of the denoising.

        is_cond: for each row whether it is the prompt's or the negative prompt's; None is
            neither. Not needed where `apply_to` is `both`.
        """
        wanted = [self.schedule.lam(place) for place in progress]
        lams = wanted
        if self.apply_to != "both":
            half = self.apply_to == "cond"
            rows = zip(wanted, is_cond, strict=True)
            lams = [lam if cond is half else 0.0 for lam, cond in rows]
        return Call(self, tuple(progress), tuple(lams), any(wanted) and not any(lams))


@dataclass(frozen=True)
class Call:
    """One model call: the progress and the bypass of each of its rows.

    other_half: whether it would be bypassed if `apply_to` had not left its rows out.
    """

    dial: Dial
    progress: tuple[float, ...]
    lams: tuple[float, ...]
    other_half: bool = False

    def lam(self, each: int = 1) -> Lam:
        """One number if all rows have the same bypass, else one for each.

        each: rows of the mid-block for each row of the call (a video's frames).
        """
        if len(set(self.lams)) == 1:
            return self.lams[0]
        return tuple(lam for lam in self.lams for _ in range(each))


@dataclass
class Coverage:
    """Counts the model calls of one run. It belongs to that run and is thrown away after it.

    calls: calls in which the U-Net ran; bypassed: those of them with a bypass.
    reached: calls inside the window; other_half: those whose rows `apply_to` left out.
    from_cache: calls that something else answered, so that the U-Net did not run.
    """

    dial: Dial
    calls: int = 0
    reached: int = 0
    bypassed: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    other_half: int = 0
    from_cache: int = 0

    def record(self, call: Call, *, ran: bool = True) -> None:
        """Count one model call; ran: whether the U-Net ran in it."""
        self.calls += ran
        self.from_cache += not ran
        self.reached += any(call.dial.schedule.contains(place) for place in call.progress)
        self.bypassed += ran and any(call.lams)
        self.other_half += call.other_half
        self.lowest = min(self.lowest, *call.progress)
        self.highest = max(self.highest, *call.progress)

    def missed(self) -> str | None:
        """The notice for a run in which nothing could be bypassed: the window or the half of
        guidance was never there; None if there was something."""
        apply_to = self.dial.apply_to
        if self.other_half and not self.bypassed:
            half = "the prompt" if apply_to == "cond" else "the negative prompt"
            return (
                f"Nothing was bypassed: apply_to is {apply_to}, and no call of this model had "
                f"rows of {half} (guidance is off, or another model has them); use apply_to = both."
            )
        if self.calls == 0 or self.reached > 0:
            return None
        schedule = self.dial.schedule
        remedy = "widen the window" if schedule.schedule_by == "step" else "use schedule_by = step"
        return (
            f"This run covered progress {self.lowest:.2g} to {self.highest:.2g}, the window "
            f"{schedule.start_percent:g} to {schedule.end_percent:g} was never reached; {remedy}."
        )

    def summary(self) -> str:
        """One line for the user: the notice of a run that missed, or what was bypassed."""
        done = f"bypassed {self.bypassed} of {self.calls} model calls"
        if self.from_cache:
            done += f"; {self.from_cache} more came from a cache, without the U-Net"
        return self.missed() or f"strength {self.dial.schedule.strength:g}: {done}"
