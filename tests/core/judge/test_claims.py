"""What is claimed of an edit: intervals of the worst group, verdicts, and groups in words."""

import dataclasses

import numpy as np
import pytest
import torch

from detour.judge import groups
from detour.judge.groups import (
    claimable,
    count_units,
    gain,
    group_metrics,
    listed,
    share_interval,
    wilson,
    worst_difference,
)
from detour.probes.features import Probes

UNIT = [(0, 1, 0), (0, 1, 1), (0, 0, 0), (2, 1, 1), (2, 0, 1), (3, 1, 1)]
"""The pictures of a photo: group, right by the first, right by the second. Their worst groups:
1/2 (group 2) and 1/3 (group 0)."""


def probes_of(pictures, units, **more):
    """Probes of two classes and two attributes, and which are right, twice."""
    group, first, second = torch.tensor(pictures).T
    probes = Probes(
        torch.ones(len(group), 1),
        group % 2,
        group // 2,
        logits=torch.zeros(len(group), 2),
        units=units,
        **more,
    )
    return probes, first.bool(), second.bool()


def photos(count, unit=UNIT, **more):
    """So many photos that are all alike: whichever are drawn, the shares are the same."""
    units = [number for number in range(count) for _ in unit]
    return probes_of(unit * count, units, **more)


def test_photos_that_are_all_alike_leave_nothing_to_chance():
    probes, first, second = photos(8)
    rows = torch.arange(len(probes))
    assert worst_difference(probes, first, second, rows) == pytest.approx((1 / 6, 1 / 6))
    assert worst_difference(probes, second, first, rows) == pytest.approx((-1 / 6, -1 / 6))
    assert worst_difference(probes, first, first, rows) == (0, 0)
    part = rows[rows % len(UNIT) != 3]  # without the right ones of group 2: 0 and 1/3
    assert worst_difference(probes, first, second, part) == pytest.approx((-1 / 3, -1 / 3))


def test_the_interval_of_single_pictures_is_that_of_a_share():
    """One right in two of 100: from 40 to 60 % in 95 % of the draws."""
    probes, first, second = probes_of([(0, number % 2, 0) for number in range(100)], None)
    low, high = worst_difference(probes, first, second, torch.arange(100))
    assert low == pytest.approx(0.40, abs=0.015) and high == pytest.approx(0.60, abs=0.015)


def test_a_group_that_a_draw_misses_is_left_out_of_it():
    """Two photos, each with a group of its own: all wrong by the first, the second right in one;
    so a draw of that photo alone is one worse, any other as bad."""
    probes, first, second = probes_of([(0, 0, 1), (1, 0, 0)], [0, 1])
    assert worst_difference(probes, first, second, torch.arange(2)) == (-1, 0)


def test_the_draws_are_a_thousand_by_the_seed():
    pictures = [(n % 4, n % 3 != 0, n % 5 > 1) for n in range(307)]
    probes, first, second = probes_of(pictures, None)
    rows = torch.arange(len(probes))
    told = [worst_difference(probes, first, second, rows, seed) for seed in range(2)]
    assert worst_difference(probes, first, second, rows) == told[0] != told[1]
    now = gain(probes, (second, first), rows)
    assert (now.low, now.high) == told[0]
    other = gain(probes, (second, first), rows, seed=1)
    assert (other.low, other.high) == told[1]


@pytest.mark.parametrize(("fit", "sizes"), [(300, [300, 300, 300, 100]), (0, [1] * 1000)])
def test_draws_are_made_in_batches_that_fit_the_memory(monkeypatch, fit, sizes):
    """And are the same as all at once: 8 bytes for each number, four times."""
    probes, first, second = probes_of([(0, number % 2, 0) for number in range(30)], None)
    whole = worst_difference(probes, first, second, torch.arange(30))
    cells, kinds, seen = 4, 2, []

    class Watched:
        def __init__(self, seed):
            self.draw = np.random.Generator(np.random.PCG64(seed))

        def multinomial(self, *wanted, size):
            seen.append(size)
            return self.draw.multinomial(*wanted, size=size)

    monkeypatch.setattr(np.random, "default_rng", Watched)
    monkeypatch.setattr(groups, "BATCH_BYTES", fit * 32 * (cells + kinds))
    assert worst_difference(probes, first, second, torch.arange(30)) == whole
    assert seen == sizes


