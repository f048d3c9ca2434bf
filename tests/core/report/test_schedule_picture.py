"""What the picture of a schedule says about the steps of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detour.report.schedule import named_steps

NAMES = json.loads((Path(__file__).parents[2] / "golden" / "step_names.json").read_text())
"""Of the browser too: tests/js/steps.test.mjs."""


@pytest.mark.parametrize(("lams", "name"), NAMES, ids=[name for _, name in NAMES])
def test_the_steps_are_named_as_the_browser_names_them(lams, name):
    assert named_steps([(0.0, lam) for lam in lams]) == name
