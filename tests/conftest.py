"""How the tests are shared out among processes, and counted for `dev.py test`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tools.checks import COUNTS, count_outcomes
from tools.environment import write_json

PAGE = re.compile(
    r"^tests/browser/.*\[((?:own|newest)-(?:canvas|nodes2))|^tests/webui/.*\[(DETOUR_GRADIO\d)"
)
"""A test in the browser or of a web UI, and the page or the server that it wants."""


def group_of(test: str) -> str:
    """What goes to one process: a file's tests, or all tests of one page or server.

    Shared out by file alone, each file of such tests would load all of them anew.
    """
    page = PAGE.match(test)
    return page[1] or page[2] if page else test.split("::", 1)[0]


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave the counts where `dev.py test` wants them."""
    if COUNTS in os.environ:
        write_json(Path(os.environ[COUNTS]), count_outcomes(terminalreporter.stats))
