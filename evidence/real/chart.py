"""One picture of the study: worst-group accuracy of the main methods, one panel for each block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from detour.report.canvas import ACCENT, COOL, INK, PAPER, RULE, SOFT_INK, font

from .backbones import BACKBONES
from .tasks import QUESTIONS

SHOWN = {
    "erm": "as trained",
    "random_weight": "random weight",
    "bias_only": "bias only",
    "one_weight": "one weight",
    "one_weight_bias": "one weight + bias",
    "three_weights_bias": "up to three weights + bias",
    "auto": "auto: the size, or none",
    "mistakes": "from mistakes alone",
    "mistakes_keep_80": "from mistakes, 80 % kept",
    "graded_neuron": "one neuron, by degrees",
    "afr": "AFR, whole layer",
    "dfr": "DFR, whole layer",
}
OURS = (
    "one_weight",
    "one_weight_bias",
    "three_weights_bias",
    "auto",
    "mistakes",
    "mistakes_keep_80",
)
TITLES = {
    "nurse_builder": "Nurse or builder",
    "glasses": "Glasses or not",
    "digits": "Low or high digit (90 %)",
    "digits_95": "Low or high digit (95 %)",
    "four_jobs": "Four jobs",
}
LEFT, TOP, STEP, BAR, WIDE, GAP = 245, 96, 24, 15, 250, 36
NUMBER = 34
"""A number of this width stands in its bar, or beside it."""


def overview(rows: Sequence[dict[str, Any]]) -> Image.Image:
    """Bars for balanced probes; a mark where unbalanced ones end."""
    names = {backbone.name: backbone.title for backbone in BACKBONES}
    backbones = [name for name in names if any(row["backbone"] == name for row in rows)]
    measured = {row["method"] for row in rows}
    labels = {method: label for method, label in SHOWN.items() if method in measured}
    panel = STEP * len(labels) + 74
    width = LEFT + len(QUESTIONS) * (WIDE + GAP)
    canvas = Image.new("RGB", (width, TOP + panel * len(backbones)), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text(
        (24, 16), "Worst-group accuracy on people and digits that chose nothing", INK, font(24)
    )
    note = "Bars: balanced probes. Dark marks: probes that are as unbalanced as nine to one."
    pen.text((24, 50), note, SOFT_INK, font(15))
    for line, backbone in enumerate(backbones):
        top = TOP + line * panel
        pen.text((24, top), names[backbone], INK, font(16))
        for place, (method, label) in enumerate(labels.items()):
            y = top + 32 + place * STEP + BAR // 2
            ink = INK if method in OURS else SOFT_INK
            pen.text((LEFT - 14, y), label, ink, font(14), anchor="rm")
        for column, question in enumerate(QUESTIONS):
            own = {
                (row["method"], row["probes"]): row["worst"]
                for row in rows
                if row["question"] == question.name and row["backbone"] == backbone
            }
            place = (LEFT + column * (WIDE + GAP), top)
            draw_panel(pen, place, TITLES[question.name], list(labels), own)
    return canvas


def draw_panel(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    title: str,
    methods: Sequence[str],
    worst: dict[tuple[str, str], float],
) -> None:
    """The bars of one question on one backbone, from 0 to 100 %."""
    x, top = corner
    first, bottom = top + 32, top + 32 + STEP * len(methods)
    pen.text((x, top), title, INK, font(16))
    for percent in (0, 50, 100):
        at = x + WIDE * percent // 100
        pen.line((at, first - 6, at, bottom), RULE)
        pen.text((at, bottom + 4), f"{percent}", SOFT_INK, font(13), anchor="ma")
    for place, method in enumerate(methods):
        value = worst.get((method, "balanced"))
        if value is None:
            continue
        y = first + place * STEP
        ends = [x + round(WIDE * value)]
        pen.rectangle((x, y, ends[0], y + BAR), ACCENT if method in OURS else COOL)
        other = worst.get((method, "unbalanced"))
        if other is not None:
            ends.append(x + round(WIDE * other))
            pen.line((ends[1], y - 2, ends[1], y + BAR + 2), INK, 3)
        inside = min(ends) > x + NUMBER
        at, ink = (x + 5, PAPER) if inside else (max(ends) + 6, INK)
        pen.text((at, y + BAR // 2), f"{100 * value:.0f}", ink, font(13), anchor="lm")
