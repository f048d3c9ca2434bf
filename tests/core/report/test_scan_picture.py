"""What is said and drawn of the blocks of a transformer."""

import json
import math

import pytest

from detour.report.canvas import ACCENT_WASH
from detour.report.scan import EARLY, LATE, SIZE, draw_scan, scan_numbers, scan_text
from detour.ways.scan import BlockScan

LISTS = (("double_blocks", 2), ("single_blocks", 4))
EARLY_CHANGES = (1.5, 0.2, 0.05, 0.1, 0.2, math.inf)
LATE_CHANGES = (0.3, 0.4, 0.1, 0.2, 0.3, 0.4)


@pytest.fixture
def scan():
    return BlockScan("Flux", LISTS, ((EARLY_CHANGES, LATE_CHANGES),))


def heights(picture, colour, block):
    """Of a block's bar: the longest column of its colour, as a share of the axis."""
    left, right, top, base = 92, SIZE[0] - 28, 112, SIZE[1] - 96
    wide = (right - left) / 6
    columns = range(round(left + block * wide), round(left + (block + 1) * wide))
    return max(
        sum(picture.getpixel((x, y)) == colour for y in range(top, base)) for x in columns
    ) / (base - top)


def test_bars_are_as_high_as_the_changes_of_the_inner_blocks_allow(scan):
    """The axis ends at 40 %, above all blocks but the first and the last."""
    picture = draw_scan(scan)
    assert picture.size == SIZE
    for block in range(1, 5):
        early, late = EARLY_CHANGES[block] / 0.4, LATE_CHANGES[block] / 0.4
        assert heights(picture, EARLY, block) == pytest.approx(early, abs=0.01)
        assert heights(picture, LATE, block) == pytest.approx(late, abs=0.01)
    assert heights(picture, EARLY, 0) == heights(picture, EARLY, 5) == 1.0
    assert [heights(picture, ACCENT_WASH, block) > 0.9 for block in range(6)] == [
        *(False, False, True, True, False, False)
    ]


def test_the_report_calls_the_guess_a_guess(scan):
    text = scan_text(scan, 3.5)
    assert "Flux: 6 blocks (2 double_blocks, then 4 single_blocks)" in text
    assert "1 seed of 2 steps, CFG 3.5" in text
    assert "early: 5.0 % to no number; late: 10 % to 40 %" in text
    assert "Most important early: 5 (no number), 0 (150 %), 1 (20 %)." in text
    assert "A guess for the dial: blocks = 2-3" in text
    assert "was not measured" in text


def test_the_numbers_are_json(scan):
    told = json.loads(json.dumps(scan_numbers(scan), allow_nan=False))
    assert told["blocks"] == "2-3"
    assert told["early"] == [1.5, 0.2, 0.05, 0.1, 0.2, None]
    assert told["changes"] == [[told["early"], told["late"]]]
