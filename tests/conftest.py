"""How the tests are shared out among processes, and counted for `dev.py test`."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import pytest

from tools.checks import COUNTS, count_outcomes
from tools.environment import write_json

SHARED = re.compile(
    r"^tests/(?:browser/.*\[(own|newest)-(?:canvas|nodes2)|webui/.*\[(DETOUR_GRADIO\d)"
    r"|(comfyui|comfyui_http|registry|core/report)/)"
)
"""A test, and what takes long to start that it shares: the server of a frontend, that of a web
UI, or that of a folder, or the host in this process, or edits that are searched once."""


def group_of(test: str) -> str:
    """What goes to one process: the tests that share something, or those of a file.

    Shared out by file alone, each process would start every server and load every page.
    """
    shared = SHARED.match(test)
    return shared[shared.lastindex] if shared else test.split("::", 1)[0]


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


def pytest_collection_finish() -> None:
    """After the imports of all tests."""
    leave_out_what_is_here()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave the counts where `dev.py test` wants them."""
    if COUNTS in os.environ:
        write_json(Path(os.environ[COUNTS]), count_outcomes(terminalreporter.stats))
