"""Points, strengths and ways as they are typed, and schedules of any values."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hostile import NUMBERS, TEXTS
from watch import Case, Make

from detour.schedule import (
    SCHEDULE_BY,
    SHAPES,
    Schedule,
    parse_points,
    parse_strengths,
    parse_ways,
)

PIECES = ("0", "1", "0.5", "-1", "nan", "inf", "1e999", ":", ":", ",", ";", "\n", " ", "0:1", "1:0")
WAYS = ("bypass", "relief", "fade")
FLOATS = [number for number in NUMBERS if isinstance(number, float)]


@contextmanager
def opened(_folder: Path) -> Iterator[Make]:
    """The generator."""
    yield _case


def _case(draw: random.Random, _place: Path) -> Case:
    text = _text(draw)
    acts: dict[str, Callable[[], Any]] = {
        "points": lambda: _drawn(Schedule(1.0, "curve", 0.0, 1.0, points=parse_points(text))),
        "strengths": lambda: [_drawn(Schedule(one)) for one in parse_strengths(text)],
        "ways": lambda: parse_ways(text, WAYS),
    }
    kind = draw.choice((*acts, "points", "schedule"))
    if kind == "schedule":
        values = _values(draw)
        return Case(f"schedule {values}"[:300], lambda: _drawn(Schedule(*values)))
    return Case(f"{kind} {text[:100]!r}", acts[kind])


def _text(draw: random.Random) -> str:
    """Nearly a list of points or of words."""
    pieces = (*PIECES, *PIECES, *WAYS, *TEXTS[:50], str(draw.uniform(-1.2, 1.2)))
    if draw.random() < 0.3:
        places = sorted(draw.uniform(-0.05, 1.05) for _ in range(draw.choice((1, 3, 2000))))
        return ", ".join(f"{u:.3g}:{draw.uniform(-1.05, 1.0):.3g}" for u in places)
    return "".join(draw.choice(pieces) for _ in range(draw.randrange(9))) + draw.choice(
        ("", "", ",")
    )


def _values(draw: random.Random) -> list[Any]:
    """Values of the kinds that a host lets through, mostly near the good ones."""

    def number(low: float) -> float:
        return draw.choice((draw.uniform(low, 1.0), *FLOATS)) if draw.random() < 0.3 else 0.5

    points = tuple((number(0.0), number(-1.0)) for _ in range(draw.randrange(4)))
    shape = draw.choice((*SHAPES, *SHAPES, draw.choice(TEXTS)))
    window = sorted((draw.random(), draw.random()))
    start, end = (one if draw.random() < 0.8 else number(0.0) for one in window)
    by = draw.choice((*SCHEDULE_BY, *SCHEDULE_BY, *SCHEDULE_BY, draw.choice(TEXTS)))
    return [number(-1.0), shape, start, end, by, points]


def _drawn(schedule: Schedule) -> None:
    """A schedule that was taken gives numbers from -1 to 1 wherever it is asked."""
    for place in (*(step / 50 for step in range(51)), schedule.start_percent, schedule.end_percent):
        lam = schedule.lam(place)
        if not (math.isfinite(lam) and -1.0 <= lam <= 1.0):
            raise AssertionError(f"{schedule} gives {lam} at {place}")
