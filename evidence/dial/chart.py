"""The chart: how varied the pictures are against how many are good, one line a way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from detour.report.canvas import ACCENT, COOL, INK, PAPER, RULE, SOFT_INK, font

from .study import MAIN
from .ways import PLAIN, WAYS, Way

WIDE, HIGH, LEFT, TOP, LEGEND = 760, 560, 90, 90, 330
HUES = (ACCENT, (150, 70, 160), (0, 128, 110), (190, 140, 0))
"""Of Detour's own ways; the rivals are blue and grey."""
RIVALS = (COOL, SOFT_INK, (110, 160, 220), (70, 90, 120), (160, 170, 185), (40, 70, 150))
MARKS = ("dot", "square", "cross", "triangle", "diamond")
"""With the hues enough for as many ways as a study has: each has a look of its own."""


def chart(
    rows: Sequence[dict[str, Any]],
    models: int,
    ways: Mapping[str, Way] = WAYS,
    asked: str = MAIN.label,
) -> Image.Image:
    """Rows of `results.swept` or of `results.over_models`, all of the question `asked`."""
    points = {
        name: [
            (row["means"]["good"], row["means"]["vendi"])
            for row in rows
            if row["way"] == name and None not in (row["means"]["good"], row["means"]["vendi"])
        ]
        for name in ways
    }
    canvas = Image.new("RGB", (LEFT + WIDE + LEGEND, TOP + HIGH + 110), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((30, 22), f"Variety against good pictures: {asked}", INK, font(26))
    note = f"Means over models: {models}. Lines go from the plain row to the strongest setting."
    pen.text((30, 58), note, SOFT_INK, font(16))
    known = [point for found in points.values() for point in found]
    if not known:
        pen.text((LEFT, TOP + 60), "No row has enough clean pictures.", INK, font(18))
        return canvas
    _axes(pen, _range([x for x, _ in known], 0.02), _range([y for _, y in known], 0.05))
    spans = _range([x for x, _ in known], 0.02), _range([y for _, y in known], 0.05)
    for place, (name, found) in enumerate(_with_points(points)):
        path = [_at(spans, point) for point in (*points[PLAIN], *found)]
        ink, mark = look(name, ways)
        pen.line(path, ink, 3 if ways[name].is_ours else 2)
        for at in path[len(points[PLAIN]) :]:
            _mark(pen, at, ink, mark)
        y = TOP + 10 + 30 * place
        _mark(pen, (LEFT + WIDE + 30, y + 9), ink, mark)
        pen.text((LEFT + WIDE + 46, y), ways[name].label, INK, font(16))
    for point in points[PLAIN]:
        _mark(pen, _at(spans, point), INK, "dot", 7)
    return canvas


def _with_points(
    points: dict[str, list[tuple[float, float]]],
) -> list[tuple[str, list[tuple[float, float]]]]:
    return [(name, found) for name, found in points.items() if found and name != PLAIN]


def look(name: str, ways: Mapping[str, Way]) -> tuple[tuple[int, int, int], str]:
    """Colour and mark of a way."""
    same = [other for other in ways if ways[other].is_ours == ways[name].is_ours and other != PLAIN]
    inks = HUES if ways[name].is_ours else RIVALS
    place = same.index(name)
    return inks[place % len(inks)], MARKS[place // len(inks) % len(MARKS)]


def _range(values: Sequence[float], least: float) -> tuple[float, float]:
    margin = max(least, 0.08 * (max(values) - min(values)))
    return min(values) - margin, max(values) + margin


def _at(
    spans: tuple[tuple[float, float], tuple[float, float]], point: tuple[float, float]
) -> tuple[int, int]:
    (x0, x1), (y0, y1) = spans
    x, y = point
    return (
        LEFT + round(WIDE * (x - x0) / (x1 - x0)),
        TOP + HIGH - round(HIGH * (y - y0) / (y1 - y0)),
    )


def _axes(pen: ImageDraw.ImageDraw, of_x: tuple[float, float], of_y: tuple[float, float]) -> None:
    pen.rectangle((LEFT, TOP, LEFT + WIDE, TOP + HIGH), outline=RULE)
    for step in range(6):
        x = of_x[0] + (of_x[1] - of_x[0]) * step / 5
        y = of_y[0] + (of_y[1] - of_y[0]) * step / 5
        across, up = _at((of_x, of_y), (x, y))
        pen.line((across, TOP, across, TOP + HIGH), RULE)
        pen.line((LEFT, up, LEFT + WIDE, up), RULE)
        pen.text((across, TOP + HIGH + 8), f"{x:.0%}", SOFT_INK, font(15), anchor="ma")
        pen.text((LEFT - 8, up), f"{y:.2f}", SOFT_INK, font(15), anchor="rm")
    title = "good pictures (clean, and what the prompt says)"
    pen.text((LEFT + WIDE // 2, TOP + HIGH + 36), title, INK, font(17), anchor="ma")
    pen.text((30, TOP + HIGH + 74), "Upwards: Vendi score of the clean pictures.", INK, font(17))


def _mark(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    ink: tuple[int, int, int],
    kind: str,
    reach: int = 5,
) -> None:
    x, y = at
    box = (x - reach, y - reach, x + reach, y + reach)
    if kind == "dot":
        pen.ellipse(box, ink)
    elif kind == "square":
        pen.rectangle(box, ink)
    elif kind == "triangle":
        pen.polygon(((x, y - reach), (x + reach, y + reach), (x - reach, y + reach)), ink)
    elif kind == "diamond":
        further = reach + 1
        pen.polygon(((x, y - further), (x + further, y), (x, y + further), (x - further, y)), ink)
    else:
        pen.line(box, ink, 3)
        pen.line((x - reach, y + reach, x + reach, y - reach), ink, 3)
