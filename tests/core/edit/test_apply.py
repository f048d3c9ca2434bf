"""Edits on a head: which numbers they give, and which heads and probes are refused."""

import dataclasses

import pytest
import torch

from detour.classifier.head import Head
from detour.edit.apply import (
    apply_edits,
    changed_logits,
    combined,
    correct,
    edited_logits,
    effective_cells,
    predictions,
    stack_logits,
    with_edits,
)
from detour.edit.record import Cell, Change, Edit, EditStack, edit_of, new_stack
from detour.probes.features import Probes

LOGITS_ONLY = "logits only"


@pytest.fixture
def probes(headed):
    return headed(2)


@pytest.fixture
def bare(probes):
    """The same probes, of a head that nobody has."""
    return Probes(probes.features, probes.a, probes.y, logits=probes.z)


def stack_of(probes, *changes, degree=1.0):
    edits = (edit_of(change, probes.head, degree=degree) for change in changes)
    return new_stack(probes.head).push(*edits)


CHANGE = Change(1, ((1, 0.8), (3, -0.1)), 0.25)


def test_logits_of_a_head_that_is_the_same_are_the_probes_own(probes):
    assert edited_logits(probes, probes.head) is probes.z
    assert edited_logits(probes, Head(probes.weight, None)) is probes.z


@pytest.mark.parametrize("row", [0, 1])
def test_only_rows_that_changed_are_computed_anew(probes, row):
    """The others keep their bits, which are not those of the head here."""
    off = dataclasses.replace(probes, weight=None, bias=None, logits=probes.z + 2)
    for name in ("weight", "bias"):
        object.__setattr__(off, name, getattr(probes, name))
    weight, bias = probes.weight.clone(), probes.bias.clone()
    weight[row, 1] += 1
    for change in ((weight, probes.bias), (probes.weight, bias + torch.eye(2)[row])):
        z = edited_logits(off, Head(*change))
        assert torch.equal(z[:, 1 - row], off.z[:, 1 - row])
        expected = probes.features @ change[0][row] + change[1][row]
        assert torch.allclose(z[:, row], expected, atol=1e-5)


def test_a_head_without_a_bias_stays_without(probes):
    flat = Probes(probes.features, probes.a, probes.y, probes.weight)
    z = stack_logits(flat, stack_of(flat, Change(1, ((1, 0.8),))))
    assert torch.allclose(z[:, 1], flat.z[:, 1] - 0.8 * flat.features[:, 1], atol=1e-5)
    assert torch.equal(z[:, 0], flat.z[:, 0])


def test_a_change_of_logits_alone_is_the_formula(bare):
    moved = bare.z[:, 1].double()
    for column, t in CHANGE.weights:
        moved -= t * bare.features[:, column].double()
    z, kept = changed_logits(bare, CHANGE), bare.z.clone()
    assert torch.allclose(z[:, 1], moved + 0.25, atol=1e-12)
    assert torch.equal(z[:, 0], bare.z[:, 0].double())
    assert torch.equal(bare.z, kept)


def test_a_change_of_a_head_is_the_edit_that_is_recorded(probes):
    z = changed_logits(probes, CHANGE)
    assert torch.equal(z, stack_logits(probes, stack_of(probes, CHANGE)))
    bare = Probes(probes.features, probes.a, probes.y, logits=probes.z)
    assert torch.allclose(z.double(), changed_logits(bare, CHANGE), atol=1e-5)


def test_logits_in_float64_are_not_written_to(probes):
    exact = Probes(probes.features, probes.a, probes.y, logits=probes.z.double())
    kept = exact.z.clone()
    changed_logits(exact, CHANGE)
    assert torch.equal(exact.z, kept)


def test_probes_without_a_head_are_refused_where_it_is_needed(probes, bare):
    stack = stack_of(probes, CHANGE)
    for refused in (
        lambda: edited_logits(bare, Head(probes.weight, None)),
        lambda: stack_logits(bare, stack),
        lambda: with_edits(bare, stack),
    ):
        with pytest.raises(ValueError, match=LOGITS_ONLY):
            refused()


def test_probes_with_edits_see_the_edited_head(probes):
    stack = stack_of(probes, CHANGE)
    edited = with_edits(probes, stack)
    head = apply_edits(stack, probes.head)
    assert torch.equal(edited.weight, head.weight) and torch.equal(edited.bias, head.bias)
    assert torch.equal(head.bias, probes.bias + torch.tensor([0.0, 0.25]))
    assert torch.allclose(edited.z, stack_logits(probes, stack), atol=1e-5)
    assert with_edits(probes, stack_of(probes)) is probes


