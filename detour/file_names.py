"""Names of classifiers and edits below the folders that a host allows.

Light: a panel lists them without loading what classifiers need.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .user_input import is_text

CLASSIFIER_ENDINGS = (".safetensors", ".sft", ".pt", ".pth", ".bin")
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
