"""A real ComfyUI with this extension in it, and how to ask it for pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tools.downloads import chosen_host, host_folder
from tools.server import ComfyServer

ROOT = Path(__file__).resolve().parents[2]

Start = Callable[..., AbstractContextManager[ComfyServer]]


@pytest.fixture(scope="session")
def start_server() -> Start:
    """Start a ComfyUI with the extension: `with start_server("--flag") as server`."""
    host = chosen_host() or host_folder()
    if not host.is_dir():
        pytest.fail(
            "There is no ComfyUI to test in: run `python dev.py test`, or set COMFYUI_PATH."
        )

    @contextmanager
    def start(*arguments: str) -> Iterator[ComfyServer]:
        with ComfyServer(host, {"detour": ROOT}, arguments=arguments) as server:
            yield server

    return start


@pytest.fixture(scope="session")
def pictures_of() -> Callable[[ComfyServer, dict[str, Any]], dict[str, Image.Image]]:
    """The pictures in the outputs of a run, by node id (the first of each node)."""

    def load(server: ComfyServer, outputs: dict[str, Any]) -> dict[str, Image.Image]:
        found = {}
        for node, output in outputs.items():
            for place in output.get("images", ())[:1]:
                data = server.view(place["filename"], place["subfolder"], place["type"])
                found[node] = Image.open(io.BytesIO(data)).convert("RGB")
        return found

    return load


@pytest.fixture(scope="session")
def server(start_server):
    """One ComfyUI for all tests that do not need their own."""
    with start_server() as running:
        yield running


@pytest.fixture(scope="session")
def object_info(server):
    """What the host says of all its nodes."""
    return server.get_json("/object_info")
