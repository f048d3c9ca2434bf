"""Pictures that get a label each, in words, in one picture, and as the page's widget draws them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from PIL import Image

from ..checks import counted
from ..classifier.model import Prediction
from ..probes.labels import Marked
from .canvas import PAPER
from .captions import MOST_DRAWN, PALETTE, Captioned, draw_captioned
from .sheet import in_square

NOTHING_YET = (
    "No picture has a label yet: click the pictures, or write marks such as 'wrong: 3, 7-9', and "
    "run again. What is behind this node waits until then."
)
SIDE, ACROSS = 128, 10
"""Pixels of a picture on the widget's sheet, and pictures in a row of it."""


def describe_labels(marked: Marked, names: Sequence[str]) -> str:
    """How many pictures have which label, and which clicks found no picture."""
    each = Counter(marked.labels)
    none = each.pop("", 0)
    counts = ", ".join(f"{each[name]} {name}" for name in names if each[name])
    lines = [f"{counted(len(marked.labels), 'picture')}: {counts or 'none has a label'}."]
    if none and each:
        lines.append(f"{none} without a label are left out.")
    if marked.absent:
        lines.append(
            f"The pictures have changed: {counted(marked.absent, 'click')} on others (another "
            "seed?) are kept, and label nothing now."
        )
    return "\n".join(lines if each else [*lines, NOTHING_YET])


def by_prediction(found: Sequence[Prediction]) -> list[int]:
    """The pictures' places with like beside like, what the classifier is least sure of first."""
    return sorted(range(len(found)), key=lambda place: (found[place].label, found[place].score))


def draw_labels(
    pictures: Sequence[Image.Image],
    marked: Marked,
    names: Sequence[str],
    found: Sequence[Prediction] | None = None,
) -> Image.Image:
    """The pictures with number and label, framed in the label's colour; below that what a
    classifier says, where it was asked."""
    colours = {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(names)}
    cells = [
        Captioned(
            picture,
            (f"{place + 1} {label}".rstrip(), *([] if found is None else [found[place].label])),
            colours.get(label),
        )
        for place, (picture, label) in enumerate(zip(pictures, marked.labels, strict=True))
    ]
    ordered = cells if found is None else [cells[place] for place in by_prediction(found)]
    return draw_captioned(ordered, "The pictures, their numbers and labels")


def draw_thumbnails(pictures: Sequence[Image.Image]) -> Image.Image:
    """The first `MOST_DRAWN` pictures in squares, `ACROSS` in a row, for the widget to cut out."""
    shown = pictures[:MOST_DRAWN]
    sheet = Image.new("RGB", (ACROSS * SIDE, -(-len(shown) // ACROSS) * SIDE), PAPER)
    for place, picture in enumerate(shown):
        sheet.paste(in_square(picture, SIDE), (place % ACROSS * SIDE, place // ACROSS * SIDE))
    return sheet


def widget_facts(
    marks: Sequence[str], names: Sequence[str], found: Sequence[Prediction] | None
) -> dict[str, Any]:
    """What the widget has to know beside the sheet of `draw_thumbnails`, as JSON.

    marks: of all pictures; said: what a classifier says of each; order: in which they are shown.
    """
    count = min(len(marks), MOST_DRAWN)
    order = range(count) if found is None else by_prediction(found[:count])
    return {
        "labels": list(names),
        "marks": list(marks),
        "said": [] if found is None else [_said(one) for one in found[:count]],
        "order": list(order),
        "across": ACROSS,
    }


def _said(found: Prediction) -> str:
    return f"{found.label} {found.score:.0%}"
