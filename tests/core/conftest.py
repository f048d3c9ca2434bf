"""Fixtures of the host-free tests."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def golden() -> dict:
    """The table that Python and JavaScript are both held against."""
    return json.loads((GOLDEN / "schedule.json").read_text(encoding="utf-8"))
