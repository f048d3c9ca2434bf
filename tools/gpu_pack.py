"""`dev.py gpu --pack FOLDER`: what a machine with torch, numpy and Pillow needs beside this
repository: ComfyUI without what only its server and its text encoders use, and a few packages
of pure Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .downloads import check_host
from .environment import remove_tree
from .failure import Failure, say
from .process import clean_environment

HOST, PACKAGES = "comfyui", "site"
PURE = ("einops", "packaging", "torchsde", "tqdm", "trampoline", "typing_extensions")
LEFT_OUT = (
    ".git",
    "__pycache__",
    "comfy_api_nodes",
    "custom_nodes",
    "input",
    "models",
    "output",
    "script_examples",
    "temp",
    "tests",
    "tests-unit",
    "user",
    "web",
)
LARGEST = 256 * 1024
"""Other files than Python's above this are words of tokenizers."""
LIMIT = 64 * 2**20
WHERE = "import importlib.util, sys; print(importlib.util.find_spec(sys.argv[1]).origin)"


def make_pack(folder: Path, host: Path, python: Path) -> None:
    """Write the folder whole, or not at all; an older pack there is replaced.

    Raises `Failure` for a folder of somebody else's, a package that is not pure, a pack above
    64 MiB.
    """
    if folder.exists() and not (is_pack(folder) or not any(folder.iterdir())):
        raise Failure(f"{folder} holds something else; name a folder that is empty or new.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        copy_host(host, work / HOST)
        for name in PURE:
            copy_package(name, python, work / PACKAGES)
        size = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
        if size > LIMIT:
            raise Failure(f"The pack would have {size / 2**20:.0f} MiB, more than 64.")
        if folder.exists():
            remove_tree(folder)
        os.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"{folder}: {size / 2**20:.1f} MiB. There: python dev.py gpu --from FOLDER --json FILE")


def is_pack(folder: Path) -> bool:
    """Whether the folder was made by `make_pack`."""
    return (folder / HOST / "main.py").is_file() and (folder / PACKAGES).is_dir()


def check_pack(folder: Path) -> tuple[Path, Path]:
    """ComfyUI's and the packages' folder of a pack; a `Failure` if it is none."""
    if not is_pack(folder):
        raise Failure(f"{folder} was not made by `dev.py gpu --pack`.")
    return check_host(folder / HOST, "--from"), folder / PACKAGES


def copy_host(host: Path, target: Path) -> None:
    """ComfyUI's Python files and small settings."""

    def left_out(place: str, names: list[str]) -> set[str]:
        found = set()
        for name in names:
            file = Path(place) / name
            unwanted = name in LEFT_OUT and (name == "__pycache__" or Path(place) == host)
            large = file.is_file() and file.suffix != ".py" and file.stat().st_size > LARGEST
            if unwanted or large:
                found.add(name)
        return found

    shutil.copytree(host, target, ignore=left_out)


def copy_package(name: str, python: Path, target: Path) -> None:
    """One package of the environment, which must be Python alone."""
    command = [str(python), "-c", WHERE, name]
    found = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    if found.returncode:
        raise Failure(f"The package {name} is not in the environment.", found.stderr[-1000:])
    origin = Path(found.stdout.strip())
    target.mkdir(exist_ok=True)
    if origin.name != "__init__.py":
        shutil.copy2(origin, target / origin.name)
        return
    compiled = [file for ending in ("*.so", "*.pyd") for file in origin.parent.rglob(ending)]
    if compiled:
        raise Failure(f"The package {name} is not pure Python: {compiled[0].name}.")
    pattern = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(origin.parent, target / origin.parent.name, ignore=pattern)
