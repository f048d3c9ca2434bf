"""The chart of the depth study: the minority's share at each depth, without and with the bypass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from detour.report.canvas import ACCENT, COOL, INK, PAPER, RULE, SOFT_INK, font

from .depth_results import MINORITIES
from .ways import BYPASS, PLAIN

WIDE, HIGH, LEFT, TOP, GAP = 320, 320, 80, 120, 90
INKS = {PLAIN: COOL, BYPASS: ACCENT}
Row = dict[str, Any]


def chart(found: Mapping[str, Any]) -> Image.Image:
    """Of `depth_results.figures`: a panel for each minority; a bar from the least to the greatest
    share of the models of a depth, with their mean, and a rule at the share in training."""
    width = LEFT + len(MINORITIES) * (WIDE + GAP)
    canvas = Image.new("RGB", (width, TOP + HIGH + 80), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((30, 22), "The minority's share at each depth (exploratory)", INK, font(24))
    pen.text(
        (30, 60), "Blue: as it is. Orange: bypass 1, 0 to 0.3. Grey: in training.", INK, font(16)
    )
    pen.text(
        (30, TOP + HIGH + 48), "How often the picture is halved; bars: all models", INK, font(16)
    )
    for place, minority in enumerate(MINORITIES):
        own = [each for each in found["means"] if each["minority"] == minority and "depth" in each]
        _panel(pen, LEFT + place * (WIDE + GAP), minority, own)
    return canvas


def _panel(pen: ImageDraw.ImageDraw, left: int, minority: str, means: Sequence[Row]) -> None:
    shown = [each for each in means if each["share"] is not None]
    pen.rectangle((left, TOP, left + WIDE, TOP + HIGH), outline=RULE)
    pen.text((left, TOP - 26), minority, INK, font(18))
    if not shown:
        pen.text((left + 20, TOP + 20), "Not measured.", INK, font(16))
        return
    trained = shown[0]["training_share"]
    top = _round_up(1.1 * max(trained, *(each["greatest"] for each in shown)))

    def height(value: float) -> int:
        return TOP + HIGH - round(HIGH * value / top)

    for step in range(5):
        y = height(top * step / 4)
        pen.line((left, y, left + WIDE, y), RULE)
        pen.text((left - 8, y), f"{25 * top * step:.3g}%", SOFT_INK, font(14), anchor="rm")
    pen.line((left, height(trained), left + WIDE, height(trained)), SOFT_INK, 2)
    depths = sorted({each["depth"] for each in shown})
    for each in shown:
        middle = left + round(WIDE * (depths.index(each["depth"]) + 0.5) / len(depths))
        x, ink = middle + (14 if each["way"] == BYPASS else -14), INKS[each["way"]]
        pen.line((x, height(each["least"]), x, height(each["greatest"])), ink, 3)
        y = height(each["share"])
        pen.ellipse((x - 6, y - 6, x + 6, y + 6), ink)
        pen.text((middle, TOP + HIGH + 10), str(each["depth"]), SOFT_INK, font(16), anchor="ma")


def _round_up(value: float) -> float:
    """To a number that its quarters are short of."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * factor for factor in (1, 2, 4, 6, 8, 10) if unit * factor >= value)
