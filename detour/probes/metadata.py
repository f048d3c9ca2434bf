"""Probes from a table: `metadata.csv` as WILDS, group_DRO and Hugging Face write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checks import listed, quoted, shortened
from ..files import open_file, resolve_inside, stay_inside
from .probe_set import SPLITS

METADATA = "metadata.csv"
LARGEST = 2**26
"""Bytes of a table; a larger one is none of ours."""
FILE_COLUMNS = ("img_filename", "filename", "file_name")
CLASS_COLUMNS = ("y", "class", "label")
"""The first of these that is there."""
ATTRIBUTE_COLUMNS = ("place", "a", "attribute")
SPLIT_NAMES = {
    **{str(number): name for number, name in enumerate(SPLITS)},
    **{name: name for name in SPLITS},
    "train": "choose",
    "val": "validate",
    "valid": "validate",
    "validation": "validate",
    "test": "report",
}
"""What `split` may say: a number as in WILDS (0 train, 1 validation, 2 test), or a name."""


@dataclass(frozen=True)
class Entry:
    """A line of the table: a picture and what is said of it; empty where nothing is."""

    file: Path
    attribute: str
    name: str
    unit: str
    split: str


def read_metadata(folder: Path) -> list[Entry]:
    """The entries of the `metadata.csv` in a folder; other columns are passed over.

    Raises ValueError with one sentence that names the line, FileNotFoundError for a picture
    that is not there.
    """
    lines = _lines(_text(folder))
    header = next(lines, (1, []))[1]
    columns = _Columns([name.strip().casefold() for name in header])
    entries: dict[Path, int] = {}
    found = []
    for line, values in lines:
        if len(values) != len(header):
            raise ValueError(
                f"Line {line} of {METADATA} has another number of values than the header."
            )
        entry = columns.entry(folder, line, [value.strip() for value in values])
        if entries.setdefault(entry.file, line) != line:
            raise ValueError(
                f"{shortened(entry.file.name, 100)} stands twice in {METADATA} (lines "
                f"{entries[entry.file]} and {line}): remove one."
            )
        found.append(entry)
    if not found:
        raise ValueError(f"{METADATA} has no lines below its header: add one for each picture.")
    return found


class _Columns:
    """Which column of the table holds what."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.file = self.only(FILE_COLUMNS, "the file names")
        self.attribute = self.only(ATTRIBUTE_COLUMNS, "the attribute")
        known = [name for name in CLASS_COLUMNS if name in names]
        self.label = self.only(known[:1], "the class") if known else None
        self.unit, self.split = (
            self.only((name,), f"the {name}") if name in names else None
            for name in ("unit", "split")
        )

    def only(self, names: Sequence[str], what: str) -> int:
        """The place of the one column that has one of the names."""
        found = [place for place, name in enumerate(self.names) if name in names]
        if len(found) != 1:
            raise ValueError(
                f"{METADATA} has {len(found)} columns for {what}; it needs one called "
                f"{' or '.join(names)}. Its columns are: {listed(self.names) or 'none'}."
            )
        return found[0]

    def entry(self, folder: Path, line: int, values: Sequence[str]) -> Entry:
        """What a line says."""
        label, unit, split = (
            "" if place is None else values[place] for place in (self.label, self.unit, self.split)
        )
        if split and split.casefold() not in SPLIT_NAMES:
            raise ValueError(
                f"Line {line} of {METADATA} has the split {quoted(split)}: use 0, 1, 2 or "
                f"{', '.join(SPLITS)}."
            )
        return Entry(
            resolve_inside(values[self.file], [folder]),
            values[self.attribute],
            label,
            unit,
            SPLIT_NAMES[split.casefold()] if split else "",
        )


def _text(folder: Path) -> str:
    table = stay_inside(folder / METADATA, folder)
    if not table.exists():
        raise FileNotFoundError(f"{METADATA} is a link to a file that is not there: mend the link.")
    with open_file(table) as file:
        raw = file.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise ValueError(f"{METADATA} has more than {LARGEST >> 20} MiB: take fewer columns.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(_unreadable(error)) from None


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The values of each line that has any, with the number of the line where they begin."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begin = 1
    try:
        for values in reader:
            if values:
                yield begin, values
            begin = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(_unreadable(error)) from None


def _unreadable(error: Exception) -> str:
    return f"{METADATA} cannot be read ({shortened(str(error), 200)}): save it as CSV in UTF-8."
