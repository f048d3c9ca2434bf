"""Reports say what the library found, in words and as numbers."""

import json
from dataclasses import replace

import pytest
import torch

from detour.edit.apply import apply_edits, effective_cells
from detour.edit.file import to_json
from detour.judge.compare import compare
from detour.probes.features import Probes
from detour.report.edit import (
    BIAS_ONLY,
    CURVE_SEEN,
    NO_CLASSES,
    OUT_OF_FOLD,
    SAME,
    SEEN,
    UNSEEN,
    edit_numbers,
    edit_text,
)
from detour.report.groups import group_numbers, group_text
from detour.report.proof import described
from detour.report.removal import ONLY_PREDICTIONS, removal_numbers, removal_text
from detour.report.sentences import HEADS, LEARNED, RUNG_NAMES, percent, small_groups
from detour.search.neutralize import neutralize
from detour.search.remove_class import remove_class
from detour.search.settings import RemovalSearch, Search

CASES = ("worst_group", "evidence", "paired", "few", "half", "bare")


@pytest.mark.parametrize("case", CASES)
def test_text_names_every_edited_number_and_its_class(neutralized, case):
    done = neutralized[case]
    text = edit_text(done, "mark")
    assert f"class {done.edit.class_index} 'high'" in text
    assert f"by {done.edit.method}, degree {done.edit.degree:g}" in text
    for (_, column), value in effective_cells(done.stack).items():
        what = "bias" if column is None else f"weight of feature {column}"
        assert any(what in line and f"-> {value:.6g}" in line for line in text.splitlines())


@pytest.mark.parametrize("case", [case for case in CASES if case != "bare"])
def test_text_carries_groups_ladder_and_collateral(neutralized, case):
    done = neutralized[case]
    lines = edit_text(done).splitlines()
    for g, name in enumerate(done.after.names):
        line = next(line for line in lines if line.strip().startswith(name))
        assert f"{percent(done.before.accuracy[g])} -> {percent(done.after.accuracy[g])}" in line
        assert f"n {done.after.counts[g]}" in line
        assert ("worst group" in line) == (g == done.after.worst_group)
    worst = f"Worst-group accuracy: {percent(done.before.worst)} -> {percent(done.after.worst)}"
    assert any(line.startswith(worst) for line in lines)
    assert any(line.startswith(f"Collateral: {percent(done.collateral)}") for line in lines)
    for rung in done.ladder.rungs:
        line = next(line for line in lines if line.startswith(f"  {RUNG_NAMES[rung.name]}  "))
        assert f"{percent(rung.report.worst)}, {percent(rung.report.mean)}" in line
        own = done.edit.method == "worst_group"
        marked = own and rung.name == done.ladder.chosen
        assert ("<- this edit" in line) == marked
        # The ladder's figures are those of the whole edit, whatever its degree.
        assert line.endswith("<- this edit at degree 1") == (marked and done.edit.degree != 1)
    assert sum("<- this edit" in line for line in lines) == 1


def test_who_was_measured_is_said(neutralized):
    for case in ("worst_group", "evidence", "paired", "bare"):
        assert f"- {UNSEEN}" in edit_text(neutralized[case])
    assert f"- {OUT_OF_FOLD}" in edit_text(neutralized["few"])
    learned = replace(neutralized["worst_group"], learned=True)
    assert f"- {LEARNED}" in edit_text(learned) and UNSEEN not in edit_text(learned)
    assert not edit_numbers(learned)["unseen"] and edit_numbers(neutralized["few"])["unseen"]
    assert f"- {SEEN}" in edit_text(neutralized["half"])
    assert UNSEEN not in edit_text(neutralized["half"])
    assert CURVE_SEEN in edit_text(neutralized["few"])
    assert CURVE_SEEN not in edit_text(neutralized["worst_group"])
    assert "probes to report on" in edit_text(neutralized["few"])
    for note in neutralized["few"].notes:
        assert note in edit_text(neutralized["few"])


