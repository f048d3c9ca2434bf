"""The command from end to end on tiny features: its JSON, its chart, its targets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

pytest.importorskip("sklearn", reason="scikit-learn comes with dev.py evidence")

from PIL import Image

from detour.probes.features import Probes
from evidence import few_probes, removal, spurious, targets, tasks, ten_digits, watermark
from evidence.targets import Target


@pytest.fixture
def ten_task():
    """A head for ten classes with 12 features, one for each class."""

    def make(count: int, seed: int) -> Probes:
        draw = torch.Generator().manual_seed(seed)
        y = torch.arange(count) % 10
        features = torch.rand(count, 12, generator=draw)
        features[torch.arange(count), y] += 1
        weight, bias = torch.zeros(10, 12), torch.zeros(10)
        weight[:, :10] = 3 * torch.eye(10)
        return Probes(features, torch.arange(count) // 10 % 2, y, weight, bias)

    return tasks.Task("cnn", 0.5, 0, make(400, 0), make(600, 1))


def test_the_figures_have_the_names_of_the_contract(
    tmp_path, monkeypatch, capsys, make_task, ten_task
):
    def make(_digits, *rest):
        dataset = "mobilenet" if len(rest) == 4 else "cnn"
        share, seed, classes = rest[-3:]
        return ten_task if classes == "digits" else make_task(dataset, share, seed)

    monkeypatch.setattr(spurious, "cnn_task", make)
    monkeypatch.setattr(spurious, "mobilenet_task", make)
    monkeypatch.setattr(spurious, "mobilenet_digits", lambda digits: None)
    monkeypatch.setattr(spurious, "add_watermark", lambda: None)
    monkeypatch.setattr(spurious, "SEEDS", {"quick": (1, 1, 1)})
    monkeypatch.setattr(spurious, "CORRELATIONS", (0.8, 0.9))
    monkeypatch.setattr(few_probes, "SIZES", (40,))
    monkeypatch.setattr(ten_digits, "ten_digit_task", lambda digits, seed: ten_task)
    monkeypatch.setattr(removal, "CHOOSING", 300)
    file = tmp_path / "figures.json"
    arguments = ["evidence", "--quick", "--json", str(file), "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    assert spurious.main() == 0
    figures, printed = json.loads(file.read_text()), capsys.readouterr().out
    assert {"rows", "watermark", "removal", "seconds"} <= set(figures)
    methods = {row["method"] for row in figures["rows"] if row["dataset"] == "cnn"}
    assert {"erm", "bias_only", "random_weight", "one_weight", "one_weight_bias"} < methods
    assert {"three_weights_bias", "evidence_bias", "dfr", "dfr_l2", "project_out"} < methods
    assert len(figures["removal"]) >= 2 * 10 * 2
    found = {r["correlation"] for r in figures["rows"] if r["dataset"] == "mobilenet"}
    assert found == {0.8, 0.9}
    assert "no interval from one seed" in printed
    names = [target["name"] for target in figures["targets"]]
    assert len(set(names)) == len(names) > 15
    assert watermark.MISSING in printed and removal.PRIVACY in printed and "liblinear" in printed
    with Image.open(tmp_path / "evidence spurious.png") as chart:
        assert chart.width > 800
    for part in ("run_methods", "few_probes", "ten_digits", "removals"):
        monkeypatch.setattr(spurious, part, None)  # nothing is measured again
    assert spurious.main() == 0
    assert {**json.loads(file.read_text()), "seconds": 0} == {**figures, "seconds": 0}


def test_a_removed_class_is_gone_and_the_others_stay(ten_task, monkeypatch):
    monkeypatch.setattr(removal, "CHOOSING", 300)
    rows = removal.removals(ten_task)
    for row in rows:
        assert row["choosing_rate"] == 0 or not row["feasible"]
        assert row["low"] <= row["rate"] <= row["high"] and row["n"] == 60
        assert row["rate"] < 0.5 < row["rate_before"]


def test_a_missed_target_says_by_how_much():
    assert Target("x", 0.62, 0.65, True).line.endswith("MISSED by 0.030")
    assert Target("x", 0.05, 0.1, False).line.endswith("met")
    assert targets.watermark_targets([], None) == []


def test_ten_colours_are_own_where_they_should_be():
    labels, own = torch.arange(10).repeat(50), torch.arange(500) % 2 == 0
    hues = ten_digits.hues_for(labels, own, 0)
    assert torch.equal(hues == labels, own)
    assert int(hues.min()) == 0 and int(hues.max()) == 9


def test_at_most_one_edit_per_class(ten_task):
    probes = replace(ten_task.probes, bias=ten_task.probes.bias + torch.arange(10) / 5, logits=None)
    head = ten_digits.METHODS["one_weight"](probes, 0)
    assert torch.equal(head.bias, probes.bias)
    assert int((head.weight != probes.weight).sum(1).max()) == 1


def fake_photos() -> watermark.Watermarked:
    """Four photos whose watermark moves feature 7 by 2, which lifts the carton by 6."""
    draw = torch.Generator().manual_seed(0)
    plain = torch.rand(4, 1, watermark.CROPS, 16, generator=draw)
    marked = plain.clone()
    marked[..., 7] += 2 + 0.01 * torch.randn(marked.shape[:-1], generator=draw)
    weight = torch.randn(1000, 16, generator=draw) * 0.3
    weight[watermark.CARTON] = 0.0
    weight[watermark.CARTON, 7] = 3.0
    count = watermark.CROPS
    probes = Probes(
        torch.cat([plain, marked], 1).flatten(0, 2),
        (torch.arange(8 * count) // count) % 2,
        None,
        weight,
        torch.zeros(1000),
        units=(torch.arange(8 * count) // (2 * count)).tolist(),
    )
    return watermark.Watermarked(probes, ("a", "b", "c", "d"))


def test_the_watermark_is_undone_by_its_weight():
    rows, photos, words = watermark.measure_watermark(fake_photos())
    found = {row["method"]: row for row in rows}
    assert found["unedited"]["gap"] == pytest.approx(6, abs=0.1)
    assert abs(found["one_weight"]["gap"]) < 0.2 and "feature 7" in words
    assert found["bias_only"]["gap"] == pytest.approx(found["unedited"]["gap"], abs=1e-4)
    assert all(row["others_changed"] == 0 and row["photos"] == 2 for row in rows)
    assert {row["photo"] for row in photos} == {"b", "d"}


def test_other_halves_of_the_photos_undo_it_too():
    data = fake_photos()
    splits = watermark.other_splits(data)
    assert splits["below"] == splits["splits"] == watermark.SPLITS and splits["features"] == 1
    assert splits["median"] <= splits["largest"] < 0.1
    rows, *_ = watermark.measure_watermark(data)
    found = targets.watermark_targets(rows, splits)
    assert [target.met for target in found[:2]] == [True, True]
