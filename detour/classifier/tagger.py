"""Folders of taggers of timm: the tags' names lie in a table beside the network."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..checks import quoted
from . import resizing
from .facts import Facts
from .preprocess_file import file_steps

TAGS = "selected_tags.csv"
LARGEST = 2**25
"""Bytes of a table; a larger one is none of tags."""
OF_WD = "sw_jax_cv_config.json"
"""A file that the WD taggers, and no others, have beside their network."""
WD_TAGS = 10_861
"""How many tags the WD taggers know since their third version."""
WD_THRESHOLD = 0.35
"""From which score on the programs that run WD taggers count a tag."""
WHITE = (1.0, 1.0, 1.0)
_THRESHOLDS = "best_threshold"


def tagger_facts(folder: Path, facts: Facts) -> Facts:
    """What is known of a tagger's folder, completed from its `selected_tags.csv`, if it has one.

    Each tag has a score of its own, and pictures that are not square get a white border, as such
    taggers learn them. The WD taggers see blue, green, red, which their config.json does not say:
    they are known by a file beside it, or by how many tags they have. Where the table has a
    threshold for each tag, the one that all have here is their median.

    Raises ValueError for a table that cannot be read.
    """
    table = folder / TAGS
    if not table.is_file():
        return facts
    names, thresholds = _columns(table)
    told, said = file_steps(folder)
    steps = {**facts.preprocessing, **(told or _bordered(facts.preprocessing))}
    notes = [
        f"A tagger: its tags are those of {TAGS}, each with a score of its own (sigmoid), and "
        "pictures that are not square get a white border.",
        *said,
    ]
    threshold, note = _one_threshold(thresholds)
    notes += note
    if (folder / OF_WD).is_file() or len(names) == WD_TAGS:
        steps["bgr"] = True
        threshold = WD_THRESHOLD if threshold is None else threshold
        notes.append(
            "It is taken for a WD tagger, which sees colours as blue, green, red; a tag counts "
            f"from {threshold:g} on unless a threshold is set."
        )
    return replace(
        facts,
        labels=facts.labels or names,
        activation=facts.activation or "sigmoid",
        threshold=threshold if facts.threshold is None else facts.threshold,
        preprocessing=steps,
        notes=(*facts.notes, *notes),
    )


def _bordered(steps: Mapping[str, object]) -> dict[str, object]:
    """The whole picture inside of the square that the network sees."""
    side = steps.get("resize")
    if not isinstance(side, int):  # it says already how other shapes are met
        return {}
    return {"resize": (side, side), "resize_fit": resizing.INSIDE, "crop_border": WHITE}


def _one_threshold(thresholds: Sequence[float]) -> tuple[float | None, tuple[str, ...]]:
    """The median of each tag's threshold, and what is to be said of it."""
    if not thresholds:
        return None, ()
    middle = statistics.median(thresholds)
    return middle, (
        f"{TAGS} has a threshold for each tag, from {min(thresholds):g} to {max(thresholds):g}; "
        f"here one counts for all, their median {middle:g}. Set threshold to have another.",
    )


def _columns(table: Path) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The names of the tags, and their thresholds, if the table has such a column."""
    size = table.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{TAGS} has {size:,} bytes: it cannot be a table of tags.")
    try:
        lines = list(csv.reader(io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{TAGS} is no table in UTF-8 ({error}): download it again.") from None
    header = [name.strip() for name in lines[0]] if lines else []
    if "name" not in header:
        raise ValueError(
            f"{TAGS} has no column 'name' (its first line is {quoted(','.join(header))}): "
            "download it again, or take it out of the folder and name the labels."
        )
    column = header.index("name")
    short = next((n for n, line in enumerate(lines, 1) if line and len(line) <= column), None)
    if short is not None:
        raise ValueError(f"Line {short} of {TAGS} has no name: download it again.")
    tags = [line for line in lines[1:] if line]
    of_threshold = header.index(_THRESHOLDS) if _THRESHOLDS in header else None
    thresholds = [] if of_threshold is None else [_number(line, of_threshold) for line in tags]
    return (
        tuple(" ".join(line[column].split()) for line in tags),
        tuple(number for number in thresholds if 0 < number < 1),
    )


def _number(line: Sequence[str], column: int) -> float:
    """The number in a cell; NaN where there is none."""
    try:
        return float(line[column])
    except (IndexError, ValueError):
        return math.nan
