"""Group accuracies against the degree of an edit."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ..spurious import CurvePoint, GroupMetrics
from .bars import AFTER, EDGE, WIDTH, heading
from .canvas import ACCENT, INK, PAPER, RULE
from .letters import font

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
