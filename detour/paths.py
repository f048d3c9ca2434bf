"""File names that users type, kept inside the folders that a host allows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

FORBIDDEN = '<>:"|?*'
LONGEST = 255
"""Bytes (UTF-8) in the name of a file or folder: file systems take no more."""


def resolve_inside(name: str, roots: Sequence[Path | str], must_exist: bool = True) -> Path:
    """The absolute path of `name`, a relative path below one of the folders `roots`.

    The first root that holds the name wins; with `must_exist` False and nothing there, the
    path below the first root. Symbolic links are followed, and must stay below their root.

    Raises ValueError for an empty or absolute name, for `..` and for a link that leads out,
    FileNotFoundError when no root holds the name.
    """
    parts = _safe_parts(name)
    if not roots:
        raise ValueError(f"There is no folder to look for {name!r} in: name at least one.")
    folders = [Path(root).resolve() for root in roots]
    for folder in folders:
        path = _stay_inside(folder, parts, name)
        if path.exists():
            return path
    if must_exist:
        places = ", ".join(str(folder) for folder in folders)
        raise FileNotFoundError(
            f"{name!r} was not found in {places}: put it there, or choose another one."
        )
    return _stay_inside(folders[0], parts, name)


def _safe_parts(name: str) -> list[str]:
    """The folders and the file of a relative name, in either system's spelling."""
    if not name.strip():
        raise ValueError("The file name is empty: write a name relative to the model folder.")
    if any(ord(letter) < 32 for letter in name):
        raise ValueError(f"The file name {name!r} holds a control character: rename the file.")
    windows = PureWindowsPath(name)
    if windows.drive or windows.root:
        raise ValueError(
            f"{name!r} is an absolute path: only names relative to the allowed folders can be "
            "used. Put the file there and write its name."
        )
    parts = [part for part in windows.parts if part != "."]
    longest = max((len(part.encode()) for part in parts), default=0)
    if longest > LONGEST:
        raise ValueError(
            f"The file name has a part of {longest} bytes; {LONGEST} are possible: shorten it."
        )
    if ".." in parts:
        raise ValueError(
            f"{name!r} leads out of the allowed folders with '..': write a name below them."
        )
    return parts


def _stay_inside(folder: Path, parts: list[str], name: str) -> Path:
    path = folder.joinpath(*parts).resolve()
    if not path.is_relative_to(folder):
        raise ValueError(
            f"{name!r} is a link that leads out of {folder}: copy what it points to into the "
            "folder instead."
        )
    return path


def new_path(
    name: str, ending: str, folder: Path, beside: str = "", numbered: bool = False
) -> Path:
    """A path below `folder` that is not taken, for a file that is to be written.

    name: as typed, with sub-folders, with or without the ending (`.edit.json`). Where it is
    taken a number is added, `name_00002.ending`; numbered: also to the first, from 1.
    beside: the ending of a file that would be taken for a companion of the new one, so that a
    name which has one is not free.
    Raises ValueError like `resolve_inside`, for a name that is hidden or empty, and for one
    that some systems cannot write.
    """
    typed = name.strip().removesuffix(ending)
    last = PureWindowsPath(typed).name
    if not last or typed[-1:] in ("/", "\\"):
        raise ValueError(f"The file name is {name!r}, which names no file: write one.")
    _safe_parts(typed)
    bad = sorted(set(typed) & set(FORBIDDEN))
    if bad or last.startswith("."):
        todo = f"leave out {' '.join(bad)}" if bad else "begin it with a letter or digit"
        raise ValueError(f"The file name {typed!r} cannot be used: {todo}.")
    number = int(numbered)
    while True:
        counted = f"{typed}_{number:05}" if number else typed
        path = resolve_inside(f"{counted}{ending}", [folder], must_exist=False)
        if not path.exists() and not (beside and path.with_suffix(beside).exists()):
            return path
        number = max(number + 1, 2)
