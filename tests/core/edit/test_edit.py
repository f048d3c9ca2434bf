"""The edit record: bits, degrees, stacks, files."""

import json
import os
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detour.classifier.head import Head
from detour.edit.apply import apply_edits, combined
from detour.edit.file import (
    LARGEST,
    from_json,
    load_edits,
    named_edits,
    save_edits,
    save_new_edits,
    to_json,
)
from detour.edit.record import Cell, Change, Edit, edit_of, new_stack

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.fixture
def head():
    draw = torch.Generator().manual_seed(0)
    return Head(torch.randn(4, 6, generator=draw), torch.randn(4, generator=draw))


@pytest.fixture
def stack(head):
    return new_stack(head, architecture="tiny")


CHANGE = Change(2, ((1, 0.3), (5, -1.7)), 0.45)


def same(one, two):
    return torch.equal(one.weight, two.weight) and torch.equal(one.bias, two.bias)


def test_degree_1_is_exactly_new_and_touches_nothing_else(head, stack):
    kept, expected = (Head(head.weight.clone(), head.bias.clone()) for _ in range(2))
    new = apply_edits(stack.push(edit_of(CHANGE, head)), head)
    expected.weight[2, 1] = float(head.weight[2, 1]) - 0.3
    expected.weight[2, 5] = float(head.weight[2, 5]) + 1.7
    expected.bias[2] = float(head.bias[2]) + 0.45
    assert same(new, expected) and same(head, kept)


def test_an_edit_of_several_rows_goes_through_a_file(head, stack, tmp_path):
    more = Change(2, ((1, 0.3),), 0.45, (Change(0, ((1, -0.2), (3, 0.1)), -0.5),))
    made = stack.push(edit_of(more, head))
    assert more.numbers == len(made.edits[0].cells) == 5 and made.rows == more.rows[::-1] == (0, 2)
    file = tmp_path / "two rows.edit.json"
    save_edits(made, file)
    assert load_edits(file) == made
    new, expected = (
        apply_edits(load_edits(file), head),
        Head(head.weight.clone(), head.bias.clone()),
    )
    for row, column, t in ((2, 1, 0.3), (0, 1, -0.2), (0, 3, 0.1)):
        expected.weight[row, column] = float(head.weight[row, column]) - t
    expected.bias[2] = float(head.bias[2]) + 0.45
    expected.bias[0] = float(head.bias[0]) - 0.5
    assert same(new, expected) and same(apply_edits(made.with_degree(0), head), head)


@settings(max_examples=200, deadline=None)
@given(old=FLOATS, new=FLOATS)
def test_degree_1_is_new_for_any_pair_of_floats(old, new):
    head = Head(torch.tensor([[old, 0.0], [0.0, 0.0]]))
    stack = new_stack(head).push(Edit((Cell(0, 0, old, new),)))
    assert torch.equal(apply_edits(stack, head).weight[0, 0], torch.tensor(new))
    zero = apply_edits(stack.with_degree(0.0), head).weight
    assert zero.numpy().tobytes() == head.weight.numpy().tobytes()


def test_degree_0_is_bit_identical_even_for_minus_zero():
    head = Head(torch.tensor([[-0.0, 1.0], [0.0, 2.0]]))
    edit = Edit((Cell(0, 0, -0.0, 3.0),), degree=0)
    edited = apply_edits(new_stack(head).push(edit), head).weight
    assert edited.numpy().tobytes() == head.weight.numpy().tobytes()


def test_edits_stack_and_undo_exactly(head, stack):
    one = edit_of(CHANGE, head)
    two = edit_of(Change(2, ((1, -2.0),)), head, degree=0.5)
    both = stack.push(one).push(two)
    old = float(head.weight[2, 1])
    total = old + (one.cells[0].new - old) + 0.5 * (two.cells[0].new - old)
    edited = apply_edits(both, head).weight[2, 1]
    assert torch.equal(edited, torch.tensor(total, dtype=torch.float32))
    assert both.rows == (2,)
    assert both.undo() == stack.push(one)
    assert same(apply_edits(both.undo(), head), apply_edits(stack.push(one), head))
    assert same(apply_edits(both.undo().undo(), head), head)
    with pytest.raises(ValueError, match="no edit to undo"):
        stack.undo()
    with pytest.raises(ValueError, match="no edit whose degree"):
        stack.with_degree(1.0)


