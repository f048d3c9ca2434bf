"""The archive as the Comfy Registry would get it, packed by the registry's own tool, and a real
ComfyUI that has nothing else of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.editor import local_host
from tools.server import ComfyServer

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9"
"""A port on which nobody listens: what a tool would send elsewhere ends there."""

Tool = Callable[..., str]


@pytest.fixture(scope="session")
def tool(tmp_path_factory) -> Tool:
    """Run a program of the registry's environment in a folder; what it prints."""
    python = os.environ.get("DETOUR_REGISTRY")
    if python is None:
        sentence = "DETOUR_REGISTRY names no Python: run these tests by `dev.py test`."
        (pytest.fail if os.environ.get("CI") else pytest.skip)(sentence)
    home = tmp_path_factory.mktemp("home")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "DO_NOT_TRACK": "1"}
    environment |= {name: NOWHERE for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}

    def run(program: str, *arguments: str, folder: Path) -> str:
        command = [str(Path(python).parent / program), *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        told = done.stdout + done.stderr
        assert done.returncode == 0, told
        return told

    return run


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """The files that git tracks here, as they are now, in a repository of their own."""
    folder = tmp_path_factory.mktemp("checkout") / "detour"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # not deleted since
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    as_repository(folder)
    return folder


@pytest.fixture(scope="session", name="as_repository")
def _as_repository() -> Callable[[Path], None]:
    return as_repository


def as_repository(folder: Path) -> None:
    """Make a folder a git repository with all of it in one commit."""
    author = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    for arguments in (("init", "-q"), ("add", "-A"), (*author, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="session")
def archive(tool: Tool, checkout: Path, tmp_path_factory) -> Path:
    """The unpacked archive."""
    tool("comfy", "--skip-prompt", "--no-enable-telemetry", "node", "pack", folder=checkout)
    folder = tmp_path_factory.mktemp("archive") / "detour"
    with zipfile.ZipFile(checkout / "node.zip") as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def host() -> Path:
    """The folder of the ComfyUI under test."""
    return local_host()


@pytest.fixture(scope="session")
def server(archive: Path, host: Path) -> Iterator[ComfyServer]:
    """A ComfyUI with the archive in it, and a node pack that tells the server's routes."""
    lister = Path(__file__).parent / "lists_routes"
    with ComfyServer(host, {"detour": archive, "lists_routes": lister}) as running:
        yield running
