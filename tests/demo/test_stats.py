"""The demo's statistics against values worked out by hand."""

from math import comb

import pytest

from demo.stats import Reading, mcnemar, moved


def test_mcnemar_is_the_two_sided_binomial_test():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(9, 0) == pytest.approx(2 / 2**9)
    assert mcnemar(0, 9) == mcnemar(9, 0)
    assert mcnemar(5, 5) == 1.0
    literal = 2 * sum(comb(12, k) for k in range(3)) / 2**12
    assert mcnemar(10, 2) == pytest.approx(literal)


def test_only_pictures_readable_in_both_count_as_moved():
    before = Reading([1, 2, 7, 8, 3], [True, True, True, False, True])
    after = Reading([7, 2, 1, 1, 9], [True, True, True, True, False])
    assert moved(before, after, (5, 6, 7, 8, 9)) == (1, 1)


def test_shares_are_among_readable_pictures():
    reading = Reading([7, 7, 1, 1], [True, False, True, True])
    assert reading.share((5, 6, 7, 8, 9)) == (1, 3)
    assert reading.readable == 0.75
