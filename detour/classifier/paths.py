"""File names that users type, kept inside the folders that a host allows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

FORBIDDEN = '<>:"|?*'
LONGEST = 255
"""Letters in the name of a file or folder: no file system takes more."""


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
            f"{name!r} was not found in {places}: put the file there, or choose another one."
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
    longest = max(map(len, parts), default=0)
    if longest > LONGEST:
        raise ValueError(f"The file name has a part of {longest} letters: shorten it.")
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


def free_path(path: Path, beside: str = "") -> Path:
    """The path itself if nothing is there, else the first free `name_00002.ending` beside it.

    beside: the ending of a file that would be taken for a companion of the new one, so that a
    name which has one is not free.
    Raises ValueError for a name that is hidden (or nothing but an ending), and for one that
    some systems cannot write.
    """
    if path.name.startswith(".") or set(path.name) & set(FORBIDDEN):
        raise ValueError(
            f"The file name {path.name!r} cannot be used: begin it with a letter or digit, and "
            f"leave out {' '.join(FORBIDDEN)}."
        )
    number, free = 1, path
    while free.exists() or (beside and free.with_suffix(beside).exists()):
        number += 1
        free = path.with_name(f"{path.stem}_{number:05}{path.suffix}")
    return free
