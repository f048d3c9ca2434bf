"""The ladder: what each further edited number buys."""

from __future__ import annotations

from PIL import Image

from ..spurious import GroupMetrics, Ladder
from .bars import AFTER, BEFORE, Bar, Row, draw_bars
from .words import RUNG_NAMES, numbers_edited, percent


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
