"""The degree of an edit, in words and as a chart: every jump of every group, how far it is safe,
and where a small move does much."""

from __future__ import annotations

import math
from typing import Any

from PIL import Image, ImageDraw

from ..judge.degree import LAST, DegreeCurve
from .bars import AFTER, EDGE, WIDTH, Colour, heading
from .canvas import ACCENT, INK, PAPER, RULE, font

HEIGHT = 470
LEFT, TOP, RIGHT, BOTTOM = 92, 104, 40, 84
GROUP: Colour = (196, 203, 214)
SAFE: Colour = (208, 237, 217)
STEEP: Colour = (250, 216, 196)
TOLD = tuple(step / 10 for step in range(21))
"""The degrees at which the numbers of a report have all figures."""


def degree_lines(curve: DegreeCurve | None, chosen: float) -> list[str]:
    """How far the edit is safe, and where the degree is to be moved with care, as sentences."""
    if curve is None:
        return []
    lines, safe, cliff = [], curve.safe(), curve.cliff()
    if safe is not None and safe.breaks:
        until = math.floor(1000 * safe.until) / 1000
        beyond = f" This edit, at degree {chosen:g}, is beyond." if chosen > safe.until else ""
        told = f"Safe up to degree {until:g}: beyond it" if until else "No degree is safe:"
        lines.append(
            f"{told} the group ({safe.breaks}) falls below the 95 % interval of its accuracy "
            f"without this edit.{beyond}"
        )
    elif safe is not None:
        lines.append(
            f"Safe from degree 0 to {LAST:g}: no group falls below the 95 % interval of its "
            "accuracy without this edit."
        )
    if cliff is not None:
        low, high = math.floor(1000 * cliff.low) / 1000, math.ceil(1000 * cliff.high) / 1000
        lines.append(
            f"Move the degree with care: between {low:g} and {high:g}, {cliff.flips} of the "
            f"{cliff.count} pictures of ({cliff.group}) turn from right to wrong or back."
        )
    return lines


def degree_numbers(curve: DegreeCurve) -> dict[str, Any]:
    """The curve as plain data for JSON: accuracies between the edges, so one more than those."""
    safe, cliff = curve.safe(), curve.cliff()
    return {
        "edges": curve.edges.tolist(),
        "worst_group_accuracy": curve.worst.tolist(),
        "mean_accuracy": curve.mean.tolist(),
        "safe_until": None if safe is None else safe.until,
        "cliff": None if cliff is None else vars(cliff),
    }


def degree_points(curve: DegreeCurve) -> list[dict[str, Any]]:
    """All figures at some degrees, for JSON."""
    return [{"degree": degree, **curve.metrics(degree).as_dict()} for degree in TOLD]


def draw_degree(curve: DegreeCurve, chosen: float) -> Image.Image:
    """Worst-group and mean accuracy as steps, thin ones for the groups; the safe degrees and a
    cliff shaded, the chosen degree marked. A chosen degree beyond the curve is said in words."""
    plot = _Plot(curve)
    plot.shades()
    plot.grid()
    for line in curve.accuracy:
        plot.steps(line.tolist(), GROUP, 2)
    plot.steps(curve.mean.tolist(), INK, 3)
    plot.steps(curve.worst.tolist(), AFTER, 5)
    plot.mark(chosen)
    return plot.canvas


class _Plot:
    """The drawing in progress: degrees run to the right, accuracy upwards."""

    def __init__(self, curve: DegreeCurve) -> None:
        self.curve = curve
        self.canvas = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
        self.pen = ImageDraw.Draw(self.canvas)
        self.legend = [
            (f"worst group{curve.start.of_groups}", AFTER),
            ("mean", INK),
            ("each group", GROUP),
        ]

    def x(self, degree: float) -> float:
        return LEFT + degree / LAST * (WIDTH - LEFT - RIGHT)

    def y(self, accuracy: float) -> float:
        return TOP + (1 - accuracy) * (HEIGHT - TOP - BOTTOM)

    def shades(self) -> None:
        safe, cliff = self.curve.safe(), self.curve.cliff()
        if safe is not None:
            self.shade(0, safe.until, SAFE)
            self.legend.append(("safe", SAFE))
        if cliff is not None:
            self.shade(cliff.low, cliff.high, STEEP)
            self.legend.append(("steep", STEEP))

    def shade(self, low: float, high: float, colour: Colour) -> None:
        ends = self.x(low), max(self.x(high), self.x(low) + 3)
        self.pen.rectangle((ends[0], TOP, ends[1], HEIGHT - BOTTOM), colour)

    def grid(self) -> None:
        heading(self.pen, "Accuracy against the degree of the edit", self.legend)
        letters = font(18)
        for index in range(5):
            y = self.y(index / 4)
            self.pen.line((LEFT, y, WIDTH - RIGHT, y), RULE)
            self.pen.text((LEFT - 10, y), f"{25 * index} %", INK, letters, anchor="rm")
        for index in range(5):
            degree = LAST * index / 4
            where = (self.x(degree), HEIGHT - BOTTOM + 8)
            self.pen.text(where, f"{degree:g}", INK, letters, anchor="ma")
        foot = "degree: 0 = unedited, 1 = as found, beyond 1 = over-corrected"
        self.pen.text((LEFT, HEIGHT - 32), foot, INK, letters, anchor="la")

    def steps(self, values: list[float], colour: Colour, width: int) -> None:
        """Level between two edges, upright at them."""
        ends = [self.x(degree) for degree in (0.0, *self.curve.edges.tolist(), LAST)]
        places = []
        for step, value in enumerate(values):
            places += [(ends[step], self.y(value)), (ends[step + 1], self.y(value))]
        self.pen.line(places, colour, width, joint="curve")

    def mark(self, chosen: float) -> None:
        told = f"chosen: {chosen:g}"
        if 0 <= chosen <= LAST:
            x = self.x(chosen)
            self.pen.line((x, TOP, x, HEIGHT - BOTTOM), ACCENT, 3)
        else:
            told += ", beyond this curve"
        self.pen.text((WIDTH - EDGE, 30), told, ACCENT, font(20), anchor="rm")
