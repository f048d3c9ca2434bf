"""For real hosts' code: a package that is not installed imports as something empty.

The hosts import far more than what Detour meets; what it meets is installed.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from unittest.mock import MagicMock

NAMES = (
    "gguf",
    "resize_right",
    "huggingface_guess",
    "cleanfid",
    "blendmodes",
    "spandrel_extra_arches",
    "lark",
    "jsonmerge",
    "spandrel",
    "pillow_heif",
    "pillow_avif",
    "cv2",
    "clip",
    "open_clip",
    "kornia",
    "git",
    "tomesd",
    "piexif",
    "omegaconf",
    "pytorch_lightning",
)
"""What the hosts import at the top of files that Detour's tests need."""


class _Empty(ModuleType):
    """Any attribute is there and does nothing; private ones are not."""

    __path__ = ()

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        value = MagicMock(name=name)
        setattr(self, name, value)
        return value


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in NAMES:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return _Empty(spec.name)

    def exec_module(self, module) -> None:
        return None


def allow_absent() -> None:
    """From now on the packages in `NAMES` import as empty ones where they are not installed."""
    sys.meta_path.append(_Finder())