def test_another_model_is_refused(head, stack):
    weight, bias = head.weight, head.bias
    edited = stack.push(edit_of(CHANGE, head))
    other = weight.clone()
    other[0, 0] += 1e-6
    for wrong in ((other, bias), (weight, bias + 1), (weight, None), (weight[:, :5], bias)):
        with pytest.raises(ValueError, match="another model"):
            apply_edits(edited, Head(*wrong))


def test_the_hash_is_over_shape_weight_and_bias():
    weight = torch.arange(6.0).view(2, 3)
    assert Head(weight).sha256 != Head(weight.view(3, 2)).sha256
    assert Head(weight).sha256 != Head(weight, torch.zeros(2)).sha256
    assert Head(weight).sha256 == Head(weight.T.contiguous().T).sha256
    with pytest.raises(ValueError, match="not \\[C, D\\]"):
        Head(weight[0])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Cell(4, 0, 0.0, 1.0), "4 rows and 6 columns"),
        (Cell(-1, 0, 0.0, 1.0), "4 rows and 6 columns"),
        (Cell(0, 6, 0.0, 1.0), "4 rows and 6 columns"),
        (Cell(0, 0, 0.0, float("nan")), "finite"),
        (Cell(0, 0, 0.0, 1e39), "finite"),
    ],
)
def test_cells_that_do_not_fit_are_refused(stack, cell, message):
    with pytest.raises(ValueError, match=message):
        stack.push(Edit((cell,)))


def test_other_bad_edits_are_refused(head, stack):
    cell = Cell(0, 0, float(head.weight[0, 0]), 1.0)
    with pytest.raises(ValueError, match="twice"):
        stack.push(Edit((cell, cell)))
    with pytest.raises(ValueError, match="degree"):
        stack.push(Edit((cell,), degree=float("inf")))
    with pytest.raises(ValueError, match="no bias"):
        edit_of(Change(0, (), 1.0), Head(head.weight))
    with pytest.raises(ValueError, match="Lower the degree"):
        apply_edits(stack.push(Edit((cell,), degree=1e300)), head)


def test_a_file_gives_the_same_bits_to_a_friend(head, stack, tmp_path):
    edit = edit_of(CHANGE, head, method="worst_group", class_name="carton", degree=0.7)
    edit = replace(edit, metrics_before={"worst": 0.5}, metrics_after={"worst": 0.75})
    both = stack.push(edit).push(edit_of(Change(0, ((0, 0.1),)), head))
    path = save_edits(both, tmp_path / "carton.edit.json")
    again = load_edits(path)
    assert again == both
    assert same(apply_edits(both, head), apply_edits(again, head))
    assert path.stat().st_size < 3000
    assert [p.name for p in tmp_path.iterdir()] == ["carton.edit.json"]