def test_which_are_right_is_the_predictions_against_the_classes(probes):
    assert torch.equal(correct(probes, probes.z), probes.z.argmax(dim=1) == probes.y)
    tagged = dataclasses.replace(probes, threshold=0.5, tag=1)
    assert torch.equal(predictions(tagged, probes.z), (probes.z[:, 1] > 0).long())
    z = torch.tensor([[0.0, 5.0, 5.0]]).expand(len(probes), 3)
    assert predictions(probes, z).tolist() == [1] * len(probes), "the lower index wins a tie"
    assert predictions(tagged, torch.zeros(1, 2)).tolist() == [0], "a tie is not the tag"


def test_a_saved_stack_goes_on_top_with_its_degrees_scaled(probes):
    head = probes.head
    base, other = stack_of(probes, Change(0, ((2, 0.5),))), stack_of(probes, CHANGE, degree=0.5)
    both = combined(base, other, head, degree=0.5)
    assert [edit.degree for edit in both.edits] == [1.0, 0.25]
    assert both.edits[0] == base.edits[0] and both.edits[1].cells == other.edits[0].cells
    assert combined(base, other, head).edits[1:] == other.edits
    off = apply_edits(combined(stack_of(probes), other, head, degree=0.0), head)
    assert torch.equal(off.weight, head.weight) and torch.equal(off.bias, head.bias)


def test_what_cannot_be_combined_is_refused(probes):
    head = probes.head
    stack = stack_of(probes, Change(0, ((2, 0.5),)), CHANGE)
    with pytest.raises(ValueError, match=r"^Edit 2 \(class 1\) is on this"):
        combined(stack_of(probes, CHANGE), stack, head)
    for degree in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite number"):
            combined(stack, stack_of(probes), head, degree=degree)
    with pytest.raises(ValueError, match="another model"):
        combined(stack_of(probes), stack, Head(head.weight + 1, head.bias))
    with pytest.raises(ValueError, match="Lower the degree"):
        combined(stack_of(probes), stack, head, degree=1e300)
    empty = new_stack(head).push(Edit(()))
    assert len(combined(empty, empty, head).edits) == 2, "edits of nothing do not act twice"


@pytest.mark.parametrize("degree", [1.0, 0.5, -2.0])
def test_an_edited_cell_is_the_formula_and_at_1_the_number_itself(degree):
    """0.1 + (0.3 - 0.1) is not 0.3 in float64."""
    cell = Cell(0, 1, 0.1, 0.3)
    plain = new_stack(Head(torch.zeros(2, 2)))
    stack = dataclasses.replace(plain, edits=(Edit((cell,), degree),))
    expected = 0.3 if degree == 1 else float(torch.tensor(0.1 + degree * (0.3 - 0.1)))
    assert effective_cells(stack) == {(0, 1): expected}


def test_edits_of_one_cell_count_from_the_unedited_number():
    one, two = Edit((Cell(0, 1, 1.0, 3.0),)), Edit((Cell(0, 1, 1.0, 7.0),), 0.5)
    off = Edit((Cell(0, 0, 1.0, 9.0),), 0.0)
    stack = dataclasses.replace(new_stack(Head(torch.ones(2, 2), None)), edits=(one, two, off))
    assert effective_cells(stack) == {(0, 1): 1 + 2 + 3}
    head = apply_edits(stack, Head(torch.ones(2, 2), None))
    assert head.weight.tolist() == [[1.0, 6.0], [1.0, 1.0]] and head.bias is None


def test_a_shift_of_a_head_without_a_bias_is_refused():
    stack = new_stack(Head(torch.ones(2, 2), None)).push(Edit((Cell(0, None, 0.0, 1.0),)))
    with pytest.raises(ValueError, match="shift a bias, but this head has none"):
        apply_edits(stack, Head(torch.ones(2, 2), None))


def test_old_numbers_that_are_not_the_heads_are_refused(probes):
    head = probes.head
    for column in (1, None):
        forged = new_stack(head).push(Edit((Cell(0, column, 123.0, 4.0),)))
        with pytest.raises(ValueError, match=f"column {column} was 123.0"):
            apply_edits(forged, head)


def test_a_hash_that_cannot_be_seen_is_written_out(probes):
    with pytest.raises(ValueError, match=r"with hash \\u202e,"):
        apply_edits(EditStack(probes.head.shape, "\u202e"), probes.head)


def test_another_head_is_refused_by_shape_and_by_hash(probes):
    stack = stack_of(probes, CHANGE)
    with pytest.raises(ValueError, match="another model"):
        apply_edits(stack, Head(probes.weight, probes.bias + 1))
    other_shape = dataclasses.replace(stack, shape=(2, 11))
    with pytest.raises(ValueError, match=r"shape \[2, 11\]"):
        apply_edits(other_shape, probes.head)
