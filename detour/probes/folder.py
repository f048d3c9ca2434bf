"""Probes from a folder: by its `metadata.csv`, or by its sub-folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..checks import listed, quoted, shortened
from ..files import stay_inside
from ..images import check_image, picture_endings
from .metadata import METADATA, read_metadata
from .probe_set import ProbeSet

JUDGED = {"right", "wrong"}
"""Folders of these two names say how a classifier did, whatever is below them."""
NAMED = 3
"""So many of the files that were passed over are named."""


def read_folder(folder: Path) -> ProbeSet:
    """The probes in a folder, by its `metadata.csv` or its sub-folders `<class>/<attribute>/`.

    `right/` and `wrong/`, each with pictures or with folders `<class>/`, are attributes.

    metadata.csv: `img_filename`, `filename` or `file_name`; `y`, `class` or `label` (may be
    missing or empty: no classes); `place`, `a` or `attribute`; optional `split` and `unit`.
    Sub-folders: files of one name in different sub-folders are one unit; `<attribute>/` alone
    gives probes without classes. Each picture's header is looked at, the pictures themselves
    are read when they are needed. The notes of the probes name what was passed over.

    Raises ValueError with one sentence that names the line or file, FileNotFoundError for a
    picture or folder that is not there.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {quoted(folder.name)}: check the name.")
    by_table = os.path.lexists(folder / METADATA)
    return _from_metadata(folder) if by_table else _from_folders(folder)


def passed_over(folder: Path, taken: Iterable[Path], why: str) -> tuple[str, ...]:
    """Sentences that count and name the files below a folder that are not among those taken.

    taken: paths without links. why: where a picture should have been. Hidden files, and what
    lies behind linked folders, are not looked for.
    """
    known = set(map(str, taken))
    endings = picture_endings()
    pictures, others = [], []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(place, name)
            if name.startswith(".") or os.path.realpath(path) in known or name == METADATA:
                continue
            is_picture = name.lower().endswith(endings)
            (pictures if is_picture else others).append(os.path.relpath(path, folder))
    return (*_note(pictures, why), *_note(others, "no picture by the ending"))


def _note(names: Sequence[str], why: str) -> tuple[str, ...]:
    if not names:
        return ()
    files = "1 file was" if len(names) == 1 else f"{len(names)} files were"
    return (f"{files} passed over ({why}): {listed(names, NAMED)}.",)


def pictures_of(folder: Path, root: Path) -> list[Path]:
    """The picture files in a folder itself, by name; a link that leads out of `root` is refused."""
    endings = picture_endings()
    return [
        stay_inside(file, root)
        for file in sorted(folder.iterdir())
        if file.name.lower().endswith(endings) and not file.name.startswith(".")
    ]


def _from_metadata(folder: Path) -> ProbeSet:
    entries = read_metadata(folder)
    files = _checked(entry.file for entry in entries)
    return ProbeSet(
        files,
        tuple(entry.attribute for entry in entries),
        tuple(entry.name for entry in entries),
        tuple(entry.unit for entry in entries),
        tuple(entry.split for entry in entries),
        passed_over(folder, files, f"not in {METADATA}"),
    )


def _from_folders(folder: Path) -> ProbeSet:
    judged = {entry.name for entry in _folders(folder, folder)} == JUDGED
    found = [
        (picture, *((second.name, first.name) if judged else (first.name, second.name)))
        for first in _folders(folder, folder)
        for second in _folders(first, folder)
        for picture in pictures_of(second, folder)
    ]
    without_class = [
        (picture, "", first.name)
        for first in _folders(folder, folder)
        for picture in pictures_of(first, folder)
    ]
    if found and without_class:
        raise ValueError(
            f"{quoted(folder.name)} has pictures both in <class>/<attribute>/ and in <attribute>/ "
            f"({shortened(without_class[0][0].name, 100)}): use one of the two."
        )
    found = found or without_class
    notes = passed_over(
        folder, (file for file, _, _ in found), "not in <class>/<attribute>/ or <attribute>/"
    )
    if not found:
        more = f" {' '.join(notes)}" if notes else ""
        raise ValueError(
            f"{quoted(folder.name)} holds neither {METADATA} nor pictures in sub-folders "
            f"<class>/<attribute>/, for example nurse/woman/1.png: add one of them.{more}"
        )
    _refuse_same_names(found)
    return ProbeSet(
        _checked(file for file, _, _ in found),
        tuple(attribute for _, _, attribute in found),
        tuple(name for _, name, _ in found),
        () if judged else tuple(file.stem for file, _, _ in found),
        notes=notes,
    )


def _folders(folder: Path, root: Path) -> list[Path]:
    """The folders in a folder, by name; a link that leads out of `root` is refused."""
    inside = [entry for entry in sorted(folder.iterdir()) if entry.is_dir()]
    shown = [entry for entry in inside if not entry.name.startswith(".")]
    for entry in shown:
        stay_inside(entry, root)
    return shown


def _refuse_same_names(found: Iterable[tuple[Path, str, str]]) -> None:
    """Two files of one group with one stem would be one unit with itself."""
    seen: dict[tuple[Path, str], Path] = {}
    for file, _, _ in found:
        other = seen.setdefault((file.parent, file.stem), file)
        if other is not file:
            names = [shortened(name, 100) for name in (other.name, file.name, file.parent.name)]
            raise ValueError(
                f"{names[0]} and {names[1]} in {names[2]} have the same name but for "
                "the ending: the same photo twice? Rename or remove one."
            )


def _checked(files: Iterable[Path]) -> tuple[Path, ...]:
    """The files, each of which begins like a picture."""
    checked, endings = tuple(files), picture_endings()
    for file in checked:
        if not file.name.lower().endswith(endings):
            raise ValueError(
                f"{shortened(file.name, 100)} is no picture file: use one of {', '.join(endings)}."
            )
        check_image(file)
    return checked
