"""Horizontal bars with intervals: what all bar charts of Detour are drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .canvas import ACCENT, ACCENT_WASH, COOL, INK, PAPER, RULE, SOFT_INK, fitted, font

Colour = tuple[int, int, int]
WIDTH = 960
EDGE = 28
"""Pixels left free around a chart."""
LEFT, RIGHT = 330, 740
"""Where the bars begin and end; labels stand left of them, numbers right."""
BAR, PAD = 15, 22
"""Thickness of a bar and the space that a row has beside its bars."""
TOP, BOTTOM = 104, 50
BEFORE: Colour = (176, 184, 196)
AFTER: Colour = COOL


@dataclass(frozen=True)
class Bar:
    """One bar from 0 to `value`, with an interval if `low` and `high` are known."""

    value: float
    colour: Colour
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A label with its bars and its numbers; a marked row is the one that matters most."""

    label: str
    bars: tuple[Bar, ...]
    numbers: str
    detail: str = ""
    aside: str = ""
    marked: bool = False


@dataclass(frozen=True)
class Axis:
    """From `low` to `high` with `ticks`, written as percent or as plain numbers."""

    low: float = 0.0
    high: float = 1.0
    ticks: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    percent: bool = True

    def x(self, value: float) -> float:
        """The pixel of a value; values beyond the axis stay at its end."""
        share = (value - self.low) / (self.high - self.low)
        return LEFT + min(1.0, max(0.0, share)) * (RIGHT - LEFT)

    def words(self, value: float) -> str:
        """A tick's text."""
        return f"{100 * value:g} %" if self.percent else f"{value:g}"


def draw_bars(
    title: str,
    rows: Sequence[Row],
    legend: Sequence[tuple[str, Colour]],
    axis: Axis | None = None,
    told: str = "",
) -> Image.Image:
    """The rows from top to bottom as an RGB picture, `WIDTH` wide; `told` stands below them."""
    axis = Axis() if axis is None else axis
    heights = [row_height(row) for row in rows]
    foot = TOP + sum(heights)
    canvas = Image.new("RGB", (WIDTH, foot + BOTTOM + (34 if told else 0)), PAPER)
    pen = ImageDraw.Draw(canvas)
    heading(pen, title, legend)
    top = TOP
    for row, height in zip(rows, heights, strict=True):
        if row.marked:
            pen.rectangle((EDGE / 2, top, WIDTH - EDGE / 2, top + height - 1), ACCENT_WASH)
        top += height
    _grid(pen, axis, foot)
    top = TOP
    for row, height in zip(rows, heights, strict=True):
        _row(pen, row, axis, top, height)
        top += height
    if told:
        letters = font(19, told)
        text = fitted(letters, told, WIDTH - 2 * EDGE)
        pen.text((EDGE, foot + BOTTOM), text, SOFT_INK, letters, anchor="la")
    return canvas


def row_height(row: Row) -> int:
    """Pixels of a row; two lines of text always fit."""
    return max(58, BAR * len(row.bars) + PAD)


def heading(pen: ImageDraw.ImageDraw, title: str, legend: Sequence[tuple[str, Colour]]) -> None:
    """The title, and below it a coloured square with a name for each entry of the legend."""
    letters = font(27, title)
    pen.text((EDGE, 16), fitted(letters, title, WIDTH - 2 * EDGE), INK, letters, anchor="la")
    x, letters = float(EDGE), font(20)
    for name, colour in legend:
        pen.rectangle((x, 62, x + 16, 78), colour)
        pen.text((x + 24, 70), name, INK, letters, anchor="lm")
        x += 24 + letters.getlength(name) + 28


def stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one width below each other, with a thin line between them."""
    height = sum(picture.height for picture in pictures) + len(pictures) - 1
    canvas = Image.new("RGB", (pictures[0].width, height), RULE)
    top = 0
    for picture in pictures:
        canvas.paste(picture, (0, top))
        top += picture.height + 1
    return canvas


def _grid(pen: ImageDraw.ImageDraw, axis: Axis, foot: int) -> None:
    for tick in axis.ticks:
        x = axis.x(tick)
        pen.line((x, TOP, x, foot), SOFT_INK if tick == 0 else RULE)
        pen.text((x, foot + 8), axis.words(tick), INK, font(18), anchor="ma")


def _row(pen: ImageDraw.ImageDraw, row: Row, axis: Axis, top: int, height: int) -> None:
    middle = top + height / 2
    _lines(pen, EDGE, middle, LEFT - EDGE - 14, (row.label, row.detail), row.marked)
    _lines(pen, RIGHT + 16, middle, WIDTH - RIGHT - 16 - 8, (row.numbers, row.aside), row.marked)
    y = middle - BAR * len(row.bars) / 2
    for bar in row.bars:
        ends = sorted((axis.x(0.0), axis.x(bar.value)))
        pen.rectangle((ends[0], y + 1, max(ends[1], ends[0] + 1), y + BAR - 2), bar.colour)
        if bar.low is not None and bar.high is not None:
            low, high, at = axis.x(bar.low), axis.x(bar.high), y + BAR / 2
            pen.line((low, at, high, at), INK, 2)
            for x in (low, high):
                pen.line((x, at - 4, x, at + 4), INK, 2)
        y += BAR


def _lines(
    pen: ImageDraw.ImageDraw,
    x: float,
    middle: float,
    width: float,
    texts: tuple[str, str],
    marked: bool,
) -> None:
    first, second = texts
    large, small = font(21, first), font(17, second)
    up = 12 if second else 0
    text = fitted(large, first, width)
    pen.text((x, middle - up), text, ACCENT if marked else INK, large, anchor="lm")
    pen.text((x, middle + 13), fitted(small, second, width), SOFT_INK, small, anchor="lm")
