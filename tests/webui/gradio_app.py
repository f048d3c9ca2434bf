"""For tests: pages of ours in an environment with a real Gradio, and a tab to drive one in."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import missing

APP = Path(__file__).with_name("page_app.py")
GENERATIONS = ("DETOUR_GRADIO3", "DETOUR_GRADIO4")
"""Environment variables with the Pythons of the two Gradio generations."""
PICTURES = "DETOUR_PANEL_PICTURES"
"""A folder in which to leave screenshots, for looking at them."""


@contextmanager
def served(generation: str, data: Path) -> Iterator[dict[str, Any]]:
    """Inside the `with`, the pages of `page_app.py` are served; gives what it prints."""
    python = os.environ.get(generation)
    if python is None:
        missing(f"{generation} names no Python: run these tests by `dev.py test`.")
    packages = Path(torch.__file__).resolve().parents[1]
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    said = tempfile.TemporaryFile(mode="w+")  # a pipe that nobody reads would fill up
    process = subprocess.Popen(
        [str(python), str(APP), str(packages), str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        env=environment,
    )
    try:
        lines = iter(process.stdout.readline, "")
        line = next((line for line in lines if line.startswith("{")), None)
        if line is None:
            process.wait(timeout=20)
            said.seek(0)
            pytest.fail(said.read())
        yield json.loads(line)
    finally:
        process.stdin.close()
        process.terminate()
        process.wait(timeout=20)
        said.close()


@contextmanager
def opened(browser: Any, url: str, selector: str, width: int = 1300) -> Iterator[Any]:
    """A tab of its own in which the element `selector` of a page has appeared."""
    tab = browser.new_page(viewport={"width": width, "height": 1500})
    tab.route("**/*", only_local)
    tab.goto(url)
    tab.wait_for_selector(selector)
    yield tab
    tab.close()


def only_local(route: Any) -> None:
    """Nothing beyond this machine: Gradio's page asks for letters elsewhere."""
    local = ("http://127.0.0.1", "http://localhost", "data:", "blob:")
    (route.continue_ if route.request.url.startswith(local) else route.abort)()


def keep_screenshot(page: Any, name: str, of: str = "body") -> None:
    """Leave a screenshot of the element `of` where `DETOUR_PANEL_PICTURES` says."""
    if PICTURES in os.environ:
        page.locator(of).first.screenshot(path=Path(os.environ[PICTURES]) / f"{name}.png")