def test_paired_says_what_the_feature_added(neutralized):
    before, after = neutralized["bare"].gap
    assert f"'hat' moves the score of the class by {before:+.2f} before and {after:+.2f}" in (
        edit_text(neutralized["bare"], "hat")
    )
    assert "Groups" not in edit_text(neutralized["bare"])


def test_paired_says_where_the_class_stands_beside_its_rival(neutralized):
    done = neutralized["places"]
    text = edit_text(done, "hat")
    for one, name in zip(done.standings, HEADS.values(), strict=True):
        line = next(line for line in text.splitlines() if line.startswith(f"  {name} "))
        assert f"{one.place[0]:g} -> {one.place[1]:g}, first on {percent(one.first[0])}" in line
        assert f"{one.gap:+.2f} ({one.low:+.2f} to {one.high:+.2f}" in line
    assert f"Collateral: {percent(done.collateral)}" in text
    assert BIAS_ONLY in text and NO_CLASSES in text
    assert BIAS_ONLY not in edit_text(neutralized["bare"])
    numbers = json.loads(json.dumps(edit_numbers(done), allow_nan=False))
    assert [one["gap"] for one in numbers["standings"]] == [one.gap for one in done.standings]
    assert numbers["collateral"] == done.collateral


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_the_librarys_own_and_plain_json(neutralized, case):
    done = neutralized[case]
    numbers = json.loads(json.dumps(edit_numbers(done), allow_nan=False))
    assert numbers["edits"] == json.loads(json.dumps(to_json(done.stack)))
    assert [cell["to"] for cell in numbers["values"]] == list(effective_cells(done.stack).values())
    if done.after is None:
        assert numbers["after"] is numbers["before"] is numbers["ladder"] is None
        return
    assert numbers["after"] == done.after.as_dict()
    assert numbers["before"] == done.before.as_dict()
    assert [p["worst_group_accuracy"] for p in numbers["curve"]] == [
        done.curve.metrics(step / 10).worst for step in range(21)
    ]
    for written, rung in zip(numbers["ladder"]["rungs"], done.ladder.rungs, strict=True):
        assert written["report"] == rung.report.as_dict()
        assert [(w["column"], w["t"]) for w in written["weights"]] == list(rung.change.weights)
    assert numbers["unseen"] == (case != "half")


def test_from_counts_the_edits_below(probes_of, empty_stack):
    probes = probes_of(c=3)
    first = neutralize(probes, Search(target_class=2, size="one_weight"))
    ((place, value),) = effective_cells(first.stack).items()
    again = first.stack.push(first.edit)
    second = neutralize(probes, Search(target_class=2, size="one_weight"), again)
    head = apply_edits(again, probes.head).weight
    for cell in edit_numbers(second)["values"]:
        assert cell["from"] == float(head[cell["row"], cell["column"]])
    assert value == float(apply_edits(first.stack, probes.head).weight[place])


