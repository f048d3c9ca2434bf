"""Environments with the two Gradio generations of the web UIs, for the panel's tests.

They hold Gradio alone; torch and the rest come from the main environment, which the tests put
behind them on the path.
"""

from __future__ import annotations

import os
from pathlib import Path

from .cache import cache_root, check_space, lock, make_folder, remove_tree, write_whole
from .environment import (
    HERE,
    _make_venv,
    environment_folder,
    environment_key,
    environment_python,
    is_finished,
)
from .failure import say
from .pip import PackageMissing, run_pip

GENERATIONS = {
    "DETOUR_GRADIO3": HERE / "requirements-gradio3.txt",
    "DETOUR_GRADIO4": HERE / "requirements-gradio4.txt",
}
"""The environment variable that tells the tests the Python, and what is in it."""
STAMP = "detour-gradio.stamp"
NEEDED_GB = 0.6


def prepare_gradio() -> dict[str, str]:
    """Build what is missing; the variables for the tests.

    Raises `Failure`. A generation that cannot be had for this Python is said and left out
    (Gradio 3's Pillow has no wheels beyond Python 3.11), but is a failure where `CI` is set.
    """
    pythons = {}
    for variable, file in GENERATIONS.items():
        try:
            pythons[variable] = str(_prepare(file))
        except PackageMissing as missing:
            if os.environ.get("CI"):
                raise
            say(f"NOT RUN: the panel's tests with {file.stem}: {missing}")
    return pythons


def _prepare(file: Path) -> Path:
    """The Python of one environment, built and stamped."""
    folder, key = environment_folder((file,)), environment_key(file)
    python = environment_python(folder)
    if is_finished(folder, STAMP, key):
        return python
    with lock(folder.name):
        if not is_finished(folder, STAMP, key):
            check_space(cache_root(), NEEDED_GB, "the panel's tests")
            remove_tree(folder)
            log = make_folder(cache_root() / "logs") / f"pip-{file.stem}.log"
            _make_venv(folder)
            options = ["install", "--only-binary", ":all:", "-r", str(file)]
            run_pip(python, options, f"installing {file.stem.removeprefix('requirements-')}", log)
            write_whole(folder / STAMP, key + "\n")
    return python
