"""The pages of both Gradio generations in one Chromium."""

from __future__ import annotations

import pytest
from gradio_app import opened

from tests.conftest import chromium_or_missing


@pytest.fixture(scope="package")
def browser():
    """Headless Chromium. For this folder only: while Playwright is open, nothing else in this
    process can start an event loop.
    """
    with chromium_or_missing() as running:
        yield running


@pytest.fixture(scope="package")
def wizard(web, browser):
    """A tab of Chromium with the page "Mend by pointing"."""
    with opened(browser, web["tab"], "#detour_wizard_faces") as page:
        yield page
