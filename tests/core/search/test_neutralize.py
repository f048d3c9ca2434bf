"""From probes to a finished edit."""

from dataclasses import replace

import pytest
import torch

from detour.edit.apply import apply_edits, correct, stack_logits, with_edits
from detour.edit.file import load_edits, save_edits
from detour.judge.degree import degree_curve
from detour.judge.gap import shortcut_gap
from detour.judge.groups import group_metrics
from detour.probes.features import Probes
from detour.probes.parts import split_parts
from detour.report.edit import edit_text
from detour.search.neutralize import neutralize
from detour.search.settings import Search


def test_worst_group_is_recorded_measured_and_saved(headed, tmp_path):
    probes = headed(0, n=1000, d=8, class_names=["low", "high"])
    done = neutralize(probes, Search())
    assert done.ladder is not None and done.edit.degree == 1
    assert done.edit.class_name == "high" and done.edit.method == "worst_group"
    assert done.after.worst > done.before.worst + 0.1
    assert done.after == done.ladder.edit.report
    assert done.edit.metrics_after == done.after.as_dict()
    assert done.curve.metrics(0) == done.before and done.curve.metrics(1) == done.after
    assert 0 <= done.collateral <= 1
    again = load_edits(save_edits(done.stack, tmp_path / "x.edit.json"))
    mine, theirs = (apply_edits(stack, probes.head) for stack in (done.stack, again))
    assert torch.equal(mine.weight, theirs.weight) and torch.equal(mine.bias, theirs.bias)


def test_a_second_edit_goes_on_top_of_the_first(headed):
    probes = headed(0, n=1200, d=6, c=3)
    first = neutralize(probes, Search(target_class=2, size="one_weight"))
    second = neutralize(probes, Search(target_class=1, size="one_weight"), first.stack)
    assert len(second.stack.edits) == 2 and second.stack.undo() == first.stack
    now = with_edits(probes, first.stack)
    rows = second.ladder.report_rows
    assert second.before == group_metrics(now, correct(now, now.z), rows)
    expected = correct(probes, stack_logits(probes, second.stack))
    assert second.after == group_metrics(probes, expected, rows)


def test_cross_fitted_figures_are_held_out(headed):
    probes = headed(0, n=100, d=6)
    done = neutralize(probes, Search())
    assert done.ladder.crossfit and done.after == done.ladder.edit.validate
    half = neutralize(probes, Search(degree=0.5))
    assert half.edit.degree == 0.5
    assert "degree other than 1" in edit_text(half)


def test_evidence_takes_the_degree_that_is_best_on_validation(headed):
    probes = headed(0, n=300, d=6)
    done = neutralize(probes, Search(method="evidence", size="one_weight_bias"))
    curve = degree_curve(probes, done.stack, split_parts(probes).validate)
    assert done.edit.degree == curve.best()
    assert len(done.edit.cells) == 2
    assert (
        neutralize(probes, Search(method="evidence", degree=1.5, auto_degree=False)).edit.degree
        == 1.5
    )
    with pytest.raises(ValueError, match="worst_group"):
        neutralize(probes, Search(method="evidence", size="k_weights_bias"))


def test_paired_works_without_classes_and_reports_the_gap_on_other_photos(headed):
    base = headed(0, n=60, d=6, c=3)
    features = torch.cat([base.features, base.features])
    features[60:, 1] += 3 + 0.1 * torch.randn(60, generator=torch.Generator().manual_seed(0))
    probes = Probes(
        features, [0] * 60 + [1] * 60, None, base.weight, base.bias, units=list(range(60)) * 2
    )
    done = neutralize(probes, Search(method="paired", target_class=2))
    assert done.before is None and done.curve is None and len(done.edit.cells) == 1
    before, after = done.gap
    assert before > 1 and abs(after) < before / 10
    everything = shortcut_gap(probes, stack_logits(probes, done.stack), 2)
    assert abs(everything) < before / 10


def test_what_cannot_be_done_gets_a_sentence(headed):
    base = headed(0, n=60)
    bare = replace(base, weight=None, bias=None)
    with pytest.raises(ValueError, match="logits only"):
        neutralize(bare, Search())
    nobias = replace(base, bias=None)
    with pytest.raises(ValueError, match="no bias"):
        neutralize(nobias, Search(method="evidence", size="one_weight_bias"))
    assert neutralize(nobias, Search(method="evidence")).edit.cells[0].column is not None
