"""An edit finds its model again in another precision, and never takes another model for it."""

import json

import pytest
import torch

from detour.classifier.head import HALVES, Head
from detour.edit.apply import adopted, apply_edits, combined
from detour.edit.file import from_json, load_edits, save_edits, to_json
from detour.edit.record import Change, edit_of, new_stack

CHANGE = Change(2, ((1, 0.3), (5, -1.7)), 0.45)
PRECISIONS = tuple(HALVES.values())


@pytest.fixture
def full():
    draw = torch.Generator().manual_seed(0)
    return Head(torch.randn(4, 6, generator=draw), torch.randn(4, generator=draw))


def from_file(head, dtype):
    """The head as a file of this type gives it to the loader."""
    return Head(head.weight.to(dtype).float(), head.bias.to(dtype).float())


def stack_of(head):
    return new_stack(head, "tiny").push(edit_of(CHANGE, head))


def same(one, two):
    return torch.equal(one.weight, two.weight) and torch.equal(one.bias, two.bias)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("found_on", ["full", "half"])
def test_the_edit_of_one_precision_goes_onto_the_other(full, dtype, found_on, tmp_path):
    heads = [full, from_file(full, dtype)]
    own, other = heads if found_on == "full" else heads[::-1]
    edits = load_edits(save_edits(stack_of(own), tmp_path / "x.edit.json"))
    with pytest.raises(ValueError, match="another model"):
        apply_edits(edits, other)
    expected = Head(other.weight.clone(), other.bias.clone())
    for cell in edits.edits[0].cells:
        where = expected.bias if cell.column is None else expected.weight
        where[cell.row if cell.column is None else (cell.row, cell.column)] = cell.new
    base = new_stack(other)
    made = combined(base, edits, other)
    assert same(apply_edits(made, other), expected)
    assert same(apply_edits(combined(base, edits, other, 0.0), other), other)
    back = combined(new_stack(own), from_json(to_json(made)), own)
    assert same(apply_edits(back, own), apply_edits(edits, own))


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_file_of_an_old_release_is_read_and_found_on_the_full_model_again(full, dtype):
    half = from_file(full, dtype)
    for own, other in ((full, None), (half, full), (full, half)):
        data = json.loads(json.dumps(to_json(stack_of(own))))
        del data["head"]["sha256_rounded"], data["edits"][0]["meaning"], data["edits"][0]["proof"]
        old = from_json(data)
        assert same(apply_edits(combined(new_stack(own), old, own), own), apply_edits(old, own))
        if other is full:
            adopted(old, full)
        elif other is half:  # only the hash of the full model is known
            with pytest.raises(ValueError, match="another model"):
                adopted(old, half)


def test_two_full_models_that_round_alike_are_two(full):
    close = Head(full.weight * (1 + 2.0**-20), full.bias)
    assert close.halves["bfloat16"] == full.halves["bfloat16"] and close.sha256 != full.sha256
    with pytest.raises(ValueError, match="another model"):
        adopted(stack_of(full), close)
    with pytest.raises(ValueError, match="another model"):
        adopted(stack_of(full), Head(full.weight[:, :5], full.bias))


def test_a_damaged_number_is_seen_in_the_other_precision_too(full):
    half = from_file(full, torch.float16)
    data = to_json(stack_of(full))
    data["edits"][0]["cells"][0]["old"] += 0.5
    with pytest.raises(ValueError, match="was damaged"):
        adopted(from_json(data), half)
