"""Fixtures of the web UI tests: the helpers beside this file are imported by their names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gradio_app import GENERATIONS, served
from stand_in import SHIM, modules_in_place, run_shim
from tab_probes import write_data
from webui_driver import World
from webui_models import a1111, forge


@pytest.fixture(scope="session", params=GENERATIONS)
def web(request, tmp_path_factory):
    """The pages of one Gradio generation: what `page_app.py` says of them, and the data folder.

    One server for all tests of a generation, which go to one process (see `tests/conftest.py`).
    """
    data = tmp_path_factory.mktemp(request.param)
    write_data(data)
    with served(request.param, data) as told:
        yield {**told, "data": data}


@pytest.fixture
def no_grad():
    """As the hosts sample."""
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def host():
    """The host's modules; Detour's are imported once."""
    with modules_in_place("a1111") as made:
        yield made


@pytest.fixture(params=[a1111, forge])
def world(request, host, no_grad):
    """A host of its own for each test, as after "Reload UI"."""
    host["modules.script_callbacks"].clear_callbacks()
    world = World(host, request.param())
    world.script = run_shim(SHIM).DetourScript()
    return world
