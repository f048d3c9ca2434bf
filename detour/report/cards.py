"""Pictures as cards with what a classifier says of them: a sheet to click at, and one to compare
with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .bars import Colour
from .canvas import ACCENT, INK, PAPER, RULE, SOFT_INK, fitted, font

COLUMNS, SIDE, GAP, LETTERS = 6, 104, 12, 19
"""Cards in a row; pixels of a picture's longer side, between cards, and of a line of text."""
WIDE, HIGH = SIDE + GAP, SIDE + 2 * LETTERS + GAP + 6
BETTER: Colour = (30, 140, 74)
WORSE: Colour = ACCENT


@dataclass(frozen=True)
class Card:
    """One picture, up to two lines below it, and a coloured frame with a word on it."""

    picture: Image.Image
    told: tuple[str, str] = ("", "")
    frame: Colour | None = None
    mark: str = ""


def draw_cards(cards: Sequence[Card]) -> Image.Image:
    """The cards in rows of `COLUMNS`, as an RGB picture; where each is, `card_at` knows."""
    rows = max(1, -(-len(cards) // COLUMNS))
    canvas = Image.new("RGB", (COLUMNS * WIDE + GAP, rows * HIGH + GAP), PAPER)
    pen = ImageDraw.Draw(canvas)
    for number, card in enumerate(cards):
        _draw(canvas, pen, card, *_corner(number))
    return canvas


def card_at(count: int, x: float, y: float) -> int | None:
    """The number of the card at a pixel of the sheet of `count` cards; None between them."""
    column, row = int((x - GAP / 2) // WIDE), int((y - GAP / 2) // HIGH)
    number = row * COLUMNS + column
    return number if 0 <= column < COLUMNS and 0 <= number < count else None


def _corner(number: int) -> tuple[int, int]:
    row, column = divmod(number, COLUMNS)
    return GAP + column * WIDE, GAP + row * HIGH


def _draw(canvas: Image.Image, pen: ImageDraw.ImageDraw, card: Card, left: int, top: int) -> None:
    picture = _sized(card.picture)
    canvas.paste(picture, (left + (SIDE - picture.width) // 2, top + (SIDE - picture.height) // 2))
    box = (left - 4, top - 4, left + SIDE + 3, top + SIDE + 3)
    pen.rectangle(box, outline=card.frame or RULE, width=5 if card.frame else 1)
    if card.mark and card.frame is not None:
        letters = font(16)
        width = letters.getlength(card.mark)
        pen.rectangle((left - 4, top - 4, left + width + 10, top + 18), card.frame)
        pen.text((left + 3, top + 7), card.mark, PAPER, letters, anchor="lm")
    for line, (text, colour) in enumerate(zip(card.told, (INK, SOFT_INK), strict=True)):
        letters = font(16, text)
        where = (left, top + SIDE + 8 + line * LETTERS)
        pen.text(where, fitted(letters, text, SIDE), colour, letters, anchor="la")


def _sized(picture: Image.Image) -> Image.Image:
    """At most `SIDE` wide and high; very small ones enlarged with sharp pixels."""
    share = SIDE / max(picture.size)
    if share >= 2:
        share = int(share)
    way = Image.Resampling.NEAREST if share >= 2 else Image.Resampling.BICUBIC
    size = [max(1, round(side * share)) for side in picture.size]
    return picture.resize((size[0], size[1]), way)
