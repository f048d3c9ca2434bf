"""Charts of an edit: what each further number buys, and how much the feature alone moves a class's
score."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from ..judge.gap import Standing
from ..judge.groups import GroupMetrics
from ..search.ladder import Ladder
from .bars import AFTER, BEFORE, Axis, Bar, Row, draw_bars
from .sentences import HEADS, RUNG_NAMES, numbers_edited, percent


def draw_standings(standings: Sequence[Standing], class_name: str, feature: str) -> Image.Image:
    """What the feature adds to the class's logit before, after, and with a shift of the bias.

    The thin lines reach from the least to the most of a unit; beside them the class's place.
    """
    rows = []
    for one in standings:
        marked = one.head == "after"
        bar = Bar(one.gap, AFTER if marked else BEFORE, one.low, one.high)
        detail = f"median place {one.place[0]:g}, with it {one.place[1]:g}"
        aside = f"first on {percent(one.first[1])} with it"
        rows.append(Row(HEADS[one.head], (bar,), f"{one.gap:+.2f}", detail, aside, marked))
    axis = _axis(*(value for one in standings for value in (one.low, one.high, one.gap)))
    title = f"What '{feature}' adds to the score of '{class_name}'"
    told = "Logits, same pictures with and without it. Lines: lowest to highest photo or seed."
    return draw_bars(title, rows, (), axis, told)


def draw_gap(before: float, after: float, class_name: str, feature: str) -> Image.Image:
    """Mean score with minus without the feature on the same pictures, as two bars from 0.

    The score is the logit, with two classes minus the other one's: see `Neutralized.gap`.
    """
    axis = _axis(before, after)
    rows = [
        Row("before", (Bar(before, BEFORE),), f"{before:+.2f}"),
        Row("after", (Bar(after, AFTER),), f"{after:+.2f}", marked=True),
    ]
    title = f"What '{feature}' adds to the score of '{class_name}'"
    told = "Logits (of two classes: their difference), same pictures with and without it."
    return draw_bars(title, rows, (), axis, told)


def _axis(*values: float) -> Axis:
    largest = max(*(abs(value) for value in values), 1e-6)
    unit = 10 ** math.floor(math.log10(largest))
    step = next(unit * size for size in (0.5, 1, 2, 5) if 3 * unit * size >= largest)
    low = -math.ceil(max(0.0, -min(values)) / step)
    high = max(math.ceil(max(0.0, *values) / step), low + 1)
    ticks = tuple(round(step * index, 9) for index in range(low, high + 1))
    return Axis(low * step, high * step, ticks, percent=False)


def draw_ladder(
    ladder: Ladder, other: tuple[str, int, GroupMetrics] | None = None, degree: float = 1.0
) -> Image.Image:
    """Worst-group and mean accuracy of every size of edit; the chosen one is marked.

    other: name, count of numbers and metrics of an edit that another method made; it is then
    the chosen one. degree: that of the edit; the rows of the ladder are at degree 1.
    """
    rows = [
        _row(
            RUNG_NAMES[rung.name],
            rung.change.numbers,
            rung.report,
            other is None and rung.name == ladder.chosen,
        )
        for rung in ladder.rungs
    ]
    if other is not None:
        rows.append(_row(*other, True))
    legend = [("worst-group accuracy, with 95 % interval", AFTER), ("mean accuracy", BEFORE)]
    told = "" if degree == 1 else f"This edit is at degree {degree:g}; the sizes are at degree 1."
    return draw_bars("What each further edited number buys", rows, legend, told=told)


def _row(name: str, numbers: int, metrics: GroupMetrics, chosen: bool) -> Row:
    g = metrics.worst_group
    bars = (
        Bar(metrics.worst, AFTER, metrics.low[g], metrics.high[g]),
        Bar(metrics.mean, BEFORE),
    )
    detail = "no edit" if numbers == 0 else numbers_edited(numbers)
    detail += ", chosen" if chosen else ""
    worst, mean = (
        f"worst{metrics.of_groups} {percent(metrics.worst)}",
        f"mean {percent(metrics.mean)}",
    )
    return Row(name, bars, worst, detail, mean, chosen)
