"""A contact sheet: pictures in rows and columns with labels, changed ones outlined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image, ImageDraw

from ..judge.diversity import Diversity
from .canvas import ACCENT, INK, PAPER, SOFT_INK, fitted, font, to_pictures

Colour = tuple[int, int, int]
SMALLEST, LARGEST = 96, 512
"""Pixels of a cell's longer side: smaller pictures are enlarged, larger ones reduced."""
GAP, FRAME = 6, 3
MOST_PIXELS = 2**26
"""Pixels of a whole sheet: many pictures are drawn smaller, and more yet are counted only."""
TINIEST = 24
"""Pixels of a cell's longer side on a sheet of very many pictures."""


@dataclass(frozen=True)
class Sheet:
    """Pictures `rows[row][column]`, labels for both, a note at the foot of each column, the cells
    with an outline, and a line of text below all."""

    rows: Sequence[Sequence[Image.Image]]
    column_labels: Sequence[str] = ()
    row_labels: Sequence[str] = ()
    outlines: Mapping[tuple[int, int], Colour] = field(default_factory=dict)
    told: str = ""
    column_notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        pictures = [picture for row in self.rows for picture in row]
        if not pictures:
            raise ValueError("There are no pictures to lay out: the image batch is empty.")
        first = pictures[0].size
        for number, picture in enumerate(pictures, 1):
            if picture.size != first:
                raise ValueError(
                    f"Picture {number} is {picture.size[0]}x{picture.size[1]}, but the first is "
                    f"{first[0]}x{first[1]}: a contact sheet needs pictures of one size."
                )


def arrange(batches: Sequence[torch.Tensor], labels: Sequence[str], columns: int) -> Sheet:
    """The sheet for image batches `[B, H, W, C]` in 0..1.

    Several batches: one column for each, one row for each place in the batch (a seed); so too
    for one batch with one label. One batch without: `columns` pictures in a row, 0 for about as
    many rows as columns; labels, if there are any, are one for each column.
    Raises ValueError for batches of different lengths and for labels that do not fit.
    """
    pictures = [to_pictures(batch) for batch in batches]
    if len(pictures) == 1 and len(labels) != 1:
        line = pictures[0]
        across = columns or len(labels) or max(1, math.ceil(math.sqrt(len(line))))
        check_labels(labels, across)
        rows = [line[start : start + across] for start in range(0, len(line), across)]
        return Sheet(rows, labels)
    lengths = sorted({len(batch) for batch in pictures})
    if len(lengths) > 1:
        raise ValueError(
            f"The image batches hold {lengths[0]} and {lengths[-1]} pictures: a sheet with one "
            "column for each batch needs the same number in all of them."
        )
    check_labels(labels, len(pictures))
    return Sheet([list(row) for row in zip(*pictures, strict=True)], labels)


def changed_cells(columns: Sequence[Sequence[str]]) -> dict[tuple[int, int], Colour]:
    """Outlines for the cells (row, column) whose label is not that of the first column.

    columns: for each column the label of each picture, from top to bottom.
    """
    first = columns[0]
    return {
        (row, column): ACCENT
        for column, labels in enumerate(columns)
        for row, label in enumerate(labels)
        if label != first[row]
    }


DIVERSITY_NOTE = "Below each column: its diversity, ± 95 %."


def diversity_notes(found: Sequence[Diversity]) -> list[str]:
    """For each column how different its pictures are, with the half of the interval's width."""
    notes = []
    for one in found:
        half = "" if one.interval is None else f" ±{(one.interval[1] - one.mean):.1f}"
        notes.append(f"{one.mean:.1f}{half}")
    return notes


def check_labels(labels: Sequence[str], columns: int) -> None:
    """Raise ValueError unless there are no labels or one for each column."""
    if labels and len(labels) != columns:
        raise ValueError(
            f"There are {len(labels)} labels for {columns} columns of pictures; connect "
            "labels and models of the same sweep."
        )


