"""The pages of both Gradio generations in one Chromium."""

from __future__ import annotations

import pytest

from tests.conftest import chromium_or_missing


@pytest.fixture(scope="package")
def browser():
    """Headless Chromium. For this folder only: while Playwright is open, nothing else in this
    process can start an event loop.
    """
    with chromium_or_missing() as running:
        yield running
