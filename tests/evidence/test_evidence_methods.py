"""The methods against slow literal versions, and the discipline of the split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn", reason="scikit-learn comes with dev.py evidence")

from detour.judge.groups import group_metrics
from evidence import results, rivals
from evidence.digits import load_digits
from evidence.few_probes import first_probes
from evidence.methods import METHODS
from evidence.results import Result, difference, gap_closed, judge, run_methods, to_rows
from evidence.tasks import parts


def test_project_out_is_the_projection_applied_to_every_feature(make_probes):
    probes = make_probes()
    head = rivals.project_out(probes)
    x = probes.features.double()
    groups = [x[(probes.y == c) & (probes.a == g)].mean(0) for c in (0, 1) for g in (0, 1)]
    u = (groups[1] - groups[0] + groups[3] - groups[2]) / 2
    u = u / u.norm()
    centre = sum(groups) / 4
    moved = torch.stack([row - ((row - centre) @ u) * u for row in x])
    expected = moved @ probes.weight.double().T + probes.bias.double()
    found = x @ head.weight.double().T + head.bias.double()
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_random_weight_is_one_weight_at_its_best(make_probes):
    probes = make_probes()
    for seed in range(4):
        head = METHODS["random_weight"](probes, seed)
        assert (head.weight != probes.weight).sum() <= 1 and torch.equal(head.bias, probes.bias)
        luck, best = (
            judge(probes, METHODS[name](probes, seed)) for name in ("random_weight", "one_weight")
        )
        assert judge(probes, METHODS["erm"](probes, seed)).worst <= luck.worst <= best.worst


@pytest.mark.parametrize(
    ("name", "weights", "shifted"),
    [("erm", 0, 0), ("bias_only", 0, 1), ("one_weight", 1, 0), ("one_weight_bias", 1, 1)],
)
def test_edits_change_as_many_numbers_as_they_say(make_probes, name, weights, shifted):
    probes = make_probes()
    head = METHODS[name](probes, 0)
    assert int((head.weight != probes.weight).sum()) == weights
    assert int((head.bias != probes.bias).sum()) == shifted


def test_three_weights_are_at_most_three(make_probes):
    probes = make_probes()
    head = METHODS["three_weights_bias"](probes, 0)
    assert 1 <= int((head.weight != probes.weight).sum()) <= 3


@pytest.mark.parametrize("name", ["dfr", "dfr_l2"])
def test_a_refit_beats_the_shortcut(make_probes, name):
    probes, test = make_probes(), make_probes(400, 7)
    before, after = judge(test, METHODS["erm"](probes, 0)), judge(test, METHODS[name](probes, 0))
    assert before.worst < 0.5 < 0.7 < after.worst


def test_the_penalty_of_dfr_is_l1(make_probes):
    probes = make_probes()
    model = rivals.lasso(0.02).fit(probes.features.numpy(), probes.y.numpy())
    (one,) = model.estimators_
    assert 0 < int((one.coef_ == 0).sum()) < one.coef_.size


def test_a_balanced_subset_has_every_group_alike():
    groups = np.repeat([0, 1, 2, 3], [50, 7, 20, 9])
    chosen = rivals.balanced(groups, np.arange(len(groups)), np.random.default_rng(0))
    assert np.bincount(groups[chosen]).tolist() == [7, 7, 7, 7]
    assert len(set(chosen.tolist())) == 28


def test_no_method_looks_at_the_test(make_task):
    """Other labels and other features on the test leave every head as it is."""
    task = make_task()
    test = replace(task.test, features=-task.test.features, classes=1 - task.test.y, logits=None)
    heads = {name: METHODS[name](task.probes, 0) for name in METHODS}
    found = {r.method: r for r in run_methods(task)}
    turned = {r.method: r for r in run_methods(replace(task, test=test))}
    for name, head in heads.items():
        logits = task.test.features @ head.weight.T + head.bias
        assert found[name].worst == group_metrics(task.test, logits.argmax(1) == task.test.y).worst
        logits = test.features @ head.weight.T + head.bias
        assert turned[name].worst == group_metrics(test, logits.argmax(1) == test.y).worst


def test_training_probes_and_test_share_no_digit():
    part = parts(load_digits(), 3)
    together = torch.cat([part.training, part.probes, part.test])
    assert len(together.unique()) == len(together) == 10000
    assert load_digits().labels[part.probes[:50]].bincount().tolist() == [5] * 10


def test_the_digits_are_ten_thousand_real_ones():
    digits = load_digits()
    assert digits.pixels.shape == (10000, 16, 16) and digits.labels.bincount().min() > 800
    assert 0 <= digits.pixels.min() and digits.pixels.max() == 1


def test_the_first_probes_keep_their_head(make_probes):
    probes = make_probes()
    few = first_probes(probes, 40)
    assert len(few) == 40 and torch.equal(few.z, probes.z[:40])
    assert METHODS["one_weight"](few, 0).weight.shape == probes.weight.shape


def some_results() -> list[Result]:
    worst = {"erm": (0.5, 0.6), "one_weight": (0.7, 0.75), "bias_only": (0.65, 0.6)}
    worst |= {"dfr": (0.9, 1.0), "random_weight": (0.5, 0.5)}
    return [
        Result("cnn", share, name, seed, value + share - 0.8, value, 1.0, 1500)
        for name, values in worst.items()
        for share in (0.8, 0.9, 0.95)
        for seed, value in enumerate(values)
    ]


def test_the_gap_closed_is_a_ratio_of_sums_at_80_and_90():
    gained = lost = 0.0
    for share in (0.8, 0.9):
        for seed in (0, 1):
            value = {
                r.method: r.worst
                for r in some_results()
                if r.correlation == share and r.seed == seed
            }
            gained += value["one_weight"] - value["erm"]
            lost += value["dfr"] - value["erm"]
    assert gap_closed(some_results(), "cnn", "one_weight") == pytest.approx(gained / lost)


def test_differences_are_pairwise_by_seed():
    found = difference(some_results(), "cnn", 0.9, "one_weight", "bias_only")
    assert found["difference"] == pytest.approx(0.1)
    reach = 12.7062 * np.std([0.05, 0.15], ddof=1) / 2**0.5
    assert found["high"] - found["difference"] == pytest.approx(reach, rel=1e-4)


def test_rows_carry_the_names_of_the_contract():
    (row, *_), names = to_rows(some_results()), {
        "dataset", "correlation", "method", "worst_mean", "worst_sd", "mean_mean", "mean_sd",
        "seconds", "seeds",
    }  # fmt: skip
    assert names <= set(row) and row["seeds"] == 2
    assert row["worst_mean"] == pytest.approx(0.55)
    assert results.spread([1.0]) == 0.0
