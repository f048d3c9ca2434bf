"""The demo's pictures: the same seeds without and with the bypass, changed ones outlined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image, ImageDraw

from detour.report.canvas import ACCENT, COOL, INK, PAPER, SOFT_INK, font
from detour.report.sheet import Colour, Sheet, draw_sheet

from .digits import MINORITY
from .frontier import REPORT_SEED, Case, Laboratory
from .stats import Reading

ACROSS, DOWN = 12, 6
MARGIN = 28


def before_and_after(lab: Laboratory, chosen: Case) -> Image.Image:
    """Two blocks of the same seeds, the first of the report: without and with the bypass."""
    plain, before = lab.pictures(chosen.plain, REPORT_SEED, ACROSS * DOWN)
    turned, after = lab.pictures(chosen, REPORT_SEED, ACROSS * DOWN)
    minority = MINORITY[chosen.model]
    marks = outlines(before, after, minority, ACROSS)
    left = draw_sheet(Sheet(rows_of(plain, ACROSS)))
    right = draw_sheet(Sheet(rows_of(turned, ACROSS), outlines=marks))
    window = f"strength {chosen.strength:g}, progress {chosen.start:g} to {chosen.end:g}"
    return side_by_side(
        [left, right],
        [f"Without Detour: {tally(before, minority)}", f"With Detour: {tally(after, minority)}"],
        f"Prompt '{chosen.prompt or 'empty'}', CFG {chosen.cfg:g}, the same {ACROSS * DOWN} seeds. "
        f"Variety Dial at {window}. Orange: now a high digit; blue: now a low one.",
    )


def strengths_sheet(lab: Laboratory, chosen: Case, strengths: Sequence[float]) -> Image.Image:
    """One row for each strength, one column for each seed."""
    minority, rows, marks, labels = MINORITY[chosen.model], [], {}, []
    _, before = lab.pictures(chosen.plain, REPORT_SEED, ACROSS)
    for place, strength in enumerate(strengths):
        case = chosen.plain if strength == 0 else replace(chosen, strength=strength)
        pictures, reading = lab.pictures(case, REPORT_SEED, ACROSS)
        rows.append(pictures)
        labels.append(f"strength {strength:g}")
        found = outlines(before, reading, minority, ACROSS)
        marks |= {(place, column): colour for (_, column), colour in found.items()}
    return draw_sheet(Sheet(rows, row_labels=labels, outlines=marks))


def outlines(
    before: Reading, after: Reading, minority: Sequence[int], across: int
) -> dict[tuple[int, int], Colour]:
    """The cells whose picture changed its group, readable or not."""
    marks = {}
    for index, (old, new) in enumerate(zip(before.digits, after.digits, strict=True)):
        if (old in minority) != (new in minority):
            marks[divmod(index, across)] = ACCENT if new in minority else COOL
    return marks


def tally(reading: Reading, minority: Sequence[int]) -> str:
    """How many readable pictures show a minority digit."""
    hits, seen = reading.share(minority)
    return f"{hits} of {seen} readable pictures show {minority[0]} to {minority[-1]}"


def rows_of(pictures: Sequence[Image.Image], across: int) -> list[Sequence[Image.Image]]:
    """The pictures cut into rows."""
    return [pictures[start : start + across] for start in range(0, len(pictures), across)]


def side_by_side(blocks: Sequence[Image.Image], titles: Sequence[str], note: str) -> Image.Image:
    """Blocks beside each other at half size, a title over each and a note under all."""
    small = [
        block.resize((block.width // 2, block.height // 2), Image.Resampling.LANCZOS)
        for block in blocks
    ]
    width = sum(block.width for block in small) + MARGIN * (len(small) + 1)
    canvas = Image.new("RGB", (width, small[0].height + 108), PAPER)
    pen, x = ImageDraw.Draw(canvas), MARGIN
    for block, title in zip(small, titles, strict=True):
        pen.text((x, 18), title, INK, font(19))
        canvas.paste(block, (x, 52))
        x += block.width + MARGIN
    pen.text((MARGIN, canvas.height - 40), note, SOFT_INK, font(16))
    return canvas
