"""Fixtures of the web UI tests: the helpers beside this file are imported by their names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gradio_app import GENERATIONS, served
from tab_probes import write_data


@pytest.fixture(scope="session", params=GENERATIONS)
def web(request, tmp_path_factory):
    """The pages of one Gradio generation: what `page_app.py` says of them, and the data folder.

    One server for all tests of a generation, which go to one process (see `tests/conftest.py`).
    """
    data = tmp_path_factory.mktemp(request.param)
    write_data(data)
    with served(request.param, data) as told:
        yield {**told, "data": data}