def test_saving_is_all_or_nothing(head, stack, tmp_path, monkeypatch):
    path = tmp_path / "a.edit.json"
    save_edits(stack, path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_edits(stack.push(edit_of(CHANGE, head)), path)
    assert path.read_bytes() == before
    bad = stack.push(replace(edit_of(CHANGE, head), metrics_after={"worst": float("nan")}))
    with pytest.raises(ValueError):
        save_edits(bad, path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.edit.json"]


def test_files_that_are_no_edits_are_refused_with_a_sentence(head, stack, tmp_path):
    good = json.dumps(to_json(stack.push(edit_of(CHANGE, head))))
    path = tmp_path / "x.edit.json"
    cases = {
        "": "not readable as JSON",
        "\x00\x01": "not readable as JSON",
        "[" * 100_000: "not readable as JSON",
        "[]": "an object is needed",
        '{"format": "other"}': "no edit file",
        good.replace('"version": 1', '"version": 2'): "Update Detour",
        good.replace('"degree": 1.0', '"degree": NaN'): "NaN",
        good.replace('"degree": 1.0', '"degree": 1e999'): "finite",
        good.replace('"degree": 1.0', '"degree": true'): "finite number",
        good.replace('"row": 2', '"row": 9'): "4 rows",
        good.replace('"row": 2', '"row": -1'): "whole number",
        good.replace('"class_index": 2', '"class_index": 4'): "about class 4; the head has 4",
        good.replace('"row": 2', '"row": 2.5'): "whole number",
        good.replace('"kind": "bias"', '"kind": "cell"'): "'weight' or 'bias'",
        good.replace('"shape": [4, 6]', '"shape": [4]'): "two numbers",
        good.replace('"edits": [', '"edits": ["x", '): "an object is needed",
        " " * (5 * 2**20): "larger than",
    }
    for text, message in cases.items():
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            load_edits(path)
    assert from_json(json.loads(good)).edits[0].class_index == 2


def test_half_precision_heads_keep_their_type(head):
    half = Head(head.weight.half(), head.bias.half())
    edited = apply_edits(new_stack(half).push(edit_of(CHANGE, half)), half)
    assert edited.weight.dtype == edited.bias.dtype == torch.half
    assert int((edited.weight != half.weight).sum()) == 2


def test_what_is_written_can_be_read_and_what_cannot_is_not_written(head, stack, tmp_path):
    """A file of more than 4 MiB could be saved and never be loaded again."""
    many = stack.push(*[replace(edit_of(CHANGE, head), class_name="x" * 250)] * 3000)
    path = tmp_path / "many.edit.json"
    assert load_edits(save_edits(many, path)) == many
    kept = path.read_bytes()
    assert 1e6 < len(kept) < LARGEST
    larger = many.push(*many.edits * 4)
    with pytest.raises(ValueError, match=r"15000 edits make a file of .* bytes"):
        save_edits(larger, path)
    with pytest.raises(ValueError, match="edits make a file of"):
        save_new_edits(larger, "new", tmp_path)
    assert path.read_bytes() == kept and [one.name for one in tmp_path.iterdir()] == [path.name]


def test_very_many_edits_are_read_in_time(head, stack, tmp_path):
    """160,000 empty edits took 77 s: each was put on a copy of all before it."""
    data = to_json(stack)
    data["edits"] = [{"cells": [], "degree": 1}] * 75_000
    path = tmp_path / "many.edit.json"
    path.write_text(json.dumps(data, separators=(",", ":")))
    started = time.process_time()
    many = load_edits(path)
    both = combined(stack, many, head)
    assert time.process_time() - started < 8
    assert len(both.edits) == len(stack.edits) + 75_000
    assert same(apply_edits(both, head), head)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_edit_file(tmp_path):
    os.mkfifo(tmp_path / "a.edit.json")
    with pytest.raises(ValueError, match="is no plain file"):
        load_edits(tmp_path / "a.edit.json")


def test_a_linked_edit_file_is_the_users_own(stack, tmp_path):
    (tmp_path / "models").mkdir()
    save_edits(stack, tmp_path / "elsewhere.edit.json")
    (tmp_path / "models" / "a.edit.json").symlink_to(tmp_path / "elsewhere.edit.json")
    assert named_edits("a.edit.json", [tmp_path / "models"]) == stack
    with pytest.raises(ValueError, match="leads out"):
        named_edits("../elsewhere.edit.json", [tmp_path / "models"])
    with pytest.raises(ValueError, match="The edit file is 0"):
        named_edits(0, [tmp_path / "models"])


HUGE = "x" * 10**6
LONG_VALUES = (
    ("format", HUGE),
    ("version", HUGE),
    ("version", 10**300),
    ("architecture", [HUGE]),
    ("head", HUGE),
    ("head", {"shape": [HUGE, 1]}),
    ("head", {"shape": [0] * 10**5}),
    ("edits", HUGE),
    ("edits", [HUGE]),
    ("edits", [{"cells": [{"kind": HUGE}], "degree": 1}]),
    ("edits", [{"cells": [], "degree": HUGE}]),
    ("edits", [{"cells": [], "degree": 1, "class_name": "\ud800"}]),
    ("edits", [{"cells": [], "degree": 1, "class_index": 10**300}]),
)


@pytest.mark.parametrize(("field", "value"), LONG_VALUES)
def test_long_values_are_not_repeated(stack, tmp_path, field, value):
    path = tmp_path / "a.edit.json"
    path.write_text(json.dumps({**to_json(stack), field: value}))
    try:
        load_edits(path)
    except ValueError as error:
        assert len(str(error)) <= 600 and "\n" not in str(error)
        str(error).encode("utf-8")
    else:
        assert field == "edits" and "class_index" in value[0]
