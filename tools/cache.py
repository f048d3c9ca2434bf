"""The cache folder: where it is, how much room it has, and who may write into it now."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .failure import Failure, say

LOCK_POLL_SECONDS = 0.3


def cache_root() -> Path:
    """The folder everything downloaded goes to: `DETOUR_CACHE` or the user's cache folder."""
    chosen = os.environ.get("DETOUR_CACHE", "").strip()
    if chosen:
        return Path(chosen).expanduser().resolve()
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "").strip()
        return (Path(local) if local else home / "AppData" / "Local") / "detour"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "detour"
    return home / ".cache" / "detour"


def make_folder(folder: Path) -> Path:
    """Create a folder and its parents; a `Failure` when that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise Failure(
            f"The folder {folder} cannot be created ({reason}); "
            "set DETOUR_CACHE to a folder that you can write to."
        ) from error
    return folder


def check_space(folder: Path, needed_gb: float, what: str) -> None:
    """Refuse before anything is downloaded when the disk has less room than `needed_gb`."""
    free_gb = shutil.disk_usage(make_folder(folder)).free / 1e9
    if free_gb < needed_gb:
        raise Failure(
            f"Not enough disk space for {what}: {needed_gb:g} GB are needed and "
            f"{free_gb:.1f} GB are free in {folder}; free some, or set DETOUR_CACHE to "
            "a folder on another disk."
        )


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it: write beside it, then rename."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def remove_tree(folder: Path) -> None:
    """Remove a folder of ours, if it is there; a `Failure` when something holds on to it."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failure(
            f"The old folder {folder} cannot be removed ({error.strerror or error}); "
            "close what uses it and try again."
        ) from error


def _locker() -> Callable[[IO[bytes]], None]:
    """This platform's way to lock an open file, raising OSError when somebody has it."""
    if sys.platform == "win32":
        import msvcrt

        return lambda file: msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    import fcntl

    return lambda file: fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a lock of the cache folder; others wait until it is free.

    The operating system keeps the lock and drops it when the process ends, however it
    ends, so no lock can be left behind (a file with a process id can be, and ids are used
    again). Two threads or processes that ask for the same name never hold it together.
    """
    path = make_folder(cache_root() / "locks") / f"{name}.lock"
    try_lock = _locker()
    told = False
    with path.open("ab") as file:
        while True:
            try:
                file.seek(0)
                try_lock(file)
                break
            except OSError:
                if not told:
                    say(f"Another process is preparing {name}; waiting for it ...")
                    told = True
                time.sleep(LOCK_POLL_SECONDS)
        yield
