"""One hostile case: it works, or it is refused in one sentence of ours; nothing else happens.

Nothing else: no other kind of error, no hang, no more memory, nothing written where nothing is to
be written and nothing left half-written, and no code of the case run.
"""

from __future__ import annotations

import faulthandler
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / name) + os.sep for name in ("detour", "nodes", "extension", "demo"))
CPU_SECONDS = 20.0
"""Processor time that a case may take. What it waits for counts only in `HANG_SECONDS`."""
HANG_SECONDS = 240
ROOM = 2 * 2**30
"""Bytes of address space that cases may take beside what the process has when they begin."""
LONGEST = 1000
"""Letters of a sentence."""
CANARY = "it_ran"
"""What hostile programs try to make: a file of this name in the case's folder."""
RUNS_SOMETHING = (
    *("os.system", "os.exec", "os.posix_spawn", "os.startfile", "subprocess.Popen", "pty.spawn"),
    *("pickle.find_class", "shutil.rmtree", "socket.connect", "webbrowser.open", "os.kill"),
)
CHANGES_FILES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.link")


class Wrong(BaseException):
    """What a case must not do. No `except Exception` of anybody takes it for its own."""


class Refused(Exception):
    """A refusal that came another way than as an error: over HTTP, or from a node."""


@dataclass(frozen=True)
class Case:
    """What is tried: a few words, the call, and whether it may write into its folder.

    writes: where it works; always: also where it is refused, as a host does that begins.
    """

    told: str
    act: Callable[[], Any]
    writes: bool = False
    always: bool = False


Make = Callable[[random.Random, Path], Case]
"""A generator: a case from a seed, with its files in a folder of its own."""


class Watch:
    """Limits and eyes on this process, which is to do nothing else; `try_case` is the way in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.active = False
        self.seen: list[str] = []
        self.slowest = (0.0, 0)
        sys.addaudithook(self._look)
        signal.signal(signal.SIGPROF, _too_slow)

    def limit_memory(self) -> None:
        """From now on the process gets `ROOM` more, where the system can say so."""
        if sys.platform == "linux":
            import resource

            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + ROOM
            resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

    def try_case(self, make: Make, seed: int) -> tuple[str, str]:
        """("worked" or "refused", what was tried); raises `Wrong` with what happened."""
        place = self.folder / "case"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        case = make(random.Random(seed), place)
        before, begin = listing(place), time.process_time()
        self.seen.clear()
        try:
            with self._limits():
                outcome = _outcome(case.act)
        except Wrong as error:
            raise Wrong(f"{case.told}: {error}") from error
        self.slowest = max(self.slowest, (time.process_time() - begin, seed))
        wrong = self._traces(place, before, case.always or (case.writes and outcome == "worked"))
        if wrong:
            raise Wrong(f"{case.told}: {outcome}, but {wrong}")
        return outcome, case.told

    def _traces(self, place: Path, before: dict[str, Any], may_write: bool) -> str:
        """What the case did beside answering; empty if nothing."""
        after = listing(place)
        if CANARY in after:
            return "its program ran"
        if self.seen:
            return f"it did {'; '.join(self.seen[:3])}"
        drafts = [name for name in after if ".detour-" in name]
        if drafts:
            return f"it left {drafts[0]}"
        return (
            "" if may_write or after == before else f"files changed: {_difference(before, after)}"
        )

    @contextmanager
    def _limits(self) -> Iterator[None]:
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        self.active = True
        try:
            yield
        finally:
            self.active = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event in RUNS_SOMETHING and not _is_local(event, arguments):
            self.seen.append(f"{event}{arguments!r}"[:200])
        elif event == "open" and _writes(arguments[1], arguments[2]):
            self._note_file(event, arguments[0])
        elif event in CHANGES_FILES:
            self._note_file(event, arguments[0])

    def _note_file(self, event: str, path: Any) -> None:
        """Note what is done outside of the folder of the cases."""
        name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        inside = os.path.realpath(name).startswith(str(self.folder.resolve()) + os.sep)
        if name and not inside and "__pycache__" not in name and name != os.devnull:
            self.seen.append(f"{event} {name}"[:200])


def listing(folder: Path) -> dict[str, Any]:
    """Each file and folder below, with what changes when it is written to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        size = state.st_size if path.is_file() and not path.is_symlink() else None
        found[str(path.relative_to(folder))] = (size, state.st_mtime_ns if size else None)
    return found


def _difference(before: dict[str, Any], after: dict[str, Any]) -> str:
    return str([name for name in {**before, **after} if before.get(name) != after.get(name)][:5])


def _outcome(act: Callable[[], Any]) -> str:
    try:
        act()
        return "worked"
    except Refused as error:
        check_sentence(str(error))
    except (ValueError, FileNotFoundError, ImportError) as error:
        _check_origin(error)
        check_sentence(str(error))
    except Exception as error:
        raise Wrong(_told(error)) from error
    return "refused"


def check_sentence(text: str) -> None:
    """Raise `Wrong` for what is no plain sentence, or names what only programmers know."""
    if not text or len(text) > LONGEST or not text.isprintable() or not text.endswith((".", "?")):
        raise Wrong(f"no sentence: {text[:300]!r} ({len(text)} letters)")
    odd = [word for word in ("Traceback", "object at 0x", "[Errno ") if word in text]
    if odd:
        raise Wrong(f"{odd[0]!r} in a sentence for people: {text[:300]!r}")


def _check_origin(error: Exception) -> None:
    """The refusal is one of our own, in a kind that is documented; not one that slipped through."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = last.tb_frame.f_code.co_filename if last else ""
    if isinstance(error, UnicodeError) or not where.startswith(OURS):
        raise Wrong(f"not our own refusal: {_told(error)}") from error


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
    return f"{type(error).__name__}: {str(error)[:300]!r} at {where}"


def _too_slow(_number: int, _frame: FrameType | None) -> None:
    raise Wrong(f"it took more than {CPU_SECONDS:g} s of processor time")


def _writes(mode: Any, flags: Any) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def _is_local(event: str, arguments: tuple[Any, ...]) -> bool:
    """A connection to this machine, which the routes' generator makes itself."""
    if event != "socket.connect":
        return False
    address = arguments[1]
    return isinstance(address, (str, bytes)) or address[0] in ("127.0.0.1", "localhost")
