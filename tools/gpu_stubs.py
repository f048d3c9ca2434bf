"""Stand-ins for packages that ComfyUI imports and `dev.py gpu` never uses.

With them the host's U-Nets and samplers load on a machine with torch, numpy and Pillow alone.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType, SimpleNamespace

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


def install() -> list[str]:
    """Put the stand-ins in place before the host is imported; the names that stand in."""
    absent = [name for name in IF_ABSENT if importlib.util.find_spec(name) is None]
    names = (*NEVER_USED, *absent)
    sys.meta_path.insert(0, Finder(names))
    return list(names)
