"""When and how strongly a way acts: the schedule that all of them share.

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
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Schedule:
    """A strength over the denoising; the field names are the node's input names.

    strength: at full height, -1..1. 0 never acts.
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
                f"({self.end_percent:g}): there must be a window to be active in."
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
        """The strength at a progress of 0 (pure noise) to 1 (finished picture)."""
        if self.strength == 0.0 or not self.contains(progress):
            return 0.0
        u = (progress - self.start_percent) / (self.end_percent - self.start_percent)
        return self.strength * shape_value(self.shape, u, self.points)

    @property
    def is_off(self) -> bool:
        """True if it is 0 at any progress."""
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


def parse_ways(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """The ways written as `bypass, relief`, each one of the known.

    Raises ValueError that names the part which is none of them.
    """
    ways = tuple(_parts(text))
    for way in ways:
        require_choice("ways", way, tuple(known))
    if not ways:
        raise ValueError(f"ways is empty: write at least one of {', '.join(known)}.")
    return ways


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
