"""Charts of an edit: groups against its degree, what each further number buys, and how much the
feature alone moves a class's score."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from ..judge.compare import CurvePoint
from ..judge.gap import Standing
from ..judge.groups import GroupMetrics
from ..search.ladder import Ladder
from .bars import AFTER, BEFORE, EDGE, WIDTH, Axis, Bar, Row, draw_bars, heading
from .canvas import ACCENT, INK, PAPER, RULE, font
from .sentences import HEADS, RUNG_NAMES, numbers_edited, percent

HEIGHT = 470
LEFT, TOP, RIGHT, BOTTOM = 92, 104, 40, 84
GROUP = (196, 203, 214)


def draw_degree(curve: Sequence[CurvePoint], chosen: float) -> Image.Image:
    """Worst-group and mean accuracy, thin lines for the groups, the chosen degree marked.

    curve: at least two points, by rising degree. A chosen degree beyond them is said in words.
    """
    plot = _Plot(curve)
    plot.grid()
    for g in plot.groups():
        plot.line([point.metrics.accuracy[g] or 0.0 for point in curve], GROUP, 2)
    plot.line([point.metrics.mean for point in curve], INK, 3)
    plot.line([point.metrics.worst for point in curve], AFTER, 5)
    plot.mark(chosen)
    return plot.canvas


class _Plot:
    """The drawing in progress: degrees run to the right, accuracy upwards."""

    def __init__(self, curve: Sequence[CurvePoint]) -> None:
        self.curve = curve
        self.low, self.high = curve[0].degree, curve[-1].degree
        self.canvas = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
        self.pen = ImageDraw.Draw(self.canvas)

    def x(self, degree: float) -> float:
        return LEFT + (degree - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def y(self, accuracy: float) -> float:
        return TOP + (1 - accuracy) * (HEIGHT - TOP - BOTTOM)

    def groups(self) -> list[int]:
        first: GroupMetrics = self.curve[0].metrics
        return [g for g, count in enumerate(first.counts) if count]

    def grid(self) -> None:
        worst = f"worst group{self.curve[0].metrics.of_groups}"
        legend = [(worst, AFTER), ("mean", INK), ("each group", GROUP)]
        heading(self.pen, "Accuracy against the degree of the edit", legend)
        letters = font(18)
        for index in range(5):
            y = self.y(index / 4)
            self.pen.line((LEFT, y, WIDTH - RIGHT, y), RULE)
            self.pen.text((LEFT - 10, y), f"{25 * index} %", INK, letters, anchor="rm")
        for index in range(5):
            degree = self.low + (self.high - self.low) * index / 4
            where = (self.x(degree), HEIGHT - BOTTOM + 8)
            self.pen.text(where, f"{degree:g}", INK, letters, anchor="ma")
        foot = "degree: 0 = unedited, 1 = as found, beyond 1 = over-corrected"
        self.pen.text((LEFT, HEIGHT - 32), foot, INK, letters, anchor="la")

    def line(self, values: Sequence[float], colour: tuple[int, int, int], width: int) -> None:
        places = [(self.x(p.degree), self.y(v)) for p, v in zip(self.curve, values, strict=True)]
        self.pen.line(places, colour, width, joint="curve")

    def mark(self, chosen: float) -> None:
        told = f"chosen: {chosen:g}"
        if self.low <= chosen <= self.high:
            x = self.x(chosen)
            self.pen.line((x, TOP, x, HEIGHT - BOTTOM), ACCENT, 3)
        else:
            told += ", beyond this curve"
        self.pen.text((WIDTH - EDGE, 70), told, ACCENT, font(20), anchor="rm")


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
