"""What is asked of the real ComfyUI: its nodes, and pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tools.server import ComfyServer


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
def object_info(server):
    """What the host says of all its nodes."""
    return server.get_json("/object_info")
