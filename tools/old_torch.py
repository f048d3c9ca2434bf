"""An environment with a real torch from before 2.6, for the tests of hostile files.

Its only wheel for Linux wants the CUDA libraries, which the CPU never calls: empty ones with the
same names and symbols stand in for them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
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
from .failure import Failure
from .pip import run_pip

REQUIREMENTS = HERE / "requirements-old-torch.txt"
STAMP = "detour-old-torch.stamp"
NEEDED_GB = 3.0
CUDA = re.compile(r"lib(cu|nv|nccl)\w*\.so[.\d]*")
UNVERSIONED = {"nccl": "libnccl.so.2", "cu": "libcuda.so.1"}


def prepare_old_torch() -> dict[str, str]:
    """Build what is missing; the variables for the tests. Raises `Failure`."""
    if sys.platform != "linux" or sys.version_info >= (3, 12):
        raise Failure("--old-torch needs Linux and Python 3.10 or 3.11: torch 2.1.2 has no other.")
    folder, key = environment_folder((REQUIREMENTS,)), environment_key(REQUIREMENTS)
    python, empty = environment_python(folder), folder / "empty-libraries"
    with lock(folder.name):
        if not is_finished(folder, STAMP, key):
            check_space(cache_root(), NEEDED_GB, "torch 2.1.2")
            remove_tree(folder)
            log = make_folder(cache_root() / "logs") / f"pip-{REQUIREMENTS.stem}.log"
            make_venv(folder)
            options = ["install", "--no-deps", "--only-binary", ":all:", "-r", str(REQUIREMENTS)]
            run_pip(python, options, "installing torch 2.1.2 (670 MB)", log)
            _make_libraries(next(folder.glob("lib/python*/site-packages/torch/lib")), empty)
            write_whole(folder / STAMP, key + "\n")
    return {"DETOUR_OLD_TORCH": str(python), "DETOUR_OLD_TORCH_LIBRARIES": str(empty)}


def _make_libraries(torch: Path, target: Path) -> None:
    """Compile a library of functions that do nothing for each CUDA library that torch wants."""
    target.mkdir()
    wanted, symbols = set(), defaultdict(set)
    for library in torch.glob("*.so*"):
        wanted |= set(re.findall(r"NEEDED.*\[(.*)\]", _say("readelf", "-d", str(library))))
        for line in _say("nm", "-D", "--undefined-only", str(library)).splitlines():
            name, _, version = line.split()[-1].partition("@")
            known = next((lib for start, lib in UNVERSIONED.items() if name.startswith(start)), "")
            symbols[version.lstrip("@") or known].add(name)
    for library in sorted(filter(CUDA.fullmatch, wanted)):
        source, versions = target / "empty.c", target / "versions"
        lines = (f"void *{name}(void) {{ return 0; }}\n" for name in sorted(symbols[library]))
        source.write_text("".join(lines), encoding="utf-8")
        versions.write_text(f"{library} {{ global: *; }};\n", encoding="utf-8")
        named = [f"-Wl,-soname,{library}", "-o", str(target / library)]
        if library not in UNVERSIONED.values():
            named.append(f"-Wl,--version-script={versions}")
        _say("cc", "-shared", "-fPIC", "-w", "-fno-builtin", str(source), *named)


def _say(*command: str) -> str:
    """What a tool of the C compiler prints. Raises `Failure` if it is missing or fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failure(f"--old-torch needs a C compiler and binutils ({error}).") from error
    return result.stdout
