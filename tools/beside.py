"""Environments beside the main one, for tests that need what it cannot hold as well.

The two Gradio generations of the web UIs, for the panel's tests: they hold Gradio alone; torch
and the rest come from the main environment, which the tests put behind them on the path. And
the registry's own checks, for those of the archive.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .cache import cache_root, check_space, lock, make_folder, remove_tree, write_whole
from .environment import (
    HERE,
    environment_folder,
    environment_key,
    environment_python,
    is_finished,
    make_venv,
)
from .failure import say
from .pip import PackageMissing, run_pip

GENERATIONS = {
    "DETOUR_GRADIO3": HERE / "requirements-gradio3.txt",
    "DETOUR_GRADIO4": HERE / "requirements-gradio4.txt",
}
"""The environment variable that tells the tests the Python, and what is in it."""
REGISTRY = {"DETOUR_REGISTRY": HERE / "requirements-registry.txt"}
STAMP = "detour-beside.stamp"
NEEDED_GB = 0.6


def prepare_beside(environments: Mapping[str, Path]) -> dict[str, str]:
    """Build what is missing of `GENERATIONS` or `REGISTRY`; the variables for the tests.

    Raises `Failure`. One that cannot be had for this Python is said and left out (Gradio 3's
    Pillow has no wheels beyond Python 3.11), but is a failure where `CI` is set.
    """
    pythons = {}
    for variable, file in environments.items():
        try:
            pythons[variable] = str(_prepare(file))
        except PackageMissing as missing:
            if os.environ.get("CI"):
                raise
            say(f"NOT RUN: the tests with {file.stem}: {missing}")
    return pythons


def _prepare(file: Path) -> Path:
    """The Python of one environment, built and stamped."""
    folder, key = environment_folder((file,)), environment_key(file)
    python = environment_python(folder)
    if is_finished(folder, STAMP, key):
        return python
    with lock(folder.name):
        if not is_finished(folder, STAMP, key):
            check_space(cache_root(), NEEDED_GB, f"the tests with {file.stem}")
            remove_tree(folder)
            log = make_folder(cache_root() / "logs") / f"pip-{file.stem}.log"
            make_venv(folder)
            options = ["install", "--only-binary", ":all:", "-r", str(file)]
            run_pip(python, options, f"installing {file.stem.removeprefix('requirements-')}", log)
            write_whole(folder / STAMP, key + "\n")
    return python
