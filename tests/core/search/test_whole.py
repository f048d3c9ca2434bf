"""What the nodes call: the ladder beside every method, removal with its parts, stacks combined."""

import hashlib
import math
from dataclasses import replace

import pytest
import torch

from detour.classifier.head import HALVES, Head
from detour.edit.apply import apply_edits, combined, correct, predictions, stack_logits
from detour.edit.record import new_stack
from detour.judge.compare import compare
from detour.judge.groups import group_metrics, wilson
from detour.probes.features import Probes
from detour.probes.parts import split_parts
from detour.report.edit import edit_text
from detour.report.groups import group_text
from detour.search.ladder import build_ladder
from detour.search.neutralize import neutralize
from detour.search.remove_class import remove_class
from detour.search.settings import METHODS, RemovalSearch, Search


def unedited(probes):
    return new_stack(probes.head)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "mistakes"])
def test_a_search_hashes_its_head_once_in_each_precision(headed, monkeypatch, method):
    hashed, own = [], hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda: hashed.append(1) or own())
    probes = headed(0, n=100, d=4, units=[i // 4 for i in range(100)])
    search = Search(method=method, max_weights=1)
    first = neutralize(probes, search)
    assert len(hashed) == 1 + len(HALVES)
    neutralize(probes, search, first.stack)
    remove_class(probes, RemovalSearch(1), first.stack)
    compare(probes, first.stack)
    assert len(hashed) == 1 + len(HALVES)


def test_degree_multiplies_what_evidence_found(headed):
    probes, search = headed(0, n=1000, d=6), Search(method="evidence", max_weights=1)
    best = neutralize(probes, search).edit.degree
    for degree in (0.0, -0.5):
        done = neutralize(probes, replace(search, degree=degree))
        assert done.edit.degree == best * degree
        assert done.found_degree == done.unit == best
        assert "is the best on the validation part" in edit_text(done)
    plain = neutralize(probes, replace(search, degree=0.5, auto_degree=False))
    assert plain.edit.degree == 0.5


def test_without_a_validation_part_no_degree_is_called_the_best_there(headed):
    probes = headed(0, n=400, d=6, split=[0] * 200 + [2] * 200)
    for degree in (1.0, 0.5):
        done = neutralize(probes, Search(method="evidence", degree=degree, max_weights=1))
        assert done.edit.degree == degree
        assert done.found_degree is None
        assert "no validation part" in edit_text(done)


def test_closed_forms_have_the_ladder_of_the_search_beside_them(headed):
    probes = headed(0, n=1000, d=6)
    done = neutralize(probes, Search(method="evidence"))
    ladder = build_ladder(probes, Search())
    assert [rung.report for rung in done.ladder.rungs] == [rung.report for rung in ladder.rungs]
    assert done.ladder.chosen == ladder.chosen and done.edit.method == "evidence"


def test_where_the_search_cannot_be_done_a_note_says_why(headed):
    probes = headed(0, n=200, d=6, units=[i // 4 for i in range(200)])
    one = (probes.y == 1).nonzero().flatten()
    units = probes.unit_numbers[one]
    alone = Probes(
        probes.features[one], probes.a[one], probes.y[one], probes.weight, probes.bias, units=units
    )
    done = neutralize(alone, Search(method="paired"))
    assert done.ladder is None
    assert "only class 1" in done.no_ladder
    assert f"No ladder beside this edit. {done.no_ladder}" in edit_text(done)
    bare = Probes(alone.features, alone.a, None, alone.weight, alone.bias, units=units)
    silent = neutralize(bare, Search(method="paired", size="one_weight"))
    assert silent.ladder is None and not silent.no_ladder


def test_progress_rises_and_cancels(headed):
    probes, seen = headed(0, n=1000, d=6), []
    neutralize(probes, Search(method="evidence"), progress=seen.append)
    assert seen == sorted(seen) and 0 < seen[0] and seen[-1] <= 1

    class Stop(Exception):
        pass

    def stop(_share):
        raise Stop

    with pytest.raises(Stop):
        neutralize(probes, Search(), progress=stop)
    with pytest.raises(Stop):
        remove_class(probes, RemovalSearch(1), progress=stop)


@pytest.mark.parametrize("degree", [0.0, 1.0])
@pytest.mark.parametrize("edit", ["one_weight", "one_weight_bias", "bias_only"])
def test_removal_counts_are_those_of_the_edited_head(headed, edit, degree):
    probes = headed(0, n=600, d=8, c=5)
    done = remove_class(probes, RemovalSearch(4, size=edit, degree=degree))
    parts = split_parts(probes)
    found = predictions(probes, stack_logits(probes, done.stack))
    assert done.sizes == tuple(len(part) for part in (parts.choose, parts.validate, parts.report))
    assert done.chosen_after == int((found[parts.choose] == 4).sum())
    assert done.unseen_after == int((found[parts.report] == 4).sum())
    for rate in done.rates:
        own = parts.report[probes.y[parts.report] == rate.index]
        assert (rate.count, rate.after) == (len(own), int((found[own] == rate.index).sum()))
    assert done.edit.degree == degree and done.edit.class_index == 4
    if degree == 0:
        assert done.unseen_after == done.unseen_before
    elif edit == "bias_only":
        assert done.chosen_after == 0
        assert done.unseen_after == done.unseen_bias
    low, high = done.interval
    assert low <= done.unseen_after / done.sizes[2] <= high


def test_the_intervals_of_a_removal_go_by_unit(headed):
    probes = headed(0, n=600, d=8, c=5, units=[number // 10 for number in range(600)])
    done = remove_class(probes, RemovalSearch(4))
    assert done.units == done.sizes[2] // 10
    assert done.interval == wilson(done.unseen_after / done.sizes[2] * done.units, done.units)
    for rate in done.rates:
        assert rate.units < rate.count
        assert rate.interval == wilson(rate.after / rate.count * rate.units, rate.units)


def test_removal_goes_on_top_of_other_edits(headed):
    probes = headed(0, n=600, d=8, c=3)
    first = remove_class(probes, RemovalSearch(2))
    second = remove_class(probes, RemovalSearch(1), first.stack)
    assert second.stack.undo() == first.stack
    assert second.chosen_before == int(
        (
            predictions(probes, stack_logits(probes, first.stack))[split_parts(probes).choose] == 1
        ).sum()
    )


def test_removal_refuses(headed):
    probes = headed(0, n=40, d=4)
    with pytest.raises(ValueError, match="edit is 'k_weights_bias'"):
        remove_class(probes, RemovalSearch(1, size="k_weights_bias"))
    with pytest.raises(ValueError, match="The target class is 2"):
        remove_class(probes, RemovalSearch(2))
    split = headed(0, n=40, d=4, split=[0] * 40)
    with pytest.raises(ValueError, match="No probes are left to report on"):
        remove_class(split, RemovalSearch(1))


def test_a_class_that_is_never_predicted_needs_no_edit(headed):
    probes = headed(0, n=100, d=4, c=3)
    bias = probes.bias.clone()
    bias[1] = -100
    never = replace(probes, bias=bias)
    done = remove_class(never, RemovalSearch(1, size="bias_only"))
    assert not done.edit.cells and "nothing was edited" in done.notes[0]


def test_combined_stacks_scale_and_keep_what_was_there(headed):
    probes = headed(0, n=600, d=8, c=3)
    first, other = (remove_class(probes, RemovalSearch(row)).stack for row in (2, 1))
    both = combined(first, other, probes.head, 0.5)
    assert both.edits[:1] == first.edits and both.edits[1].degree == 0.5
    off = combined(first, other, probes.head, 0.0)
    one, two = (apply_edits(stack, probes.head) for stack in (off, first))
    assert torch.equal(one.weight, two.weight) and torch.equal(one.bias, two.bias)
    with pytest.raises(ValueError, match="already"):
        combined(both, other, probes.head)
    with pytest.raises(ValueError, match="The degree is inf"):
        combined(first, other, probes.head, math.inf)
    with pytest.raises(ValueError, match="another model"):
        combined(first, other, Head(probes.weight + 1, probes.bias))


def test_groups_compared_on_the_report_part(headed):
    probes = headed(0, n=1000, d=4)
    done = neutralize(probes, Search(size="one_weight_bias"))
    found = compare(probes, done.stack, part="report")
    assert (found.before, found.after, found.gain) == (done.before, done.after, done.gain)
    assert found.unseen and found.gain.verdict == "improved"
    everything = compare(probes, done.stack)
    right = correct(probes, stack_logits(probes, done.stack))
    assert everything.after == group_metrics(probes, right)
    assert any("flatter" in note for note in everything.notes)
    assert not everything.unseen
    alone = compare(probes, unedited(probes))
    assert alone.before is None and alone.gain is None and alone.unseen
    back = compare(probes, unedited(probes), (probes, done.stack))
    assert back.gain.verdict == "worse" and not back.unseen
    same = compare(probes, done.stack, (probes, done.stack), "report")
    assert "the worst group is as right as it was" in group_text(same)


def test_comparison_refuses_other_groups(headed):
    probes, other = headed(0, n=60, d=4), headed(0, n=60, d=4, c=3)
    with pytest.raises(ValueError, match="6 against 4"):
        compare(probes, unedited(probes), (other, unedited(other)))
    with pytest.raises(ValueError, match="part is 'half'"):
        compare(probes, unedited(probes), part="half")


def test_with_two_classes_the_gap_is_that_of_the_margin(headed):
    """Only the difference of two logits counts, and it is what `paired` closes."""
    probes = headed(0, n=400, d=6, units=[i // 4 for i in range(400)])
    done = neutralize(probes, Search(method="paired", size="one_weight"))
    parts = split_parts(probes)
    after = stack_logits(probes, done.stack)
    for found, z in zip(done.gap, (probes.z, after), strict=True):
        rise = (z[:, 1] - z[:, 0])[parts.report]
        with_it = rise[probes.a[parts.report] == 1].mean()
        without = rise[probes.a[parts.report] == 0].mean()
        assert found == pytest.approx(float(with_it - without), abs=1e-5)
    assert abs(done.gap[1]) < 0.1 * abs(done.gap[0])
