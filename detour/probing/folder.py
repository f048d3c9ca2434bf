"""Probes from a folder: `metadata.csv` as WILDS and group_DRO write it, or sub-folders."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..classifier import check_image
from ..paths import resolve_inside
from .probe_set import SPLITS, ProbeSet

METADATA = "metadata.csv"
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
FILE_COLUMNS = ("img_filename", "filename")
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


def read_folder(folder: Path) -> ProbeSet:
    """The probes in a folder, by its `metadata.csv` or its sub-folders `<class>/<attribute>/`.

    metadata.csv: `img_filename` or `filename`; `y`, `class` or `label` (may be missing or empty:
    no classes); `place`, `a` or `attribute`; optional `split` and `unit`; other columns are
    passed over. Sub-folders: files of one name in different sub-folders are one unit;
    `<attribute>/` alone gives probes without classes. Each picture's header is looked at, the
    pictures themselves are read when they are needed.

    Raises ValueError with one sentence that names the line or file, FileNotFoundError for a
    picture or folder that is not there.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder.name!r}: check the name.")
    metadata = folder / METADATA
    return _from_metadata(metadata) if metadata.is_file() else _from_folders(folder)


def _from_metadata(path: Path) -> ProbeSet:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            columns = [name.strip().casefold() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = list(reader)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{METADATA} cannot be read ({error}): save it as CSV in UTF-8."
            ) from None
    name = _column(columns, FILE_COLUMNS, "the file names")
    attribute = _column(columns, ATTRIBUTE_COLUMNS, "the attribute")
    known = [column for column in CLASS_COLUMNS if column in columns][:1]
    label = _column(columns, known, "the class") if known else ""
    if not rows:
        raise ValueError(f"{METADATA} has no lines below its header: add one for each picture.")
    files: dict[Path, int] = {}
    for line, row in enumerate(rows, 2):
        if row[name] is None or row[attribute] is None or None in row:
            raise ValueError(
                f"Line {line} of {METADATA} has another number of values than the header."
            )
        file = resolve_inside(row[name].strip(), [path.parent])
        if file in files:
            raise ValueError(
                f"{row[name].strip()} stands twice in {METADATA} (lines {files[file]} and "
                f"{line}): remove one."
            )
        files[file] = line
    return ProbeSet(
        _checked(files),
        tuple(_values(rows, attribute)),
        tuple(_values(rows, label)),
        tuple(_values(rows, "unit")),
        tuple(_split(value, line) for line, value in enumerate(_values(rows, "split"), 2)),
    )


def _values(rows: Sequence[dict[str, str]], column: str) -> Iterable[str]:
    return ((row.get(column) or "").strip() for row in rows)


def _column(columns: Sequence[str], names: Sequence[str], what: str) -> str:
    found = [name for name in columns if name in names]
    if len(found) != 1:
        raise ValueError(
            f"{METADATA} has {len(found)} columns for {what}; it needs one called "
            f"{' or '.join(names)}. Its columns are: {', '.join(columns) or 'none'}."
        )
    return found[0]


def _split(value: str, line: int) -> str:
    if value and value.casefold() not in SPLIT_NAMES:
        raise ValueError(
            f"Line {line} of {METADATA} has the split {value!r}: use 0, 1, 2 or "
            f"{', '.join(SPLITS)}."
        )
    return SPLIT_NAMES[value.casefold()] if value else ""


def _from_folders(folder: Path) -> ProbeSet:
    found = [
        (picture, first.name, second.name)
        for first in _folders(folder)
        for second in _folders(first)
        for picture in _pictures(second, folder)
    ]
    without_class = [
        (picture, "", first.name)
        for first in _folders(folder)
        for picture in _pictures(first, folder)
    ]
    if found and without_class:
        raise ValueError(
            f"{folder.name} has pictures both in <class>/<attribute>/ and in <attribute>/ "
            f"({without_class[0][0].name}): use one of the two."
        )
    found = found or without_class
    if not found:
        raise ValueError(
            f"{folder.name} holds neither {METADATA} nor pictures in sub-folders "
            "<class>/<attribute>/, for example nurse/woman/1.png: add one of them."
        )
    _refuse_same_names(found)
    return ProbeSet(
        _checked(file for file, _, _ in found),
        tuple(attribute for _, _, attribute in found),
        tuple(name for _, name, _ in found),
        tuple(file.stem for file, _, _ in found),
    )


def _pictures(folder: Path, root: Path) -> list[Path]:
    """The picture files in a folder; a link that leads out of `root` is refused."""
    return [
        resolve_inside(str(file.relative_to(root)), [root])
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in ENDINGS and not file.name.startswith(".")
    ]


def _folders(folder: Path) -> list[Path]:
    inside = (entry for entry in folder.iterdir() if entry.is_dir())
    return sorted(entry for entry in inside if not entry.name.startswith("."))


def _refuse_same_names(found: Iterable[tuple[Path, str, str]]) -> None:
    """Two files of one group with one stem would be one unit with itself."""
    seen: dict[tuple[Path, str], Path] = {}
    for file, _, _ in found:
        other = seen.setdefault((file.parent, file.stem), file)
        if other is not file:
            raise ValueError(
                f"{other.name} and {file.name} in {file.parent.name} have the same name but for "
                "the ending: the same photo twice? Rename or remove one."
            )


def _checked(files: Iterable[Path]) -> tuple[Path, ...]:
    """The files, each of which begins like a picture."""
    checked = tuple(files)
    for file in checked:
        if file.suffix.lower() not in ENDINGS:
            raise ValueError(f"{file.name} is no picture file: use one of {', '.join(ENDINGS)}.")
        check_image(file)
    return checked
