"""Pictures in rows with words below each: their labels, and what a classifier says about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw
from torch import Tensor

from ..classifier.model import Prediction
from ..probes.pictures import make_thumbnail
from .canvas import ACCENT, INK, PAPER, SOFT_INK, fitted, font
from .sheet import Colour, in_square

MOST_DRAWN = 500
"""Pictures of a sheet; those after them are counted."""
PALETTE: tuple[Colour, ...] = (
    (95, 191, 134),
    (240, 140, 74),
    (111, 168, 245),
    (224, 195, 65),
    (192, 139, 232),
    (85, 192, 192),
    (240, 127, 168),
    (169, 177, 189),
    (169, 198, 79),
)
"""Of the labels in their order, as in js/label_pictures.js; then again from the first on."""
CELL, GAP, FRAME, LINE, LETTERS = 96, 12, 4, 17, 13
COLUMNS = 9
LINES = 2


def thumbnails(pictures: Iterable[Tensor]) -> list[Image.Image]:
    """Pictures `[H, W, C]` in 0..1 in small."""
    return [Image.fromarray(make_thumbnail(picture).numpy()) for picture in pictures]


@dataclass(frozen=True)
class Captioned:
    """A picture, at most two lines of text below it, and the colour of its frame."""

    picture: Image.Image
    lines: tuple[str, ...] = ()
    frame: Colour | None = None


def draw_captioned(cells: Sequence[Captioned], title: str) -> Image.Image:
    """The pictures in rows below a title; `MOST_DRAWN` of them at the most."""
    drawn, more = cells[:MOST_DRAWN], len(cells) - MOST_DRAWN
    title += f" (and {more} more pictures)" if more > 0 else ""
    texts = "".join(line for cell in drawn for line in cell.lines)
    small, large = font(LETTERS, texts), font(17, title)
    step = (CELL + GAP, CELL + GAP + LINES * LINE)
    top, rows = 2 * GAP + LINE, -(-len(drawn) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * step[0] + GAP, top + rows * step[1]), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((GAP, GAP), fitted(large, title, canvas.width - 2 * GAP), INK, large)
    for place, cell in enumerate(drawn):
        x, y = GAP + place % COLUMNS * step[0], top + place // COLUMNS * step[1]
        if cell.frame is not None:
            box = (x - FRAME, y - FRAME, x + CELL + FRAME - 1, y + CELL + FRAME - 1)
            pen.rectangle(box, fill=cell.frame)
        canvas.paste(in_square(cell.picture, CELL), (x, y))
        for row, line in enumerate(cell.lines[:LINES]):
            place_of_line = (x + CELL // 2, y + CELL + FRAME + row * LINE)
            ink = SOFT_INK if row < len(cell.lines) - 1 else INK
            pen.text(place_of_line, fitted(small, line, CELL + GAP), ink, small, anchor="ma")
    return canvas


def draw_predictions(
    images: Tensor,
    after: Sequence[Prediction],
    before: Sequence[Prediction] | None = None,
) -> Image.Image:
    """Each picture of a batch `[B, H, W, C]` with its label; where there are two predictions of
    each, those that changed come first, framed, with both labels."""
    found = zip(thumbnails(images), before or after, after, strict=True)
    cells = [
        (number, Captioned(picture, (f"{number}", new.label)))
        if old.label == new.label
        else (0, Captioned(picture, (f"{number}: {old.label}", f"-> {new.label}"), ACCENT))
        for number, (picture, old, new) in enumerate(found, 1)
    ]
    changed = sum(cell.frame is not None for _, cell in cells)
    title = f"{changed} of {len(cells)} pictures changed their label"
    ordered = [cell for _, cell in sorted(cells, key=lambda one: one[0])]
    return draw_captioned(ordered, title if before else f"{len(cells)} pictures and their labels")
