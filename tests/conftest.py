"""How the whole suite is shared between processes (`dev.py test`)."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TOGETHER = {
    "browser": "browser",
    "comfyui_http": "comfyui_http",
    "webui/test_panel.py": "gradio",
    "webui/test_tab.py": "gradio",
}
"""Folders whose tests share one running server, and files whose servers get into each other's
way (Gradio 3 loses events while another one starts); elsewhere each file goes by itself."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name the group of each test for pytest-xdist, if it is there."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        place = item.path.relative_to(HERE)
        group = TOGETHER.get(place.parts[0]) or TOGETHER.get(place.as_posix(), place.as_posix())
        item.add_marker(pytest.mark.xdist_group(group))
