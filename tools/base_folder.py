"""The folder a ComfyUI server works in: custom nodes, models, input, output, user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from .failure import Failure

FOLDERS = ("custom_nodes", "models", "input", "output", "temp", "user")
NOT_COPIED = shutil.ignore_patterns(
    ".git", "tests", "__pycache__", "*.pyc", ".*_cache", ".hypothesis", ".venv", "node_modules"
)


def fill_base(base: Path, custom_nodes: Mapping[str, Path]) -> None:
    """Make the folders that ComfyUI expects and put the custom nodes in place.

    Each is a link where links are possible and a copy otherwise. Raises `Failure` for a
    custom node that is not there.
    """
    for name in FOLDERS:
        (base / name).mkdir(parents=True, exist_ok=True)
    for name, source in custom_nodes.items():
        if not source.exists():
            raise Failure(f"The custom node {name} should be in {source}, and nothing is there.")
        place(source.resolve(), base / "custom_nodes" / name)


def place(source: Path, target: Path) -> None:
    """Link `target` to `source`, or copy it; what an earlier run left there is replaced."""
    remove_placed(target)
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except (OSError, NotImplementedError):
        if source.is_dir():
            shutil.copytree(source, target, ignore=NOT_COPIED)
        else:
            shutil.copy2(source, target)


def remove_placed(target: Path) -> None:
    """Take a link or a copy away again; what a link points to is never touched."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)


def remove_base(base: Path) -> None:
    """Remove a base folder with everything in it, links first."""
    nodes = base / "custom_nodes"
    if nodes.is_dir():
        for entry in os.scandir(nodes):
            if entry.is_symlink():
                os.unlink(entry.path)
    shutil.rmtree(base, ignore_errors=True)
