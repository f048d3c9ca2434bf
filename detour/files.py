"""File names that users type, kept inside the folders that a host allows; files opened without
waiting, and written so that they appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from .checks import is_text, quoted

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
    if not isinstance(name, str):  # a host's list lets a number through
        raise ValueError(f"The file name is {quoted(name)}, which is no text: write one.")
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


Write = Callable[[Path], None]
"""Writes everything into the file of this name, which is not there yet."""
DRAFT = (".detour-", ".part")
"""Beginning and end of the names of our drafts."""
ABANDONED = 3600.0
"""Seconds after which a draft that nobody wrote to belongs to a run that has ended."""


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises ValueError for what is no plain file: a pipe would keep us waiting, a device never ends,
    nor does a link to itself.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ValueError(f"{quoted(path.name)} is a link to itself: put a file there.") from None
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


def name_below(path: Path, folder: Path) -> str:
    """A file that was written below a folder, as users name it."""
    return path.relative_to(folder.resolve()).as_posix()


CLASSIFIER_ENDINGS = (".safetensors", ".sft", ".pt", ".pth", ".bin", ".ckpt")
EDIT_ENDING = ".edit.json"


def edit_names(roots: Sequence[Path]) -> list[str]:
    """All edit files, relative to their folders, sorted."""
    found = ((root, path) for root in roots for path in _files(root, (EDIT_ENDING,)))
    return sorted({path.relative_to(root).as_posix() for root, path in found})


def classifier_names(roots: Sequence[Path]) -> list[str]:
    """All classifiers, folder by folder: files, and transformers folders by their name."""
    names: dict[str, None] = {}
    for root in roots:
        for path in _files(root, CLASSIFIER_ENDINGS):
            is_folder = path.parent != root and (path.parent / "config.json").is_file()
            found = path.parent if is_folder else path
            names[found.relative_to(root).as_posix()] = None
    return list(names)


def _files(root: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """The files below a folder by their paths, linked ones too; every folder is entered once."""
    seen: set[str] = set()
    found = []
    for place, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        found += [Path(place, name) for name in files if name.lower().endswith(endings)]
    yield from (path for path in sorted(found) if is_text(str(path)) and path.is_file())
