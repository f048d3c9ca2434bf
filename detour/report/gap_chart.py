"""How much the feature alone moves a class's score, before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from ..spurious import Standing
from .bars import AFTER, BEFORE, Axis, Bar, Row, draw_bars
from .words import HEADS, percent


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
