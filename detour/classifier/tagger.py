"""Folders of taggers of timm: the tags' names lie in a table beside the network."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..checks import quoted
from . import resizing
from .facts import Facts

TAGS = "selected_tags.csv"
LARGEST = 2**25
"""Bytes of a table; a larger one is none of tags."""
OF_WD = "sw_jax_cv_config.json"
"""A file that the WD taggers, and no others, have beside their network."""
WD_TAGS = 10_861
"""How many tags the WD taggers know since their third version."""
WHITE = (1.0, 1.0, 1.0)


def tagger_facts(folder: Path, facts: Facts) -> Facts:
    """What is known of a tagger's folder, completed from its `selected_tags.csv`, if it has one.

    Each tag has a score of its own, and pictures that are not square get a white border, as such
    taggers learn them. The WD taggers see blue, green, red, which their config.json does not say:
    they are known by a file beside it, or by how many tags they have.

    Raises ValueError for a table that cannot be read.
    """
    table = folder / TAGS
    if not table.is_file():
        return facts
    names = _names(table)
    steps = {**facts.preprocessing, **_bordered(facts.preprocessing)}
    notes = [
        f"A tagger: its tags are those of {TAGS}, each with a score of its own (sigmoid), and "
        "pictures that are not square get a white border."
    ]
    if (folder / OF_WD).is_file() or len(names) == WD_TAGS:
        steps["bgr"] = True
        notes.append("It is taken for a WD tagger, which sees colours as blue, green, red.")
    return replace(
        facts,
        labels=facts.labels or names,
        activation=facts.activation or "sigmoid",
        preprocessing=steps,
        notes=(*facts.notes, *notes),
    )


def _bordered(steps: Mapping[str, object]) -> dict[str, object]:
    """The whole picture inside of the square that the network sees."""
    side = steps.get("resize")
    if not isinstance(side, int):  # it says already how other shapes are met
        return {}
    return {"resize": (side, side), "resize_fit": resizing.INSIDE, "crop_border": WHITE}


def _names(table: Path) -> tuple[str, ...]:
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
    return tuple(" ".join(line[column].split()) for line in lines[1:] if line)
