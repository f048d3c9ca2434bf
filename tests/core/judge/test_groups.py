"""Group metrics, collateral, the parts."""

from dataclasses import replace

import pytest
import torch

from detour.judge.groups import collateral, group_metrics, wilson
from detour.probes.features import Probes
from detour.probes.parts import folds, split_parts


def test_wilson_equals_known_values():
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_metrics_by_hand():
    probes = Probes(
        torch.ones(6, 1),
        [0, 0, 1, 0, 1, 1],
        [0, 0, 0, 1, 1, 1],
        logits=torch.zeros(6, 2),
        train_counts=[100, 0, 50, 50],
        class_names=["low", "high"],
        attribute_names=["red", "green"],
    )
    right = torch.tensor([True, False, True, True, True, False])
    m = group_metrics(probes, right)
    assert m.counts == (2, 1, 1, 2) and m.right == (1, 1, 1, 1)
    assert m.accuracy == (0.5, 1.0, 1.0, 0.5)
    assert (m.worst, m.worst_group, m.mean) == (0.5, 0, 0.75)
    assert m.adjusted == pytest.approx((100 * 0.5 + 50 * 1 + 50 * 0.5) / 200)
    assert m.names[1] == "low, green"
    part = group_metrics(probes, right, torch.tensor([0, 1]))
    assert part.accuracy == (0.5, None, None, None) and part.adjusted == 0.5
    assert [g["n"] for g in part.as_dict()["groups"]] == [2]
    with pytest.raises(ValueError, match="no probes"):
        group_metrics(probes, right, torch.tensor([], dtype=torch.long))


def test_pictures_of_one_photo_do_not_make_the_interval_narrower():
    def measured(units):
        probes = Probes(
            torch.ones(80, 1), [0] * 80, [0] * 80, logits=torch.zeros(80, 2), units=units
        )
        return group_metrics(probes, torch.arange(80) < 20)

    alone, photos = measured(None), measured([f"photo {n // 20}" for n in range(80)])
    assert (alone.low[0], alone.high[0]) == wilson(20, 80) and alone.units[0] == 80
    assert (photos.low[0], photos.high[0]) == wilson(1, 4) and photos.units[0] == 4
    assert photos.accuracy == alone.accuracy and photos.counts == alone.counts
    assert photos.high[0] - photos.low[0] > 2 * (alone.high[0] - alone.low[0])


def test_collateral_is_the_share_of_other_predictions_that_changed():
    before, after = torch.tensor([0, 1, 1, 2]), torch.tensor([1, 1, 0, 2])
    assert collateral(before, after, {0}) == pytest.approx(1 / 3)
    assert collateral(before, after, {0, 2}) == 0.5
    assert collateral(before, after, {0, 1, 2}) == 0.0


def test_parts_are_stratified_and_share_no_unit(headed):
    base = headed(4, n=800)
    units = [f"photo {i // 4}" for i in range(800)]
    probes = replace(base, units=units)
    parts = split_parts(probes, seed=1)
    sides = [parts.choose, parts.validate, parts.report]
    assert sorted(torch.cat(sides).tolist()) == list(range(800))
    owners = [{units[i] for i in side.tolist()} for side in sides]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    for side, share in zip(sides, (0.5, 0.25, 0.25), strict=True):
        counts = torch.bincount(probes.groups[side], minlength=4)
        assert torch.allclose(counts.double(), torch.full((4,), 200 * share).double(), atol=3)
    assert torch.equal(parts.choose, split_parts(probes, seed=1).choose)
    assert not torch.equal(parts.choose, split_parts(probes, seed=2).choose)
    five = folds(probes, torch.arange(400))
    assert sorted(torch.cat(five).tolist()) == list(range(400))
    assert all(70 <= len(part) <= 90 for part in five)


def test_a_given_split_is_taken(headed):
    base = headed(4, n=12)
    split = [0, 1, 2] * 4
    probes = replace(base, split=split)
    assert split_parts(probes).report.tolist() == [2, 5, 8, 11]
