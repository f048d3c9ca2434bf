"""What the picture of a schedule says about the steps of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from detour.progress import SigmaTable
from detour.report.schedule import BOTTOM, HUES, LEFT, RIGHT, SIZE, draw_schedules, named_steps
from detour.schedule import Schedule

NAMES = json.loads((Path(__file__).parents[2] / "golden" / "step_names.json").read_text())
"""Of the browser too: tests/js/steps.test.mjs."""


@pytest.mark.parametrize(("lams", "name"), NAMES, ids=[name for _, name in NAMES])
def test_the_steps_are_named_as_the_browser_names_them(lams, name):
    assert named_steps([(0.0, lam) for lam in lams]) == name


def test_each_schedule_is_seen_where_it_acts():
    table = SigmaTable.of_stable_diffusion()
    drawn = {"one": Schedule(0.5, "constant", 0, 0.3), "two": Schedule(1, "constant", 0, 0.6)}
    picture = np.asarray(draw_schedules(drawn, table))
    top, bottom = 100, SIZE[1] - BOTTOM - 20  # between the legend and the line of 0
    columns = {
        hue: (picture[top:bottom] == hue).all(axis=2).any(axis=0).nonzero()[0] for hue in HUES
    }
    width = SIZE[0] - LEFT - RIGHT
    for hue, end in zip(HUES, (0.3, 0.6), strict=False):
        assert columns[hue].max() == pytest.approx(LEFT + end * width, abs=8)
    assert columns[HUES[2]].size == 0