def draw_sheet(sheet: Sheet) -> Image.Image:
    """The sheet as one RGB picture of at most about `MOST_PIXELS`.

    So many pictures that they do not fit in small either are counted in the line below.
    """
    across = max(len(row) for row in sheet.rows)
    size = _fitting(cell_size(sheet.rows[0][0].size), len(sheet.rows) * across)
    step = (size[0] + GAP, size[1] + GAP)
    drawn = sheet.rows[: max(1, MOST_PIXELS // (across * step[0] * step[1]))]
    more = len(sheet.rows) - len(drawn)
    told = " ".join(filter(None, (sheet.told, f"and {more} more rows" if more else "")))
    labels = "".join((*sheet.row_labels, *sheet.column_labels, *sheet.column_notes, told))
    letters = font(max(13, min(20, size[0] // 8)), labels)
    row_labels = [fitted(letters, label, LARGEST) for label in sheet.row_labels[: len(drawn)]]
    left = GAP + max((_width(letters, label) + GAP for label in row_labels), default=0)
    line = letters_height(letters) + GAP
    top = GAP + (line if any(sheet.column_labels) else 0)
    notes = top + len(drawn) * step[1]
    foot = notes + (line if any(sheet.column_notes) else 0)
    width = left + across * step[0]
    canvas = Image.new("RGB", (width, foot + (line if told else 0)), PAPER)
    pen = ImageDraw.Draw(canvas)
    for y, ink, texts in ((GAP, INK, sheet.column_labels), (notes, SOFT_INK, sheet.column_notes)):
        for column, text in enumerate(texts):
            place = (left + column * step[0] + size[0] // 2, y)
            pen.text(place, fitted(letters, text, size[0]), ink, letters, anchor="ma")
    for row, pictures in enumerate(drawn):
        y = top + row * step[1]
        if row < len(row_labels):
            middle = y + size[1] // 2
            pen.text((GAP, middle), row_labels[row], INK, letters, anchor="lm")
        for column, picture in enumerate(pictures):
            place = (left + column * step[0], y)
            _put(canvas, _scaled(picture, size), place, sheet.outlines.get((row, column)))
    if told:
        pen.text((GAP, foot), fitted(letters, told, width - GAP), INK, letters, anchor="la")
    return canvas


def _fitting(size: tuple[int, int], cells: int) -> tuple[int, int]:
    """The size of a cell, smaller where so many of them would be too large together."""
    width, height = size
    if cells * (width + GAP) * (height + GAP) <= MOST_PIXELS:
        return size
    # The share f of which (f width + GAP) (f height + GAP) is the room of a cell.
    half = GAP * (width + height) / 2
    room = max(0.0, MOST_PIXELS / cells - GAP**2)
    share = (math.sqrt(half**2 + width * height * room) - half) / (width * height)
    share = min(1.0, max(share, TINIEST / max(size)))
    return max(1, int(width * share)), max(1, int(height * share))


def _put(
    canvas: Image.Image, picture: Image.Image, place: tuple[int, int], outline: Colour | None
) -> None:
    canvas.paste(picture, place)
    if outline is not None:
        (x, y), (width, height) = place, picture.size
        box = (x - FRAME, y - FRAME, x + width + FRAME - 1, y + height + FRAME - 1)
        ImageDraw.Draw(canvas).rectangle(box, outline=outline, width=FRAME + 2)


def cell_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a cell for pictures of `size`."""
    longer = max(size)
    if longer < SMALLEST:
        factor: float = -(-SMALLEST // longer)
    else:
        factor = min(1.0, LARGEST / longer)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def letters_height(letters) -> int:
    """Height of a line of text in pixels."""
    box = letters.getbbox("Ag")
    return int(box[3])


def _width(letters, text: str) -> int:
    return math.ceil(letters.getlength(text))


def _scaled(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if picture.size == size:
        return picture
    # Small pictures are enlarged by whole numbers: their pixels stay what they are.
    enlarging = picture.size[0] < size[0]
    how = Image.Resampling.NEAREST if enlarging else Image.Resampling.LANCZOS
    return picture.resize(size, how)


def in_square(picture: Image.Image, side: int) -> Image.Image:
    """The picture in the middle of a square of `side` pixels, as large as it fits; small ones
    enlarged by a whole number."""
    longer = max(picture.size)
    factor = side // longer if longer <= side else side / longer
    size = (max(1, int(picture.width * factor)), max(1, int(picture.height * factor)))
    picture = _scaled(picture, size)
    square = Image.new("RGB", (side, side), (236, 238, 242))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square
