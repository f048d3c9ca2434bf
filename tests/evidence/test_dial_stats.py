"""The study's tests and scores, against literal enumeration and known cases."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from evidence.dial.scores import Components, frechet, vendi
from evidence.dial.stats import Effect, effects, flipped_together, holm, interval, sign_flip

VALUES = [0.031, -0.004, 0.022, 0.05, 0.013, 0.008, -0.011]


def flipped_p(values: list[float]) -> float:
    """By going through all signs."""
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in product((1, -1), repeat=len(values))
    ]
    return sum(total >= abs(sum(values)) - 1e-12 for total in sums) / len(sums)


def test_the_sign_flip_test_goes_through_all_signs():
    assert sign_flip(VALUES) == pytest.approx(flipped_p(VALUES))
    assert sign_flip([0.1] * 8) == 2 / 2**8
    assert sign_flip([0.0, 0.0, 0.0]) == sign_flip([]) == 1


def test_the_interval_is_where_the_test_tells_nothing():
    low, high = interval(VALUES)
    for edge, outwards in ((low, -1e-6), (high, 1e-6)):
        assert flipped_p([v - edge - outwards for v in VALUES]) <= 0.05
        assert flipped_p([v - edge + outwards for v in VALUES]) > 0.05
    assert low < sum(VALUES) / len(VALUES) < high
    assert interval([1.0] * 5) is None and interval([1.0] * 6) == (1.0, 1.0)


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == []


def test_rows_flipped_together_are_held_against_the_largest_of_all():
    """By going through all signs, each model's the same in all rows."""
    rows = [
        VALUES,
        [0.02, 0.03, 0.01, 0.02, 0.03, 0.02, 0.03],
        [0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 0.0],
    ]

    def statistic(row, signs):
        size = sum(value**2 for value in row) ** 0.5
        return abs(sum(sign * value for sign, value in zip(signs, row, strict=True))) / size

    every = list(product((1, -1), repeat=7))
    wanted = []
    for row in rows:
        own = statistic(row, (1,) * 7)
        above = sum(max(statistic(r, signs) for r in rows) >= own - 1e-9 for signs in every)
        wanted.append(above / len(every))
    found = flipped_together(rows)
    assert found == pytest.approx(wanted) and found[1] == 2 / 2**7
    assert min(holm([sign_flip(row) for row in [*rows, *rows]])) > 0.05  # Holm could not tell
    assert flipped_together([]) == [] and flipped_together([[0.0] * 8]) == [1.0]
    with pytest.raises(ValueError, match="different models"):
        flipped_together([[0.1], [0.1, 0.2]])


@pytest.mark.parametrize(
    ("values", "family", "verdict", "words"),
    [
        ([0.02] * 7, 1, "few", "In these 7 models the minority's share moved by +2.0 points"),
        ([0.02] * 12, 20, "towards", "In these 12 models it goes towards the minority: +2.0"),
        ([-0.02] * 12, 20, "away", "away from the minority: -2.0 points (-2.0 to -2.0), in 12"),
        ([0.02] * 8, 20, "unclear", "In these 8 models no effect on the minority's share is shown"),
        ([], 1, "few", "Not measured."),
    ],
)
def test_no_sentence_claims_more_than_the_models_show(values, family, verdict, words):
    found = effects([values] * family)[0]
    assert found.verdict == verdict and words in found.sentence
    assert ("too few" in found.sentence) == (0 < len(values) < 8)
    assert found.as_dict()["sentence"] == found.sentence


def test_an_effect_is_counted_in_the_models_that_go_its_way():
    found = Effect((0.03, 0.02, -0.01, 0.04, 0.0, 0.02, 0.03, 0.05), 0.01, 0.02)
    assert found.sentence.endswith("in 6 of 8.")


def test_vendi_counts_who_is_altogether_different():
    same = torch.zeros(6, 11, dtype=torch.long)
    assert vendi(same) == pytest.approx(1)
    three = torch.arange(3).repeat(4)[:, None].expand(12, 11)
    assert vendi(three) == pytest.approx(3)
    half = torch.tensor([[0, 0], [0, 1]])  # alike in one part of two: eigenvalues 3/4 and 1/4
    assert vendi(half) == pytest.approx((4 / 3) ** 0.75 * 4**0.25)
    with pytest.raises(ValueError, match="no people"):
        vendi(same[:0])


def test_frechet_of_the_same_and_of_a_shift():
    """Its formula, literally: test_dial_measure.py."""
    first = torch.randn(60, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert frechet(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet(first, first + 2) == pytest.approx(4 * 4)


def test_the_components_are_those_with_the_most_variance():
    draw = torch.Generator().manual_seed(0)
    pictures = 0.01 * torch.randn(200, 3, 4, 4, generator=draw)
    pictures[:, 0, 0, 0] += torch.randn(200, generator=draw)
    axes = Components.of(pictures).axes
    assert axes[:, -1].abs().argmax() == 0 and float(axes[0, -1].abs()) > 0.99
