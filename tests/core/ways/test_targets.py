"""Which blocks are meant."""

import pytest

from detour.ways.targets import middle_third, parse_blocks


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [("auto", None), (" Auto ", None), ("8-15", (8, 15)), ("8 - 15", (8, 15)), ("8", (8, 8))],
)
def test_blocks_are_read(typed, wanted):
    assert parse_blocks(typed) == wanted


@pytest.mark.parametrize("typed", ["", "8-", "-8", "8,9", "1e3", "\uff18-9", "99999", "/" * 9999])
def test_what_is_no_range_is_refused(typed):
    with pytest.raises(ValueError, match="it must be auto, a block such as 8, or a range") as told:
        parse_blocks(typed)
    assert len(str(told.value)) < 400


@pytest.mark.parametrize(
    ("count", "wanted"),
    [(3, (1, 1)), (4, (1, 2)), (28, (9, 18)), (30, (10, 19)), (57, (19, 37)), (60, (20, 39))],
)
def test_the_middle_third(count, wanted):
    assert middle_third(count) == wanted
