"""One picture of the evidence: worst-group accuracy of every method, both data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from detour.report.canvas import ACCENT, COOL, INK, PAPER, RULE, SOFT_INK, font

NAMES = {
    "erm": "as trained (ERM)",
    "random_weight": "random weight",
    "bias_only": "bias only",
    "one_weight": "one weight",
    "evidence_bias": "evidence + bias",
    "one_weight_bias": "one weight + bias",
    "three_weights_bias": "three weights + bias",
    "project_out": "direction projected out",
    "dfr": "DFR, whole last layer",
    "dfr_l2": "L2 refit, whole last layer",
}
OURS = ("one_weight", "one_weight_bias", "three_weights_bias", "evidence_bias")
PANELS = {"cnn": "Small CNN, 128 features", "mobilenet": "MobileNetV2, 1,280 features"}
LEFT, TOP, STEP, BAR, WIDE, GAP = 250, 110, 40, 22, 480, 60


def overview(rows: Sequence[dict[str, Any]], correlation: float) -> Image.Image:
    """Bars of mean worst-group accuracy at one correlation; whiskers of one sd over the seeds."""
    height = TOP + STEP * len(NAMES) + 90
    canvas = Image.new("RGB", (LEFT + len(PANELS) * (WIDE + GAP), height), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((30, 24), f"Worst-group accuracy, {correlation:.0%} colour shortcut", INK, font(26))
    for place, method in enumerate(NAMES):
        ink = INK if method in OURS else SOFT_INK
        y = TOP + place * STEP + BAR // 2
        pen.text((LEFT - 18, y), NAMES[method], ink, font(18), anchor="rm")
    for place, (dataset, title) in enumerate(PANELS.items()):
        found = {
            row["method"]: row
            for row in rows
            if row["dataset"] == dataset and row["correlation"] == correlation
        }
        draw_panel(pen, LEFT + place * (WIDE + GAP), title, found)
    seeds = max((row["seeds"] for row in rows), default=0)
    note = f"Orange: edits of one to four numbers. Whiskers: one standard deviation, {seeds} seeds."
    pen.text((30, height - 40), note, SOFT_INK, font(17))
    return canvas


def draw_panel(
    pen: ImageDraw.ImageDraw, x: int, title: str, rows: dict[str, dict[str, Any]]
) -> None:
    """The bars of one data set, from 0 to 100 %."""
    bottom = TOP + STEP * len(NAMES)
    pen.text((x, TOP - 34), title, INK, font(18))
    for percent in range(0, 101, 20):
        at = x + WIDE * percent // 100
        pen.line((at, TOP - 6, at, bottom), RULE)
        pen.text((at, bottom + 6), f"{percent}", SOFT_INK, font(15), anchor="ma")
    for place, method in enumerate(NAMES):
        if method not in rows:
            continue
        value, sd = rows[method]["worst_mean"], rows[method]["worst_sd"]
        y = TOP + place * STEP
        end = x + round(WIDE * value)
        pen.rectangle((x, y, end, y + BAR), ACCENT if method in OURS else COOL)
        low, high = (x + round(WIDE * min(1, max(0, value + s * sd))) for s in (-1, 1))
        pen.line((low, y + BAR // 2, high, y + BAR // 2), INK, 2)
        inside = value > 0.2
        label = (low - 8, PAPER, "rm") if inside else (high + 8, INK, "lm")
        pen.text((label[0], y + BAR // 2), f"{value:.1%}", label[1], font(16), anchor=label[2])
