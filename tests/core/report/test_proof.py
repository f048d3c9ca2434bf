"""What an edit file says of itself, and what is said of it on other pictures."""

from dataclasses import replace

import pytest
import torch

from detour.edit.record import Change, edit_of, new_stack
from detour.judge.compare import compare
from detour.report.proof import LONGEST, applied_text, described, described_removal
from detour.report.sentences import claim, percent


def test_an_edit_says_what_it_does_and_on_what_that_was_shown(neutralized):
    done = described(neutralized["worst_group"], "mark")
    edit = done.edit
    assert edit.meaning.startswith("Takes 'mark' out of the decision for class 'high': ")
    assert f"{len(edit.cells)} numbers of the last layer, found by worst_group" in edit.meaning
    assert f"on {sum(done.after.counts)} pictures in 4 groups that did not choose it" in edit.proof
    assert f"{percent(done.before.worst)} -> {percent(done.after.worst)}" in edit.proof
    assert edit.proof.endswith(claim(done.gain, done.after))
    told = {name: described(one, "mark").edit.proof for name, one in neutralized.items()}
    assert "each judged by an edit that was chosen without it" in told["few"]
    assert "groups that chose it" in told["half"] and "No improvement is claimed" in told["half"]
    assert "How pictures of the class are recognised was not measured." in told["bare"]
    assert replace(edit, meaning="", proof="") == neutralized["worst_group"].edit


def test_a_removal_says_so_too(without_class):
    edit = described_removal(without_class["ten"]).edit
    assert edit.meaning.startswith("Takes class 'class 9' out of what is predicted: 1 number")
    assert "pictures that did not choose it: predicted on" in edit.proof


@pytest.mark.parametrize(("good", "told"), [(True, "points better"), (False, "No improvement")])
def test_only_an_improvement_is_called_one(probes_of, neutralized, good, told):
    probes = probes_of(800, seed=7)
    stack = neutralized["worst_group"].stack
    if not good:  # an edit of noise: whatever its file claims, these pictures do not show it
        change = Change(1, ((3, 0.05),))
        edit = edit_of(change, probes.head, meaning="Mends all", proof="100 points better")
        stack = new_stack(probes.head).push(edit)
    stack = replace(stack, shape=probes.head.shape, sha256=probes.head.sha256)
    edits = replace(stack, edits=tuple(_moved(e, probes.head) for e in stack.edits))
    done = compare(probes, edits, (probes, new_stack(probes.head)))
    text = applied_text(edits, probes.head.sha256, done)
    assert told in text.split("Here, on these probes:")[1]
    assert ("That holds only if these probes had no say" in text) == good


def _moved(edit, head):
    """The edit with this head's numbers as its old ones."""
    cells = tuple(
        replace(
            cell,
            old=float(
                head.bias[cell.row] if cell.column is None else head.weight[cell.row, cell.column]
            ),
        )
        for cell in edit.cells
    )
    return replace(edit, cells=cells)


def test_the_degree_that_edits_have_now_is_said(neutralized):
    edits = neutralized["worst_group"].stack
    sha256 = edits.sha256
    assert "Here: " not in applied_text(edits, sha256, None)
    assert "Here: at degree 0.5." in applied_text(edits, sha256, None, 0.5)
    assert "Here: at degree 0, which changes nothing." in applied_text(edits, sha256, None, 0.0)
    assert applied_text(edits.undo(), sha256, None).startswith("There are no edits in it")


def test_texts_of_files_are_bounded_and_missing_ones_said(probes_of):
    head = probes_of(80).head
    edit = edit_of(Change(1, ((3, 0.05),)), head, meaning="x\n" * 10**5)
    stack = new_stack(head).push(*[edit] * 100)
    text = applied_text(stack, "another", None)
    assert len(text) < 30 * LONGEST and "and 80 more edits" in text
    assert "does not say on what it was proved" in text and "another precision" in text
    assert torch.equal(head.weight, probes_of(80).head.weight)
