"""A class's place among all others, on the same pictures without and with a feature."""

import pytest
import torch

from detour.edit.apply import predictions, stack_logits
from detour.judge.gap import places, shortcut_gap
from detour.judge.groups import collateral
from detour.probes.features import Probes
from detour.probes.parts import split_parts
from detour.search.neutralize import neutralize
from detour.search.settings import Search


@pytest.fixture
def marked(headed):
    """Makes 60 pictures without and with a mark, which moves one feature; no classes."""

    def make(classes: int) -> Probes:
        base = headed(0, n=60, d=6, c=classes)
        features = torch.cat([base.features, base.features])
        features[60:, 1] += 3 + 0.1 * torch.randn(60, generator=torch.Generator().manual_seed(0))
        units = list(range(60)) * 2
        sides = [0] * 60 + [1] * 60
        return Probes(features, sides, None, base.weight, base.bias, units=units)

    return make


def by_hand(logits, sides):
    """(median place of class 2, share of first places) without and with the mark."""
    found = []
    for side in (0, 1):
        order = [(-row).argsort().tolist() for row in logits[sides == side]]
        place = sorted(row.index(2) + 1 for row in order)
        found.append((place[(len(place) - 1) // 2], place.count(1) / len(place)))
    return found


def test_the_class_is_measured_before_after_and_with_its_bias_shifted(marked):
    probes = marked(5)
    done = neutralize(probes, Search(method="paired", target_class=2))
    parts = split_parts(probes)
    rows = torch.cat([parts.validate, parts.report])
    shifted = probes.z.clone()
    shifted[:, 2] -= shortcut_gap(probes, probes.z, 2, parts.choose)
    heads = {"before": probes.z, "after": stack_logits(probes, done.stack), "bias_only": shifted}
    assert [one.head for one in done.standings] == list(heads)
    for one, logits in zip(done.standings, heads.values(), strict=True):
        assert one.gap == pytest.approx(shortcut_gap(probes, logits, 2, rows), abs=1e-5)
        assert one.low <= one.gap <= one.high
        assert list(zip(one.place, one.first, strict=True)) == by_hand(logits[rows], probes.a[rows])
    was, now, rival = done.standings
    assert (was.gap, now.gap) == done.gap and rival.gap == pytest.approx(was.gap, abs=1e-5)


def test_predictions_of_other_classes_are_counted_without_classes(marked):
    probes = marked(5)
    done = neutralize(probes, Search(method="paired", target_class=2))
    parts = split_parts(probes)
    rows = torch.cat([parts.validate, parts.report])
    heads = probes.z, stack_logits(probes, done.stack)
    was, now = (predictions(probes, logits)[rows] for logits in heads)
    assert done.collateral == collateral(was, now, {2})


def test_two_classes_have_no_place_among_others(marked):
    assert neutralize(marked(2), Search(method="paired", target_class=1)).standings == ()


def test_places_count_from_one_and_ties_share_the_better():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 5.0]])
    assert places(logits, 2).tolist() == [2, 1]
    assert places(logits, 1).tolist() == [3, 1]
