"""Environments beside the main one, for tests that need what it cannot hold as well.

The two Gradio generations of the web UIs, for the panel's tests: they hold Gradio alone; torch
and the rest come from the main environment, which the tests put behind them on the path. And
the registry's own checks, for those of the archive. What a ComfyUI's own requirements.txt
names, for `dev.py test --host`: a layer over the main environment, which lends it torch and the
tools of the tests. And a torch from before 2.6, for the tests of hostile files.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .environment import (
    HERE,
    HOST_REQUIREMENTS,
    build,
    cache_root,
    environment_folder,
    environment_key,
    prepare,
    requirement_lines,
    run_pip,
    write_whole,
)
from .failure import Failure, say
from .process import clean_environment

GENERATIONS = {
    "DETOUR_GRADIO3": HERE / "requirements-gradio3.txt",
    "DETOUR_GRADIO4": HERE / "requirements-gradio4.txt",
}
"""The environment variable that tells the tests the Python, and what is in it."""
REGISTRY = {"DETOUR_REGISTRY": HERE / "requirements-registry.txt"}
AUDIO_REQUIREMENTS = HERE / "requirements-audio.txt"
OLD_TORCH = HERE / "requirements-old-torch.txt"
NEEDED_GB, LAYER_GB, OLD_TORCH_GB = 0.6, 2.0, 3.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LENT = ("torch", "torchvision", "torchaudio")
"""Come with the shared environment, or are added by themselves: plain `torch` would be a second
one of several gigabytes."""
LEFT_OUT = ("comfyui-workflow-templates",)
"""Only pictures and workflows that the page offers, hundreds of megabytes of them."""
FRONTEND = "comfyui-frontend-package"
WHERE = "import sysconfig; print(sysconfig.get_path('purelib'))"
HOST_VERSION = re.compile(r"""^__version__\s*=\s*["']([^"']+)["']""", re.MULTILINE)
CUDA = re.compile(r"lib(cu|nv|nccl)\w*\.so[.\d]*")
UNVERSIONED = {"nccl": "libnccl.so.2", "cu": "libcuda.so.1"}


def prepare_beside(environments: Mapping[str, Path]) -> dict[str, str]:
    """Build what is missing of `GENERATIONS` or `REGISTRY`; the variables for the tests.

    Raises `Failure` where `CI` is set; elsewhere one that cannot be had is said and left out
    (Gradio 3's Pillow has no wheels beyond Python 3.11).
    """
    pythons = {}
    for variable, file in environments.items():
        try:
            pythons[variable] = str(_prepare(file))
        except Failure as failure:
            if os.environ.get("CI"):
                raise
            say(f"NOT RUN: the tests with {file.stem}: {failure}")
    return pythons


def _prepare(file: Path) -> Path:
    """The Python of one environment, built and stamped."""
    folder, key = environment_folder((file,)), environment_key(file)

    def fill(python: Path) -> None:
        words = ["install", "--only-binary", ":all:", "-r", str(file)]
        run_pip(python, words, f"installing {file.stem.removeprefix('requirements-')}")

    return build(folder, "detour-beside.stamp", key, NEEDED_GB, f"the tests with {file.stem}", fill)


@dataclass(frozen=True)
class HostFacts:
    """What a ComfyUI folder says of itself: its version, and the frontend that it names."""

    version: str
    frontend: str


def read_facts(host: Path) -> HostFacts:
    """The versions in a ComfyUI folder; a `Failure` where they are not written."""
    try:
        told = HOST_VERSION.search((host / "comfyui_version.py").read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"{host / 'comfyui_version.py'} cannot be read ({error}).") from error
    pins = [line for line in _lines(host) if package_name(line) == FRONTEND]
    if told is None or not pins:
        raise Failure(f"{host} does not say its version, or names no {FRONTEND}.")
    return HostFacts(told[1], pins[0].split("==")[-1].strip())


def _lines(host: Path) -> list[str]:
    """The host's requirements; a `Failure` where it has none."""
    file = host / "requirements.txt"
    try:
        return requirement_lines(file)
    except OSError as error:
        raise Failure(f"{file} cannot be read ({error.strerror or error}).") from error


def package_name(line: str) -> str:
    """The package that a requirement names, in the registry's spelling; "" if none."""
    found = NAME.match(line)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def layer_lines(host: Path) -> list[str]:
    """What the layer installs of the host's requirements."""
    return [line for line in _lines(host) if package_name(line) not in (*LENT, *LEFT_OUT)]


def prepare_layer(host: Path) -> Path:
    """The Python of the environment for this ComfyUI; build what is missing first.

    Raises `Failure` as `build` does, and when the host names no requirements.
    """
    lines = layer_lines(host)
    key = environment_key(HOST_REQUIREMENTS, AUDIO_REQUIREMENTS, host / "requirements.txt")
    folder = cache_root() / f"venv-host-{key}"
    shared = prepare(dev=True)

    def fill(python: Path) -> None:
        write_whole(_packages(python) / "detour-shared.pth", f"{_packages(shared)}\n")
        wanted, pins = folder / "requirements.txt", folder / "constraints.txt"
        wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
        torch = [
            line for line in requirement_lines(HOST_REQUIREMENTS) if package_name(line) in LENT
        ]
        pins.write_text("\n".join(torch) + "\n", encoding="utf-8")
        # As somebody who installs this host today gets it: the newest that it allows.
        words = ["install", "--upgrade", "-r", str(wanted), "-c", str(pins)]
        run_pip(python, words, "installing what this host names")
        words = ["install", "--no-deps", "-r", str(AUDIO_REQUIREMENTS)]
        run_pip(python, words, "installing torchaudio")

    what = f"the environment for {host}"
    return build(folder, "detour-layer.stamp", key, LAYER_GB, what, fill)


def _packages(python: Path) -> Path:
    """The folder that an environment keeps its packages in."""
    result = subprocess.run(
        [str(python), "-c", WHERE], capture_output=True, text=True, env=clean_environment()
    )
    if result.returncode:
        raise Failure(f"{python} does not run.", result.stderr)
    return Path(result.stdout.strip())


def prepare_old_torch() -> dict[str, str]:
    """Build what is missing; the variables for the tests. Raises `Failure`.

    torch's only wheel for Linux wants the CUDA libraries, which the CPU never calls: empty ones
    with the same names and symbols stand in for them.
    """
    if sys.platform != "linux" or sys.version_info >= (3, 12):
        raise Failure("--old-torch needs Linux and Python 3.10 or 3.11: torch 2.1.2 has no other.")
    folder, key = environment_folder((OLD_TORCH,)), environment_key(OLD_TORCH)
    empty = folder / "empty-libraries"

    def fill(python: Path) -> None:
        options = ["install", "--no-deps", "--only-binary", ":all:", "-r", str(OLD_TORCH)]
        run_pip(python, options, "installing torch 2.1.2 (670 MB)")
        _make_libraries(next(folder.glob("lib/python*/site-packages/torch/lib")), empty)

    stamp = "detour-old-torch.stamp"
    python = build(folder, stamp, key, OLD_TORCH_GB, "torch 2.1.2", fill)
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
