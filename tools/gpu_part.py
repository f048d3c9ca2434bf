"""What a part of `dev.py gpu` stands on: the lines that it hands back, so that nothing measured
is lost, and stand-ins for packages that ComfyUI imports and no part uses. With them the host's
U-Nets and samplers load on a machine with torch, numpy and Pillow alone.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from .failure import Failure, say

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    Failure,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What one check or figure may raise (torch's own errors are RuntimeErrors): it is told, and
the others still run."""
LONGEST = 300
"""Letters of an error's text that are kept."""


class Report:
    """The lines of one part: a file that is written to after each finding."""

    def __init__(self, file: Path, seconds: float) -> None:
        self.file, self.end = file, time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until the part is stopped."""
        return self.end - time.monotonic()

    def add(self, kind: str, value: Any) -> None:
        """One finding: appended and flushed, and printed."""
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([kind, value]) + "\n")
        say(f"  {kind}: {value if isinstance(value, str) else json.dumps(value)}")

    def attempt(self, name: str, run: Callable[[], None], kind: str, needs: float = 0.0) -> bool:
        """Run something; what goes wrong is a finding of this kind, with the reason.

        needs: seconds that must be left, else it is not begun and told as `skipped`.
        Returns whether it was done.
        """
        if self.left < needs:
            reason = f"{max(0.0, self.left):.0f} s were left of the time, {needs:.0f} s are needed"
            self.add("skipped", [name, reason])
            return False
        try:
            run()
        except FAULTS as error:
            self.add(kind, [name, f"{type(error).__name__}: {error}"[:LONGEST]])
            return False
        return True


def read_lines(file: Path) -> list[tuple[str, Any]]:
    """All findings of a file; a last line that was cut off is left out."""
    found: list[tuple[str, Any]] = []
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                kind, value = json.loads(line)
            except ValueError:
                break
            found.append((kind, value))
    return found


NEVER_USED = ("av", "sentencepiece", "tokenizers", "torchaudio", "transformers")
"""For videos, sounds and prompts; a stand-in even where they are, as their versions may not fit."""
IF_ABSENT = ("psutil", "safetensors", "scipy", "yaml")
"""The host imports them for files and for samplers that are not used here."""


class StandIn(ModuleType):
    """A module in which every name is a class without contents."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {})
        setattr(self, name, made)
        return made


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the named packages, and whatever is asked for below them, as stand-ins."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, fullname, path=None, target=None):
        if fullname.split(".")[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        if module.__name__ == "psutil":
            module.virtual_memory = virtual_memory


def virtual_memory() -> SimpleNamespace:
    """The one thing of psutil that the host asks for: bytes of memory, all and available."""
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = (page * os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    return SimpleNamespace(total=total, available=free)


SITE = "DETOUR_GPU_SITE"
"""Names a folder with packages that are taken where the machine lacks them."""


def stand_in() -> None:
    """Where a pack is used, have what it lacks before the host is imported; elsewhere nothing."""
    site = os.environ.get(SITE)
    if site and site not in sys.path:
        sys.path.append(site)
        install()


def install() -> list[str]:
    """Put the stand-ins in place before the host is imported; the names that stand in."""
    absent = [name for name in IF_ABSENT if importlib.util.find_spec(name) is None]
    names = (*NEVER_USED, *absent)
    sys.meta_path.insert(0, Finder(names))
    return list(names)
