"""The real page in a real Chromium: both frontends, each with Nodes 2.0 off and on. The newest
frontend comes with the schemas that newer hosts send, whatever the host.

One server and one page for each frontend serve all tests. Nodes 2.0 is switched in the open page:
on in the one, off in the other.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, chromium_or_missing, missing
from tools.downloads import newest_frontend, newest_version
from tools.editor import SETTINGS, SIZE, local_host
from tools.server import ComfyServer

from .desk import NODES2, Desk

NEWER_HOST = Path(__file__).with_name("newer_host")
"""Makes an older ComfyUI send the schemas of newer ones."""


@dataclass(frozen=True)
class Setting:
    """A frontend (the host's own or the newest) and whether Nodes 2.0 is on."""

    frontend: str
    nodes2: bool

    def __str__(self) -> str:
        return f"{self.frontend}-{'nodes2' if self.nodes2 else 'canvas'}"


ONE_EACH = [Setting("own", False), Setting("newest", True)]
"""As the pages are opened."""
EVERY = [
    ONE_EACH[0],
    pytest.param(Setting("own", True), marks=pytest.mark.long),
    ONE_EACH[1],
    Setting("newest", False),
]
"""Nodes 2.0 in the oldest host's own frontend, a first version of it, is left to the long run."""


@pytest.fixture(scope="package")
def browser():
    """Headless Chromium. For this folder only: while Playwright is open, nothing else in this
    process can start an event loop.
    """
    with chromium_or_missing() as running:
        yield running


@pytest.fixture(scope="package")
def newest_server() -> Iterator[ComfyServer]:
    """The ComfyUI with the newest frontend."""
    if not newest_frontend().is_dir():
        missing(f"The frontend {newest_version()} is not fetched: run dev.py test.")
    arguments = ["--front-end-root", str(newest_frontend())]
    packs = {"detour": ROOT, "newer_host": NEWER_HOST}
    with ComfyServer(local_host(), packs, arguments=arguments) as running:
        yield running


@pytest.fixture(scope="package")
def pages(browser) -> Iterator[dict[str, Desk]]:
    """The open page of each frontend, and what they share."""
    open_pages: dict[str, Desk] = {}
    yield open_pages
    for desk in open_pages.values():
        desk.page.context.close()


@pytest.fixture(scope="package", params=EVERY, ids=str)
def desk(request, browser, pages) -> Desk:
    """The page with the graph, in a setting; tests clear the graph."""
    setting = request.param
    if setting.frontend not in pages:
        own = setting.frontend == "own"
        server = request.getfixturevalue("server" if own else "newest_server")
        server.post_json("/settings", SETTINGS | {NODES2: setting.nodes2})
        context = browser.new_context(
            viewport=SIZE, permissions=["clipboard-read", "clipboard-write"], locale="en-US"
        )
        pages[setting.frontend] = Desk(context.new_page(), server)
        pages[setting.frontend].open()
    desk = pages[setting.frontend]
    desk.clear()
    desk.show_as(str(setting), setting.nodes2)
    return desk


@pytest.fixture(autouse=True)
def quiet(desk: Desk) -> Iterator[None]:
    """An empty graph before each test; no complaint about our files after it."""
    desk.clear()
    desk.complaints.clear()
    yield
    assert desk.complaints == []


@pytest.fixture
def run(desk: Desk) -> Callable[[], None]:
    """Queue the graph and wait for its end."""

    return desk.queue


def pytest_configure(config: pytest.Config) -> None:
    """The mark of tests that need no second renderer: see `pytest_collection_modifyitems`."""
    line = "each_frontend: once in each frontend, the renderer makes no difference"
    config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave marked tests out but in `ONE_EACH`, so that the whole part stays quick."""
    out = [
        item
        for item in items
        if item.get_closest_marker("each_frontend")
        and item.callspec.params.get("desk") not in ONE_EACH
    ]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


PICTURES: pytest.StashKey[Path] = pytest.StashKey()


@pytest.fixture(scope="session")
def pictures(request) -> Path:
    """The folder for screenshots; DETOUR_SCREENSHOTS puts it elsewhere."""
    chosen = os.environ.get("DETOUR_SCREENSHOTS", "").strip()
    folder = Path(chosen) if chosen else Path(tempfile.mkdtemp(prefix="detour-screenshots-"))
    folder.mkdir(parents=True, exist_ok=True)
    request.config.stash[PICTURES] = folder
    return folder


def pytest_terminal_summary(terminalreporter, config) -> None:
    """Say where the screenshots are."""
    if PICTURES in config.stash:
        terminalreporter.write_line(f"Screenshots to look at: {config.stash[PICTURES]}")
