"""Files opened without waiting, and written so that they appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .paths import new_names, resolve_inside
from .user_input import quoted

Write = Callable[[Path], None]
"""Writes everything into the file of this name, which is not there yet."""
DRAFT = (".detour-", ".part")
"""Beginning and end of the names of our drafts."""
ABANDONED = 3600.0
"""Seconds after which a draft that nobody wrote to belongs to a run that has ended."""


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises ValueError for what is no plain file: a pipe would keep us waiting, a device never ends.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{quoted(path.name)} is no plain file: put a file in its place.")
    return os.fdopen(descriptor, "rb")


_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def write_whole(target: Path, write: Write) -> Path:
    """Write a file beside the target, then put it in its place; readers see the old or the new."""
    draft = _draft(target.parent)
    try:
        _fill(draft, write)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def write_new(
    write: Write, name: str, ending: str, folder: Path, beside: str = "", numbered: bool = False
) -> Path:
    """Write a file under a name below `folder` that nobody has, not even at the same moment.

    name, ending, numbered: see `new_names`. beside: the ending of a file that would be taken
    for a companion of the new one, so that a name which has one is not free.
    Raises ValueError for a name that cannot be used, OSError if it cannot be written.
    """
    names = new_names(name, ending, numbered)
    target = _free(names, folder, beside)
    draft = _draft(target.parent)
    try:
        _fill(draft, write)
        while not _published(draft, target):
            target = _free(names, folder, beside)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _free(names, folder: Path, beside: str) -> Path:
    """The first of the names that is not taken now."""
    for name in names:
        path = resolve_inside(name, [folder], must_exist=False)
        taken = os.path.lexists(path) or (beside and path.with_suffix(beside).exists())
        if not taken:
            return path
    raise AssertionError("the names have no end")


def _published(draft: Path, target: Path) -> bool:
    """Give the draft its name; False where another file took the name meanwhile."""
    try:
        os.link(draft, target)
        return True
    except FileExistsError:
        return False
    except OSError:  # a file system without links: claim the name first, then replace it
        pass
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY))
    except FileExistsError:
        return False
    try:
        os.replace(draft, target)
    except OSError:
        target.unlink(missing_ok=True)  # the claim is ours, and empty
        raise
    return True


def _draft(folder: Path) -> Path:
    """A name for a draft in the folder, after drafts that a crash left there were removed."""
    folder.mkdir(parents=True, exist_ok=True)
    oldest = time.time() - ABANDONED
    begin, end = DRAFT
    for left in folder.glob(f"{begin}{'[0-9a-f]' * 16}{end}"):
        try:
            if left.is_file() and left.stat().st_mtime < oldest:
                left.unlink()
        except OSError:
            continue  # another program has it, or was faster
    return folder / f"{begin}{secrets.token_hex(8)}{end}"


def _fill(draft: Path, write: Write) -> None:
    write(draft)
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
