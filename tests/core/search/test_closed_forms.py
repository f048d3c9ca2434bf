"""Evidence, paired and the removal of a class."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from detour.edit.apply import changed_logits, predictions
from detour.probes.features import Probes
from detour.search.closed_forms import from_group_means, from_pairs
from detour.search.problem import margins
from detour.search.remove_class import find_removal


def gaps(values, probes):
    found = []
    for c in probes.y.unique():
        mine = probes.y == c
        found.append(
            values[mine & (probes.a == 1)].mean(0) - values[mine & (probes.a == 0)].mean(0)
        )
    return torch.stack(found).mean(0)


def test_evidence_takes_the_clearest_feature_and_closes_the_gap(headed):
    probes = headed(0, n=400)
    change = from_group_means(probes)
    ((column, _),) = change.weights
    assert column == 1 and change.row == 1 and change.shift == 0
    bare = replace(probes, weight=None, bias=None, logits=probes.z.double())
    z = changed_logits(bare, change)
    after = replace(probes, weight=None, bias=None, logits=z)
    everything = torch.arange(400)
    assert abs(gaps(margins(probes, 1, everything)[0], probes)) > 1
    assert gaps(margins(after, 1, everything)[0], probes).abs() < 1e-9


def test_evidence_with_the_bias_centres_the_two_sides(headed):
    probes = headed(0, n=400)
    change = from_group_means(probes, with_bias=True)
    bare = replace(probes, weight=None, bias=None, logits=probes.z.double())
    after = Probes(probes.features, probes.a, probes.y, logits=changed_logits(bare, change))
    m = margins(after, 1, torch.arange(400))[0]
    means = [
        torch.stack([m[(probes.y == c) & (probes.a == a)].mean() for a in (0, 1)]).mean()
        for c in (0, 1)
    ]
    assert float(means[0]) == pytest.approx(-float(means[1]), abs=1e-9)
    assert change.weights == from_group_means(probes).weights


def test_evidence_from_two_image_sets(headed):
    base = headed(0, n=400)
    own = (base.y == 1).nonzero().flatten()
    change = from_group_means(base, own, with_bias=True)
    ((column, t),) = change.weights
    without = own[base.a[own] == 0]
    expected = t * base.columns(without, column, column + 1).mean()
    assert change.shift == pytest.approx(float(expected))


def test_paired_needs_no_classes_and_goes_by_photo():
    draw = torch.Generator().manual_seed(0)
    photos, crops, d = 6, 4, 5
    plain = torch.randn(photos * crops, d, generator=draw)
    marked = plain.clone()
    marked[:, 3] += 2 + 0.1 * torch.randn(photos * crops, generator=draw)
    marked[:, 0] += torch.randn(photos * crops, generator=draw)
    weight = torch.randn(4, d, generator=draw)
    units = [f"photo {i // crops}" for i in range(photos * crops)] * 2
    attributes = [0] * (photos * crops) + [1] * (photos * crops)
    probes = Probes(torch.cat([plain, marked]), attributes, None, weight, units=units)
    change = from_pairs(probes, target_class=2, with_bias=True)
    ((column, t),) = change.weights
    rise = (marked @ weight[2] - plain @ weight[2]).mean()
    assert column == 3
    assert t == pytest.approx(float(rise / (marked - plain)[:, 3].mean()), rel=1e-4)
    assert change.shift == pytest.approx(t * float(plain[:, 3].mean()), rel=1e-4)
    with pytest.raises(ValueError, match="target class"):
        from_pairs(probes)
    with pytest.raises(ValueError, match="carry no classes"):
        from_group_means(probes, target_class=2)
    lonely = Probes(torch.cat([plain, marked]), attributes, None, weight, units=list(range(48)))
    with pytest.raises(ValueError, match="needs two at least"):
        from_pairs(lonely, target_class=2)
    same = Probes(torch.cat([plain, plain]), attributes, None, weight, units=units)
    with pytest.raises(ValueError, match="same pictures"):
        from_pairs(same, target_class=2)


def test_paired_closes_the_margin_of_two_classes(headed):
    base = headed(0, n=40)
    features = torch.cat([base.features, base.features])
    features[40:, 1] += 3
    probes = Probes(
        features, [0] * 40 + [1] * 40, None, base.weight, base.bias, units=list(range(40)) * 2
    )
    z = changed_logits(probes, from_pairs(probes))
    margin = z[:, 1] - z[:, 0]
    assert (margin[40:] - margin[:40]).mean().abs() < 1e-4


def test_evidence_says_what_is_missing(headed):
    probes = headed(0, n=40, c=3)
    with pytest.raises(ValueError, match="target class"):
        from_group_means(probes)
    single = headed(0, n=40)
    rows = (single.y == single.a).nonzero().flatten()
    with pytest.raises(ValueError, match="both with and without"):
        from_group_means(single, rows)
    flat = Probes(torch.ones(4, 2), [0, 1, 0, 1], [0, 0, 1, 1], logits=torch.randn(4, 2))
    with pytest.raises(ValueError, match="No feature differs"):
        from_group_means(flat)


def literally_feasible(probes, row, rows):
    """For every weight, whether some t leaves no probe at the class: all thresholds tried."""
    m = margins(probes, row, rows)[0]
    found = []
    for j in range(probes.features.shape[1]):
        a = probes.columns(rows, j, j + 1)[:, 0]
        cuts = sorted((m[a != 0] / a[a != 0]).tolist())
        tries = [cuts[0] - 1, cuts[-1] + 1]
        tries += [(p + q) / 2 for p, q in pairwise(cuts)]
        if any(bool((m - t * a < 0).all()) for t in tries):
            found.append(j)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_removal_finds_a_feasible_weight_if_there_is_one(seed):
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(40, 6, generator=draw)
    features[:, 2] = features[:, 2].abs() + 0.1
    features[:, 4] = -features[:, 4].abs() - 0.2
    logits = torch.randn(40, 3, generator=draw)
    probes = Probes(features, [0] * 40, [0] * 40, logits=logits)
    choose, validate = torch.arange(30), torch.arange(30, 40)
    removal = find_removal(probes, 1, choose, validate)
    allowed = literally_feasible(probes, 1, choose)
    assert removal.feasible and removal.remaining == 0 and removal.with_bias is None
    assert removal.change.weights[0][0] in allowed
    after = predictions(probes, changed_logits(probes, removal.change))
    before = predictions(probes, logits)
    assert not (after[choose] == 1).any()
    assert torch.equal(after[before != 1], before[before != 1])
    assert removal.predicted == int((before[choose] == 1).sum())
    assert removal.rate_validate == pytest.approx(float((after[validate] == 1).double().mean()))
    shifted = predictions(probes, changed_logits(probes, removal.bias_only))
    assert not (shifted[choose] == 1).any()
    assert torch.equal(after[choose], shifted[choose])


def test_removal_that_one_weight_cannot_do():
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.0], [0.0, 0.0]])
    logits = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 2.0], [0.0, -1.0]])
    probes = Probes(features, [0] * 4, logits=logits)
    removal = find_removal(probes, 1)
    assert not removal.feasible
    assert (removal.predicted, removal.remaining) == (3, 1)
    assert removal.change.weights[0][0] == 0
    assert removal.with_bias is not None
    assert not predictions(probes, changed_logits(probes, removal.with_bias)).any()
    stuck = Probes(torch.zeros(3, 2), [0] * 3, logits=logits[:3])
    removal = find_removal(stuck, 1)
    assert removal.change.numbers == 0 and removal.remaining == 3
    assert removal.with_bias == removal.bias_only


def test_a_class_that_is_never_predicted_needs_no_edit():
    probes = Probes(torch.ones(2, 1), [0, 1], logits=torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
    removal = find_removal(probes, 2)
    assert removal.change.numbers == 0 and removal.feasible
    with pytest.raises(ValueError, match="0 to 2"):
        find_removal(probes, 3)


def test_removal_of_a_relu_class_prefers_validation_then_the_smaller_move(headed):
    probes = headed(0, n=200, d=8)
    validate = torch.arange(100, 200)
    removal = find_removal(probes, 1, torch.arange(100), validate)
    assert removal.feasible
    assert removal.rate_validate <= 0.1
