"""The demo's pictures: the same seeds without and with Detour, changed ones outlined."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from detour.report.canvas import ACCENT, COOL, INK, PAPER, SOFT_INK, font
from detour.report.sheet import Colour, Sheet, draw_sheet

from .reader import Reading
from .rows import Case, Laboratory, describe
from .stats import Trait

ACROSS, DOWN = 6, 4
NODES = {"bypass": "Variety Dial", "relief": "Guidance Relief", "fade": "Prompt Fade"}
MARGIN, TOP, FOOT = 40, 80, 70
"""Pixels around the blocks, above and below them."""


def before_and_after(lab: Laboratory, chosen: Case) -> Image.Image:
    """Two blocks of the same seeds, the first of the report: without and with."""
    plain, before = lab.pictures(chosen.plain, ACROSS * DOWN)
    turned, after = lab.pictures(chosen, ACROSS * DOWN)
    trait, marks = chosen.trait, outlines(before, after, chosen.trait, ACROSS)
    left = draw_sheet(Sheet(rows_of(plain, ACROSS)))
    right = draw_sheet(Sheet(rows_of(turned, ACROSS), outlines=marks))
    return side_by_side(
        [left, right],
        [f"Without: {tally(before, trait)}", f"With Detour: {tally(after, trait)}"],
        f"Prompt “{chosen.prompt}”, the same {ACROSS * DOWN} seeds; {NODES[chosen.way]} "
        f"{chosen.strength:g}, window 0 to {chosen.end:g}. Orange: {trait.name} now.",
    )


def ways_sheet(lab: Laboratory, cases: Sequence[Case]) -> Image.Image:
    """One row for each case, one column for each seed; the first row is without Detour."""
    across, rows, marks, labels = 2 * ACROSS, [], {}, []
    cases = [cases[0].plain, *cases]
    _, before = lab.pictures(cases[0], across)
    for place, case in enumerate(cases):
        pictures, reading = lab.pictures(case, across)
        rows.append(pictures)
        labels.append(describe(case))
        found = outlines(before, reading, case.trait, across)
        marks |= {(place, column): colour for (_, column), colour in found.items()}
    return draw_sheet(Sheet(rows, row_labels=labels, outlines=marks))


def outlines(
    before: Reading, after: Reading, trait: Trait, across: int
) -> dict[tuple[int, int], Colour]:
    """The cells whose picture went to the trait or away from it."""
    old, new = trait.shows(before.people).tolist(), trait.shows(after.people).tolist()
    changed = [place for place in range(len(old)) if old[place] != new[place]]
    return {divmod(place, across): ACCENT if new[place] else COOL for place in changed}


def tally(reading: Reading, trait: Trait) -> str:
    """How many pictures show the trait."""
    shows = int(trait.shows(reading.people).sum())
    return f"{shows} of {len(reading.people)} with {trait.name}"


def rows_of(pictures: Sequence[Image.Image], across: int) -> list[Sequence[Image.Image]]:
    """The pictures cut into rows."""
    return [pictures[start : start + across] for start in range(0, len(pictures), across)]


def side_by_side(blocks: Sequence[Image.Image], titles: Sequence[str], note: str) -> Image.Image:
    """Blocks beside each other, a title over each and a note under all."""
    width = sum(block.width for block in blocks) + MARGIN * (len(blocks) + 1)
    canvas = Image.new("RGB", (width, blocks[0].height + TOP + FOOT), PAPER)
    pen, x = ImageDraw.Draw(canvas), MARGIN
    for block, title in zip(blocks, titles, strict=True):
        pen.text((x + block.width // 2, TOP // 2), title, INK, font(30), anchor="mm")
        canvas.paste(block, (x, TOP))
        x += block.width + MARGIN
    pen.text((MARGIN, canvas.height - FOOT // 2), note, SOFT_INK, font(24), anchor="lm")
    return canvas
