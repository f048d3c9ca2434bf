"""How the tests are shared out among processes, and counted for `dev.py test`; and what those of
several folders need."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tools.checks import COUNTS, count_outcomes
from tools.editor import local_host, open_browser
from tools.environment import write_json
from tools.failure import Failure
from tools.server import ComfyServer

ROOT = Path(__file__).resolve().parents[1]
SHARED = re.compile(
    r"^tests/(?:browser/.*\[(own|newest)-(?:canvas|nodes2)|webui/.*\[(DETOUR_GRADIO\d)"
    r"|(comfyui|comfyui_http|registry|core/report)/)"
)
"""A test, and what takes long to start that it shares: the server of a frontend, that of a web
UI, or that of a folder, or the host in this process, or edits that are searched once."""
ONE_SERVER = {"comfyui_http": "own"}
"""A group that goes where another one goes, whose server it asks too."""


def group_of(test: str) -> str:
    """What goes to one process: the tests that share something, or those of a file.

    Shared out by file alone, each process would start every server and load every page.
    """
    shared = SHARED.match(test)
    if shared is None:
        return test.split("::", 1)[0]
    group = shared[shared.lastindex]
    return ONE_SERVER.get(group, group)


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is one process
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """pytest-xdist's own scheduler, with our groups.

    Its marks `xdist_group` are written into `Item._nodeid`, which pytest 9.2 no longer reads, so
    with pytest-xdist 3.8, the newest, `--dist=loadgroup` groups nothing.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


def leave_out_what_is_here() -> None:
    """What is imported by now stays: the garbage collector, which would look through all of it
    again and again, is told so."""
    gc.collect()
    gc.freeze()


def pytest_sessionstart() -> None:
    """Imports leave next to no garbage; looking for it takes a tenth of their time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """After the imports of all tests: what they hold is large, so it is looked through less often
    than Python would."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


def missing(sentence: str) -> NoReturn:
    """A part that is not there: a failure where `CI` is set, else a skipped test."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(sentence)


@contextmanager
def chromium_or_missing() -> Iterator[Any]:
    """Headless Chromium, driven by Playwright; where there is none, a skipped test."""
    try:
        with open_browser() as running:
            yield running
    except ImportError:
        missing("Playwright is not installed: run these tests by `dev.py test`.")
    except Failure as failure:
        missing(str(failure))


@pytest.fixture(scope="session")
def server() -> Iterator[ComfyServer]:
    """One ComfyUI with its own frontend for all that ask it over HTTP or open its page: the
    extension in it, and stand-ins for what needs large files."""
    stand_ins = ROOT / "tests" / "comfyui_http" / "stand_ins"
    with ComfyServer(local_host(), {"detour": ROOT, "stand_ins": stand_ins}) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave the counts where `dev.py test` wants them."""
    if COUNTS in os.environ:
        write_json(Path(os.environ[COUNTS]), count_outcomes(terminalreporter.stats))