def test_no_edit_is_said_so(empty_stack):
    features = torch.eye(4).repeat(50, 1)
    weight = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    right = Probes(features, torch.arange(200) % 2, (torch.arange(200) % 4) // 2, weight)
    done = neutralize(right, Search())
    assert not done.edit.cells
    text = edit_text(done)
    assert text.startswith("No number was edited") and f"- {SAME}" in text
    assert CURVE_SEEN not in text and OUT_OF_FOLD not in text
    assert edit_numbers(done)["values"] == []
    meaning = described(done, "mark").edit.meaning
    assert meaning.startswith("Changes nothing") and "Takes" not in meaning


def test_the_numbers_of_no_edit_are_those_of_the_head_as_it_is(probes_of):
    """Where each probe was judged by an edit that a fold found, none was found on all."""
    for seed in range(40):
        draw = torch.Generator().manual_seed(seed)
        features = torch.randn(16, 2, generator=draw).relu()
        weight, bias = torch.randn(2, 2, generator=draw), torch.zeros(2)
        each = torch.arange(16)
        probes = Probes(features, each // 2 % 2, each % 2, weight=weight, bias=bias)
        done = neutralize(probes, Search(size="one_weight"))
        if not done.edit.cells and not torch.equal(done.ladder.judged, probes.z.argmax(1)):
            break
    assert not done.edit.cells
    assert done.before == done.after and done.collateral == 0
    assert f"- {SAME}" in edit_text(done)


def test_at_degree_0_nothing_is_said_to_be_edited(neutralized):
    """As where `evidence` finds no degree that is better than none."""
    done = neutralized["evidence"]
    none = replace(done, stack=done.stack.with_degree(0.0))
    assert edit_text(none).startswith("Nothing is changed by an edit at degree 0")
    assert "of the last layer edited" in edit_text(done)


@pytest.mark.parametrize(("several", "what"), [(False, "1 probe "), (True, "1 photo or seed ")])
def test_one_is_not_called_several(neutralized, several, what):
    after = neutralized["few"].after
    units = (1, *after.units[1:])
    counts = after.counts if several else (1, *after.counts[1:])
    told = small_groups(replace(after, units=units, counts=counts))
    assert f"has {what}to report on" in told[-1]


def test_groups_are_compared(probes_of, empty_stack, neutralized):
    probes, stack = probes_of(), neutralized["worst_group"].stack
    done = compare(probes, stack, part="report")
    text = group_text(done)
    assert f"{percent(done.before.worst)} -> {percent(done.after.worst)}" in text
    assert group_numbers(done)["after"] == done.after.as_dict()
    alone = compare(probes, empty_stack(probes))
    assert "->" not in group_text(alone).replace("<- worst group", "")
    assert group_numbers(alone)["before"] is None


def test_removal_says_what_it_is_not(without_class):
    done = without_class["ten"]
    text = removal_text(done)
    assert ONLY_PREDICTIONS in text
    assert f"predicted {done.chosen_before} times before, 0 after" in text
    assert f"a bias shift alone: {percent(done.unseen_bias / done.sizes[2])}" in text
    for rate in done.rates:
        shares = f"{percent(rate.before / rate.count)} -> {percent(rate.after / rate.count)}"
        assert f"{rate.name}: {shares}" in text
    numbers = json.loads(json.dumps(removal_numbers(done), allow_nan=False))
    assert numbers["report"]["after"] == done.unseen_after
    assert [c["after"] for c in numbers["classes"]] == [rate.after for rate in done.rates]


def test_at_another_degree_the_rival_is_said_to_be_at_1(probes_of, empty_stack):
    probes = probes_of()
    text = removal_text(remove_class(probes, RemovalSearch(1, degree=0.0)))
    assert text.startswith("Removal of class 'high' at degree 0.")
    half = removal_text(remove_class(probes, RemovalSearch(1, size="bias_only", degree=0.5)))
    assert "At degree 1 a bias shift always works" in half
    assert "(a bias shift alone, at degree 1: " in text
    assert "(a bias shift alone: " in removal_text(remove_class(probes, RemovalSearch(1)))


def test_few_probes_with_a_report_part_of_their_own_are_not_called_flattering(
    probes_of, empty_stack
):
    probes = probes_of(160, split=[0, 0, 1, 2] * 40)
    done = neutralize(probes, Search(degree=0.5))
    assert done.ladder.crossfit
    text = edit_text(done)
    assert UNSEEN in text and SEEN not in text and CURVE_SEEN not in text
    assert "probes chosen on" not in text
    assert f"on the {done.ladder.sizes[0]} probes that choose; reported on 40 others" in text
    assert edit_numbers(done)["unseen"]
    report = group_text(compare(probes, done.stack, part="report"))
    assert "flatter" not in report


def test_an_impossible_removal_says_how_many_remain_and_what_to_do(without_class):
    done = without_class["stuck"]
    assert not done.found.feasible and done.chosen_after == done.found.remaining > 0
    text = removal_text(done)
    assert f"{done.found.remaining} of {done.found.predicted} probes" in text
    assert "Choose the edit one_weight_bias" in text
    for size in ("with_bias", "bias_only"):
        assert without_class[size].chosen_after == 0
        assert "Choose the edit" not in removal_text(without_class[size])
