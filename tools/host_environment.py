"""The environment for `dev.py test --host`: what that ComfyUI's own requirements.txt names.

A layer of its own over the shared environment, which lends it torch (gigabytes) and the tools of
the tests; everything else that the host names is newer or older there as the host wants it.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .cache import cache_root, check_space, lock, make_folder, remove_tree, write_whole
from .environment import (
    HERE,
    HOST_REQUIREMENTS,
    environment_folder,
    environment_key,
    environment_python,
    is_finished,
    make_venv,
    prepare,
    requirement_lines,
)
from .failure import Failure, say
from .pip import clean_environment, run_pip

AUDIO_REQUIREMENTS = HERE / "requirements-audio.txt"
STAMP = "detour-layer.stamp"
NEEDED_GB = 2.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LENT = ("torch", "torchvision", "torchaudio")
"""Come with the shared environment, or are added by themselves: plain `torch` would be a second
one of several gigabytes."""
LEFT_OUT = ("comfyui-workflow-templates",)
"""Only pictures and workflows that the page offers, hundreds of megabytes of them."""
FRONTEND = "comfyui-frontend-package"
WHERE = "import sysconfig; print(sysconfig.get_path('purelib'))"
VERSION = re.compile(r"""^__version__\s*=\s*["']([^"']+)["']""", re.MULTILINE)


@dataclass(frozen=True)
class HostFacts:
    """What a ComfyUI folder says of itself: its version, and the frontend that it names."""

    version: str
    frontend: str


def read_facts(host: Path) -> HostFacts:
    """The versions in a ComfyUI folder; a `Failure` where they are not written."""
    try:
        told = VERSION.search((host / "comfyui_version.py").read_text(encoding="utf-8"))
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


def layer_folder(host: Path) -> Path:
    """Where the environment for this host's requirements lies, built or not."""
    _lines(host)  # says so where there are none
    return cache_root() / f"venv-host-{_key(host)}"


def _key(host: Path) -> str:
    return environment_key(HOST_REQUIREMENTS, AUDIO_REQUIREMENTS, host / "requirements.txt")


def prepare_layer(host: Path) -> Path:
    """The Python of the environment for this ComfyUI; build what is missing first.

    Raises `Failure` when the host names no requirements, or when the disk, the network or a
    package stands in the way. Several processes may call this at once.
    """
    folder = layer_folder(host)
    prepare(dev=True)
    python = environment_python(folder)
    with lock(folder.name):
        if not is_finished(folder, STAMP, _key(host)):
            _build(folder, host)
    return python


def _build(folder: Path, host: Path) -> None:
    """Make the layer from nothing; the stamp comes last."""
    check_space(cache_root(), NEEDED_GB, f"the environment for {host}")
    say(f"Preparing the environment for {host} in {folder} (once):")
    remove_tree(folder)
    make_venv(folder)
    python, logs = environment_python(folder), make_folder(cache_root() / "logs")
    shared = environment_python(environment_folder())
    write_whole(_packages(python) / "detour-shared.pth", f"{_packages(shared)}\n")
    wanted, pins = folder / "requirements.txt", folder / "constraints.txt"
    wanted.write_text("\n".join(layer_lines(host)) + "\n", encoding="utf-8")
    torch = [line for line in requirement_lines(HOST_REQUIREMENTS) if package_name(line) in LENT]
    pins.write_text("\n".join(torch) + "\n", encoding="utf-8")
    # As somebody who installs this host today gets it: the newest that it allows.
    words = ["install", "--upgrade", "-r", str(wanted), "-c", str(pins)]
    run_pip(python, words, "installing what this host names", logs / f"pip-{folder.name}.log")
    words = ["install", "--no-deps", "-r", str(AUDIO_REQUIREMENTS)]
    run_pip(python, words, "installing torchaudio", logs / f"pip-{folder.name}-audio.log")
    write_whole(folder / STAMP, _key(host) + "\n")


def _packages(python: Path) -> Path:
    """The folder that an environment keeps its packages in."""
    result = subprocess.run(
        [str(python), "-c", WHERE], capture_output=True, text=True, env=clean_environment()
    )
    if result.returncode:
        raise Failure(f"{python} does not run.", result.stderr)
    return Path(result.stdout.strip())
