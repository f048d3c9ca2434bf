"""Letters for Detour's pictures: Pillow's own, or this machine's where those lack some."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from PIL import ImageFont

from .bitmap_letters import BitmapLetters

SYSTEM_FONTS = ("arial.ttf", "Arial.ttf", "LiberationSans-Regular.ttf", "DejaVuSans.ttf")
"""Of Windows, macOS and Linux: Latin with accents, Greek, Cyrillic."""
WIDE_FONTS = (
    "msyh.ttc",
    "malgun.ttf",
    "Arial Unicode.ttf",
    "Hiragino Sans GB.ttc",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
)
"""Of the same systems: Chinese, Japanese or Korean beside Latin."""
Letters = ImageFont.FreeTypeFont | ImageFont.ImageFont
NO_CHARACTER = "\uffff"
"""Never a letter: a font draws its sign for a missing one."""


def font(size: int, text: str = "") -> Letters:
    """Letters at `size` pixels for `text`.

    Pillow's own, which know ASCII and little else; for other text those of this machine's fonts
    that lack the fewest of its letters. Before Pillow 10.1 the machine's, else Pillow's small ones.
    """
    best, fewest = None, len(text) + 1
    for letters in _known_letters(size):
        lacking = _lacking(letters, text)
        if lacking < fewest:
            best, fewest = letters, lacking
        if not lacking:
            break
    return best or BitmapLetters(size, ImageFont.load_default())


def _known_letters(size: int) -> Iterator[Letters]:
    """Pillow's own (from 10.1 on), then those of the machine, each looked for when asked for."""
    try:
        yield ImageFont.load_default(size)
    except TypeError:
        pass
    for name in (*SYSTEM_FONTS, *WIDE_FONTS):
        known = _system_font(name)
        if known:
            yield known.font_variant(size=size)


@cache
def _system_font(name: str) -> ImageFont.FreeTypeFont | None:
    """A font of the system's folders by its file's name."""
    try:
        return ImageFont.truetype(name)
    except OSError:
        return None


def _lacking(letters: Any, text: str) -> int:
    """How many different letters of the text the font has no picture for.

    letters: of any type, since Pillow's stubs do not know that a mask has bytes.
    """
    if text.isascii():
        return 0
    missing = bytes(letters.getmask(NO_CHARACTER))
    return sum(bytes(letters.getmask(letter)) == missing for letter in set(text))


def fitted(letters: Letters, text: str, width: float) -> str:
    """The text; where it is wider than `width` pixels its middle becomes an ellipsis, so that
    names which differ at the end only stay apart."""
    if letters.getlength(text) <= width:
        return text
    shown, cut = "…", len(text)
    kept = 0
    while cut - kept > 1:  # as many letters as fit, by halving: a name may be of any length
        middle = (kept + cut) // 2
        short = text[: middle - middle // 2] + "…" + text[len(text) - middle // 2 :]
        if letters.getlength(short) <= width:
            shown, kept = short, middle
        else:
            cut = middle
    return shown
