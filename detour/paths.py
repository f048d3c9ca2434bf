"""File names that users type, kept inside the folders that a host allows."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath

from .user_input import quoted

FORBIDDEN = '<>:"|?*'
LONGEST = 255
"""Bytes (UTF-8) in the name of a file or folder: file systems take no more."""
LONGEST_NAME = 4096
"""Letters in a whole name."""
PORTS = tuple(f"{port}{sign}" for port in ("COM", "LPT") for sign in "0123456789¹²³")
DEVICES = frozenset(("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *PORTS))
"""Names that mean a device on Windows, with every ending."""


def resolve_inside(
    name: str, roots: Sequence[Path | str], must_exist: bool = True, links: bool = False
) -> Path:
    """The absolute path of `name`, a relative path below one of the folders `roots`.

    The first root that holds the name wins; with `must_exist` False and nothing there, the
    path below the first root. Symbolic links are followed and must stay below their root;
    links: they may lead anywhere (a user's own models), and the path is that of the link.

    Raises ValueError for an empty or absolute name, for `..` and for a link that leads out,
    FileNotFoundError when no root holds the name.
    """
    parts = _safe_parts(name)
    if not roots:
        raise ValueError(f"There is no folder to look for {quoted(name)} in: name at least one.")
    for root in roots:
        path = _joined(root, parts, links)
        if path.exists():
            return path
    if must_exist:
        places = ", ".join(quoted(os.path.realpath(root)) for root in roots[:3])
        more = f" and {len(roots) - 3} more folders" if len(roots) > 3 else ""
        raise FileNotFoundError(
            f"{quoted(name)} was not found in {places}{more}: put it there, or choose another one."
        )
    return _joined(roots[0], parts, links)


def stay_inside(path: Path | str, folder: Path | str, links: bool = False) -> Path:
    """The absolute path, which must lie below `folder`.

    Links are followed; links: those of `path` are not, so that they may lead anywhere.
    Raises ValueError for a path outside. Every path that comes from outside goes through here.
    """
    base = os.path.realpath(folder)
    found = os.path.realpath(path)
    if links:  # as written, below the folder as it really is
        relative = os.path.relpath(os.path.abspath(path), os.path.abspath(folder))
        found = os.path.normpath(os.path.join(base, relative))
    if not _is_below(found, base):
        raise ValueError(
            f"{quoted(Path(path).name)} is a link that leads out of {quoted(base)}: copy what it "
            "points to into the folder instead."
        )
    return Path(found)


def _is_below(path: str, folder: str) -> bool:
    try:
        return os.path.commonpath((path, folder)) == os.path.normpath(folder)
    except ValueError:  # two drives of Windows
        return False


def _joined(root: Path | str, parts: Sequence[str], links: bool) -> Path:
    return stay_inside(os.path.join(root, *parts), root, links)


def _safe_parts(name: str) -> list[str]:
    """The folders and the file of a relative name, in either system's spelling."""
    if not name.strip():
        raise ValueError("The file name is empty: write a name relative to the model folder.")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name):
        raise ValueError(
            f"The file name {quoted(name)} holds a control character, or one that cannot be "
            "written: rename the file."
        )
    windows = PureWindowsPath(name[: LONGEST_NAME + 1])
    parts = [part for part in windows.parts if part != "."]
    longest = max((len(part.encode()) for part in parts), default=0)
    if windows.drive or windows.root:
        raise ValueError(
            f"{quoted(name)} is an absolute path: only names relative to the allowed folders can "
            "be used. Put the file there and write its name."
        )
    if len(name) > LONGEST_NAME or longest > LONGEST:
        raise ValueError(
            f"The file name has a part of {longest} bytes and {len(name)} letters in all; "
            f"{LONGEST} bytes are possible: shorten it."
        )
    if ".." in parts:
        raise ValueError(
            f"{quoted(name)} leads out of the allowed folders with '..': write a name below them."
        )
    if os.name == "nt" and any(map(_is_device, parts)):
        raise ValueError(f"{quoted(name)} is the name of a device: choose a file.")
    return parts


def _is_device(part: str) -> bool:
    return part.partition(".")[0].strip().upper() in DEVICES


def new_names(name: str, ending: str, numbered: bool = False) -> Iterator[str]:
    """Names for a file that is to be written, the first wish first, then with a number.

    name: as typed, with sub-folders, with or without the ending (`.edit.json`). The others are
    `name_00002.ending` and so on; numbered: the first has a number too, 1.
    Raises ValueError like `resolve_inside`, for a name that is hidden or empty, and for one
    that some systems cannot write.
    """
    typed = name.strip().removesuffix(ending)
    _check_new(typed, name)
    number = int(numbered)
    while True:
        yield f"{typed}_{number:05}{ending}" if number else f"{typed}{ending}"
        number = max(number + 1, 2)


def _check_new(typed: str, name: str) -> None:
    """Refuse what names no file, and what Windows or another system would not write."""
    parts = [] if not typed else _safe_parts(typed)
    if not parts or typed[-1:] in ("/", "\\"):
        raise ValueError(f"The file name is {quoted(name)}, which names no file: write one.")
    bad = sorted(set(typed) & set(FORBIDDEN))
    todo = ""
    if bad:
        todo = f"leave out {' '.join(bad)}"
    elif parts[-1].startswith("."):
        todo = "begin it with a letter or digit"
    elif any(part.endswith((".", " ")) for part in parts):
        todo = "leave out the dots and spaces at its end"
    elif any(map(_is_device, parts)):
        todo = "Windows has a device of that name, choose another one"
    if todo:
        raise ValueError(f"The file name {quoted(typed)} cannot be used: {todo}.")
