"""The curve against the degree, held against really applying the edit at degree after degree."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from detour.edit.apply import correct, stack_logits
from detour.edit.record import Change, Edit, edit_of, new_stack
from detour.judge.degree import LAST, STEP, degree_curve
from detour.judge.groups import group_metrics, wilson
from detour.probes.features import Probes

WIDE = 1e-4
"""Steps wider than this are looked into: float32 logits move their ends by far less."""


def many_rows(probes, *more):
    """One edit with weights and biases of several rows."""
    parts = [Change(row, ((j, t),), s) for row, j, t, s in more]
    cells = (cell for change in parts for cell in edit_of(change, probes.head).cells)
    return Edit(tuple(cells), class_index=more[0][0])


def case(name, random_probes, headed):
    """Probes and a stack whose last edit is looked at."""
    if name == "integers":  # ties at dyadic degrees, and rows that tie without the edit
        draw = torch.Generator().manual_seed(3)
        base = random_probes(3, n=60, d=3, c=4)
        weight = torch.randint(-2, 3, (4, 3), generator=draw).float()
        bias = torch.tensor([0.0, 1.0, 0.0, 1.0])
        probes = Probes(base.features, base.a, base.y, weight, bias)
        return probes, new_stack(probes.head).push(many_rows(probes, (1, 0, 2, 1), (2, 1, 4, -1)))
    if name == "every_row":
        probes = headed(1, n=300, d=5, c=3)
        edit = many_rows(probes, (0, 1, 0.4, 0.3), (1, 2, -0.7, 0.0), (2, 1, 0.9, 1.2))
        return probes, new_stack(probes.head).push(edit)
    if name == "stack":
        probes = headed(2, n=300, d=5, c=4)
        first = edit_of(Change(3, ((1, 0.5), (0, 0.2)), 0.4), probes.head, degree=0.7)
        return probes, new_stack(probes.head).push(first, many_rows(probes, (3, 1, 0.9, 1.0)))
    if name == "tag":
        probes = replace(headed(4, n=300), threshold=0.35, tag=1, logits=None)
        return probes, new_stack(probes.head).push(many_rows(probes, (1, 1, 0.8, 1.0)))
    probes = headed(3)
    return probes, new_stack(probes.head).push(many_rows(probes, (1, 1, 0.8, 1.0)))


@pytest.mark.parametrize("name", ["one_row", "every_row", "stack", "tag", "integers"])
def test_every_step_is_what_the_edited_head_says(name, random_probes, headed):
    probes, stack = case(name, random_probes, headed)
    rows = torch.arange(len(probes))[::2]
    curve = degree_curve(probes, stack, rows)

    def applied(degree):
        now = correct(probes, stack_logits(probes, stack.with_degree(degree)))
        return group_metrics(probes, now, rows)

    ends = [0.0, *curve.edges.tolist(), LAST]
    looked = [step for step, (a, b) in enumerate(pairwise(ends)) if b - a > WIDE]
    assert len(looked) > 4
    for step in looked:
        low, high = ends[step], ends[step + 1]
        for degree in (low + WIDE / 4, (low + high) / 2, high - WIDE / 4):
            literal = applied(degree)
            assert curve.accuracy[:, step].tolist() == [literal.accuracy[g] for g in curve.groups]
            assert curve.metrics(degree) == literal
    before = degree_curve(probes, stack, rows).start
    assert before == applied(0.0) and curve.metrics(1.0) == applied(1.0)
    if name == "integers":  # on the very edges
        assert any(edge in (0.25, 0.5, 1.0) for edge in curve.edges.tolist())
        for degree in (0.25, 0.5, 0.75, 1.0, 1.5, -0.5):
            assert curve.metrics(degree) == applied(degree)


def margins(values, slopes, classes, marks):
    """Probes whose first class leads by `values`, less by `slopes` at degree 1; and the edit."""
    features = torch.tensor([values, slopes], dtype=torch.float32).T.contiguous()
    head = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    probes = Probes(features, marks, classes, head, torch.zeros(2))
    return probes, new_stack(probes.head).push(edit_of(Change(0, ((1, 1.0),)), probes.head))


def planted():
    """100 pictures in each of four groups; 30 of the second turn wrong around degree 0.8, 9 of
    the last turn right one by one, and the first loses one picture at 1.2 and 40 at 1.5."""
    values, slopes = [], []
    for at, count in ((1.2, 1), (1.5, 40), (9.0, 59)):  # class 0, unmarked
        values += [at] * count
        slopes += [1.0] * count
    values += [0.79 + 0.001 * n for n in range(30)] + [5.0] * 70  # class 0, marked
    slopes += [1.0] * 30 + [0.0] * 70
    values += [-1.0] * 100  # class 1, unmarked
    slopes += [0.0] * 100
    values += [0.1 + 0.1 * n for n in range(9)] + [-1.0] * 91  # class 1, marked
    slopes += [1.0] * 9 + [0.0] * 91
    return margins(values, slopes, [0] * 200 + [1] * 200, ([0] * 100 + [1] * 100) * 2)


def test_the_safe_degrees_end_where_a_group_leaves_its_own_interval():
    curve = degree_curve(*planted())
    safe, start = curve.safe(), curve.start
    least = next(n for n in range(100, 0, -1) if n / 100 < wilson(100, 100)[0])
    assert start.right[1] == 100
    # The first picture beyond what the interval allows ends it; pictures turn 0.001 apart.
    assert safe.until == pytest.approx(0.79 + 0.001 * (100 - least - 1), abs=1e-6)
    assert safe.breaks == start.names[1]
    few = degree_curve(*margins([1.0] * 10, [0.0] * 10, [0, 1] * 5, [0, 0, 1, 1, 0] * 2))
    assert few.safe() is None


def test_a_cliff_is_where_one_step_of_the_slider_turns_a_tenth_of_a_group():
    curve = degree_curve(*planted())
    cliff = curve.cliff()
    assert (cliff.flips, cliff.count, cliff.group) == (40, 100, curve.start.names[0])
    assert cliff.low == cliff.high == pytest.approx(1.5)
    gentle = [2 * n / 100 for n in range(100)]
    probes, stack = margins(gentle * 4, [1.0] * 400, [0] * 200 + [1] * 200, [0, 1] * 200)
    assert degree_curve(probes, stack).cliff() is None
    assert STEP == 0.05


def test_the_best_degree_is_inside_the_best_step_and_short():
    probes, stack = margins([0.5] * 10 + [0.75] * 10, [1.0] * 20, [1] * 10 + [0] * 10, [0, 1] * 10)
    curve = degree_curve(probes, stack)
    assert curve.edges.tolist() == [0.5, 0.75] and curve.best() == 0.6
    worse = degree_curve(*margins([0.5] * 4, [1.0] * 4, [0] * 4, [0, 1] * 2))
    assert worse.best() == 0.0
    with pytest.raises(ValueError, match="no edit"):
        degree_curve(probes, new_stack(probes.head))


def test_on_the_very_edge_the_lower_class_wins_as_in_the_head():
    probes, stack = margins([0.5, 0.5, -0.5, -0.5], [1, 1, -1, -1], [0, 1, 0, 1], [0, 0, 1, 1])
    curve = degree_curve(probes, stack)
    for degree in (0.25, 0.5, 0.75):
        literal = correct(probes, stack_logits(probes, stack.with_degree(degree)))
        assert curve.spans.right(degree).tolist() == literal.tolist()
    assert curve.spans.right(0.5).tolist() == [True, False, True, False]