@pytest.mark.parametrize(
    ("count", "swapped", "verdict"),
    [(6, False, "improved"), (6, True, "worse"), (5, False, "few"), (60, False, "improved")],
)
def test_a_claim_needs_an_interval_on_one_side_and_six_photos(count, swapped, verdict):
    probes, better, worse = photos(count)
    right = (better, worse) if swapped else (worse, better)
    found = gain(probes, right, torch.arange(len(probes)))
    sign = -1 if swapped else 1
    assert found.difference == pytest.approx(sign / 6)
    assert (found.low, found.high) == pytest.approx((sign / 6, sign / 6))
    assert found.verdict == verdict


def test_no_difference_is_unclear():
    probes, right, _ = photos(6)
    assert gain(probes, (right, right), torch.arange(len(probes))).verdict == "unclear"


def test_a_slight_difference_on_one_side_is_enough():
    """Far from a difference of 1, on either side."""
    small = [(0, 1, 1)] * 50 + [(0, 0, 1)] + [(0, 0, 0)]
    probes, worse, better = photos(6, small)
    rows = torch.arange(len(probes))
    assert gain(probes, (worse, better), rows).verdict == "improved"
    assert gain(probes, (better, worse), rows).verdict == "worse"


def test_nothing_is_claimed_of_seen_or_missing_groups():
    probes, better, worse = photos(8)
    rows = torch.arange(len(probes))
    assert gain(probes, (worse, better), rows, seen=True).verdict == "seen"
    part = rows[probes.groups != 3]
    assert gain(probes, (worse, better), part).verdict == "unmeasured"


def test_nothing_is_claimed_of_probes_that_the_classifier_learned_from():
    probes, better, worse = photos(8)
    found = gain(probes, (worse, better), torch.arange(len(probes)))
    assert claimable(found, learned=False) is found
    assert claimable(found, learned=True) == dataclasses.replace(found, verdict="seen")
    assert claimable(None, learned=True) is None


def test_what_was_measured_is_not_written_to():
    probes, first, second = photos(6)
    metrics = group_metrics(probes, first)
    found = gain(probes, (second, first), torch.arange(len(probes)))
    for measured, field in ((metrics, "worst"), (found, "low")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(measured, field, 0.0)


def test_groups_that_are_not_measured_are_named():
    probes, first, _ = photos(1, class_names=["dark", "fair"], attribute_names=["bare", "hat"])
    whole = group_metrics(probes, first)
    assert whole.of_groups == whole.unmeasured_names == ""
    part = group_metrics(probes, first, (probes.groups != 2).nonzero().flatten())
    assert part.of_groups == " of 2 of 3 groups"
    assert part.unmeasured_names == "(fair, bare)"
    assert part.as_dict() == {
        "worst_group_accuracy": pytest.approx(2 / 3),
        "worst_group": "dark, bare",
        "mean_accuracy": pytest.approx(5 / 6),
        "adjusted_average_accuracy": None,
        "unmeasured_groups": ["fair, bare"],
        "groups": [
            {
                "name": part.names[g],
                "n": part.counts[g],
                "right": part.right[g],
                "accuracy": part.accuracy[g],
                "low": part.low[g],
                "high": part.high[g],
            }
            for g in (0, 3)
        ],
    }


def test_of_many_groups_the_first_four_are_named_in_sixty_letters():
    assert listed([]) == ""
    assert listed(["a", "b", "c", "d"]) == "(a), (b), (c), (d)"
    assert listed(["a", "b", "c", "d", "e", "f"]) == "(a), (b), (c), (d) and 2 more"
    assert listed(["x" * 61]) == f"({'x' * 60})"


@pytest.mark.parametrize(
    ("train_counts", "adjusted"),
    [(None, None), ([0, 9, 0, 0], None), ([0.25, 9, 0, 0.25], 5 / 6), ([3, 0, 0, 1], 3 / 4)],
)
def test_the_adjusted_mean_is_weighted_by_what_was_trained_on(train_counts, adjusted):
    """Group 0 has 2/3, group 3 has 1, the others are not measured."""
    probes, first, _ = photos(2, train_counts=train_counts)
    rows = ((probes.groups == 0) | (probes.groups == 3)).nonzero().flatten()
    found = group_metrics(probes, first, rows).adjusted
    assert found == (adjusted if adjusted is None else pytest.approx(adjusted))


def test_an_interval_holds_its_share_and_stays_within_0_and_1():
    for count in range(1, 300):
        assert wilson(0, count)[0] == 0.0 and wilson(count, count)[1] == 1.0
    assert share_interval(3, 12, 4) == wilson(1, 4)


def test_pictures_apart_are_counted_once_a_photo():
    assert count_units(torch.tensor([7, 7, 3])) == 2
