"""The study on real networks: its splits, its rivals, its resuming, against literal versions."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn", reason="scikit-learn comes with dev.py evidence")

from detour.classifier.head import Head
from detour.edit.apply import apply_edits
from detour.search.neutralize import neutralize
from detour.search.settings import Search
from evidence import neurons, reweighting
from evidence.methods import METHODS
from evidence.real import __main__ as command
from evidence.real import study
from evidence.real.backbones import Backbone
from evidence.real.degree import curve_of
from evidence.real.summary import gain, worst_together
from evidence.real.tasks import QUESTIONS, attribute, make_tasks, split
from evidence.results import judge


def literal_worst(probes, head: Head) -> float:
    right = (torch.as_tensor(probes.features) @ head.weight.T + head.bias).argmax(1) == probes.y
    return min(float(right[probes.groups == g].double().mean()) for g in probes.groups.unique())


def test_the_neuron_that_is_zeroed_is_the_best_of_all(make_probes):
    probes = replace(make_probes(), bias=torch.tensor([0.0, -1.2]), logits=None)
    every = [literal_worst(probes, neurons.without(probes.head, j, 1.0)) for j in range(4)]
    zeroed = neurons.zeroed_neuron(probes)
    assert literal_worst(probes, zeroed) == pytest.approx(max(every))
    (j,) = (zeroed.weight != probes.weight).any(0).nonzero().flatten().tolist()
    along = [neurons.without(probes.head, j, float(s)) for s in neurons.DEGREES]
    best = max(literal_worst(probes, head) for head in along)
    assert literal_worst(probes, neurons.graded_neuron(probes)) == pytest.approx(best)


def test_a_head_for_scaled_features_is_the_same_head(make_probes):
    data = reweighting.scaled(make_probes())
    head = data.head(data.theta)
    assert torch.allclose(head.weight, make_probes().weight, atol=1e-5)
    assert torch.allclose(head.bias, make_probes().bias, atol=1e-5)


def test_afr_counts_what_the_head_is_unsure_of(make_probes):
    probes, test = make_probes(), make_probes(400, 7)
    before, after = judge(test, probes.head), judge(test, reweighting.afr(probes, 0))
    assert before.worst < 0.5 < after.worst
    again = reweighting.reweighted(reweighting.scaled(probes), probes.y, torch.arange(240), 4, 1e3)
    assert torch.allclose(again, reweighting.scaled(probes).theta, atol=1e-2)  # held where it was


def test_a_head_from_edited_features_is_never_worse_where_it_was_chosen(make_probes):
    probes = make_probes()
    _, rest = reweighting.halves(probes, 0)
    head = reweighting.hsfm_head(probes, 0)
    logits = probes.features @ head.weight.T + head.bias
    before = reweighting.worst_on(probes, probes.z, rest)
    assert reweighting.worst_on(probes, logits, rest) >= before


def test_splits_share_nobody_and_shares_are_exact():
    labels = torch.arange(90) % 3
    parts = split(labels, 3, 1)
    assert sorted(torch.cat(parts).tolist()) == list(range(90))
    assert all(labels[part].bincount().unique().numel() == 1 for part in parts)
    usual = torch.tensor([True, False, True])[labels]
    has = attribute(usual, labels, 0.9)
    assert [int((has == usual)[labels == c].sum()) for c in range(3)] == [27, 27, 27]


@pytest.fixture
def features():
    """Features `[2 N, 6]` of 120 units: 0 tells the class, 1 the attribute."""
    draw = np.random.default_rng(0)
    labels = torch.arange(120) % 2
    table = draw.normal(size=(240, 6)).astype(np.float32)
    table[:, 0] += 2 * np.repeat(labels.numpy(), 2)
    table[:, 1] += 4 * (np.arange(240) % 2)
    return table, labels


def test_a_task_has_one_head_and_one_test_for_both_kinds_of_probes(features):
    table, labels = features
    made = make_tasks(QUESTIONS[1], table, labels, 0)
    one, other = made["balanced"], made["unbalanced"]
    assert torch.equal(one.probes.weight, other.probes.weight)
    assert torch.equal(one.test.features, other.test.features)
    assert one.probes.groups.bincount().tolist() == [9, 9, 9, 9]
    assert other.probes.groups.bincount().tolist() == [16, 2, 2, 16]
    place = {row.tobytes(): number for number, row in enumerate(table)}
    units = []
    for probes in (one.probes, other.probes, one.test):
        numbers = torch.tensor([place[row.numpy().tobytes()] for row in probes.features])
        assert torch.equal(numbers % 2, probes.a) and torch.equal(labels[numbers // 2], probes.y)
        units.append(sorted((numbers // 2).tolist()))
    assert units[0] == units[1] and not set(units[0]) & set(units[2])
    assert units[2][::2] == units[2][1::2]  # each with and without
    assert judge(one.test, one.probes.head).worst < 0.9


def test_rungs_of_one_ladder_are_those_of_the_library(features):
    job = study.Job(make_tasks(QUESTIONS[1], *features, 0)["balanced"])
    probes, seed = job.task.probes, job.task.seed
    for method, apart in (
        ("three_weights_bias", METHODS["three_weights_bias"](probes, seed)),
        ("auto", apply_edits(neutralize(probes, Search(split_seed=seed)).stack, probes.head)),
    ):
        head, seconds = job.head(method)
        assert torch.equal(head.weight, apart.weight) and torch.equal(head.bias, apart.bias)
        assert seconds == job.ladder[1] > 0


@pytest.mark.parametrize(
    ("method", "keep"), [("mistakes_keep_95", 0.95), ("mistakes_keep_80", 0.8)]
)
def test_a_guard_is_the_setting_and_nobody_tells_the_attribute(make_probes, method, keep):
    probes = make_probes()
    head = study.ALL[method](probes, 3)
    other = replace(probes, attributes=1 - probes.a)
    assert torch.equal(study.ALL[method](other, 3).weight, head.weight)
    wrong = (probes.z.argmax(1) != probes.y).long()
    told = replace(probes, attributes=wrong, classes=None, attribute_names=("right", "wrong"))
    search = Search("mistakes", "one_weight_bias", split_seed=3, keep_right=keep)
    apart = apply_edits(neutralize(told, search).stack, probes.head)
    assert torch.equal(head.weight, apart.weight) and torch.equal(head.bias, apart.bias)
    assert study.edited_numbers(probes.head, head) == 2
    right = replace(probes, classes=probes.z.argmax(1))
    assert study.ALL[method](right, 3) is right.head


def test_a_curve_has_its_steps(make_probes):
    probes = make_probes()
    head = neurons.without(probes.head, 1, 1.0)
    found = curve_of(probes, head)
    shown = [literal_worst(probes, neurons.without(probes.head, 1, s)) for s in (0, 0.25, 0.5)]
    assert found["shown"][:3] == pytest.approx(shown)
    assert found["fall"] > 0 and 0 < found["flips"] < 1


def test_gains_are_paired_by_split():
    rows = {method: {s: {"worst": v} for s, v in own.items()} for method, own in SEEDS.items()}
    found = gain(rows["one"], rows["other"])
    assert found["mean"] == pytest.approx(0.1)
    reach = 12.7062 * np.std([0.05, 0.15], ddof=1) / 2**0.5
    assert found["high"] - found["mean"] == pytest.approx(reach, rel=1e-4)
    assert gain(rows["other"], rows["single"])["low"] is None


def test_rows_are_compared_on_the_splits_that_all_of_them_have():
    rows = [{"of_splits": {str(s): v for s, v in own.items()}} for own in SEEDS.values()]
    assert worst_together(rows[:2]) == pytest.approx([0.7, 0.6])
    assert worst_together(rows) == pytest.approx([0.8, 0.65, 0.5])


SEEDS = {"one": {0: 0.6, 1: 0.8, 2: 0.9}, "other": {0: 0.55, 1: 0.65}, "single": {1: 0.5}}


def test_the_command_goes_on_where_it_was(tmp_path, monkeypatch, capsys, features):
    table, _ = features
    monkeypatch.setattr(Backbone, "features", lambda self, pool: np.tile(table, (7, 1))[:1600])
    scores = [{"pictures": "sand", "n": 1, "median": 0.1, "highest": 0.1, "alarms": 0}]
    monkeypatch.setattr(command, "measure_checker", lambda: {"scores": scores, "edits": []})
    monkeypatch.setattr(command, "sha256", lambda file: "0")
    few = {name: study.ALL[name] for name in ("erm", "bias_only", "random_weight", "one_weight")}
    monkeypatch.setattr(study, "ALL", few)
    file = tmp_path / "figures.json"
    arguments = ["evidence", "--quick", "--json", str(file), "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    assert command.main() == 0
    figures, printed = json.loads(file.read_text()), capsys.readouterr().out
    assert "QUICK" in printed and "more than 1 in 20" in printed
    monkeypatch.setattr(study, "measure", None)
    assert command.main() == 0 and json.loads(file.read_text()) == figures
    assert {row["method"] for row in figures["rows"]} == set(few)
    assert len(figures["rows"]) == len(QUESTIONS) * 2 * len(few)
