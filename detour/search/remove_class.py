"""Removing a whole class by one number: it is no longer predicted. Chosen on one part of the
probes, measured on the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..edit.apply import changed_logits, predictions, stack_logits, with_edits
from ..edit.edited import EditedClassifier
from ..edit.record import Change, Edit, EditStack, edit_of, new_stack
from ..judge.groups import count_units, share_interval
from ..probes.features import Probes
from ..probes.parts import Parts, split_parts
from ..probes.probe_set import ProbeSet
from .one_weight import (
    MAX_BYTES,
    Progress,
    best_columns,
    best_t,
    column_blocks,
    quiet,
    rows_of,
)
from .problem import Problem, margins, searched_rows
from .scan import LIMIT, column_peaks, point
from .settings import RemovalSearch, read_removal
from .where import on_device, room_to_search


@dataclass(frozen=True)
class FoundRemoval:
    """How a class can be removed; it changes predictions only and is no privacy unlearning.

    change: the single weight. feasible: no probe that it was chosen on is predicted as the
    class any more; otherwise `remaining` of them are, the fewest that one weight can reach.
    predicted: how many were before. rate_validate: share of the validation probes that
    still are; all these are counts of the edited float32 head. bias_only: the rival, it
    always works on the probes. with_bias: the weight and a bias shift together, offered
    where one weight is not enough.
    """

    change: Change
    feasible: bool
    predicted: int
    remaining: int
    rate_validate: float
    bias_only: Change
    with_bias: Change | None = None


def find_removal(
    probes: Probes,
    target_class: int,
    choose: Tensor | None = None,
    validate: Tensor | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress = quiet,
) -> FoundRemoval:
    """One weight of a class's row such that the class is predicted for no probe.

    Feasible t for weight j: `m_i - t * a_ij < 0` for every probe, an open interval of either
    sign. All feasible edits agree on the probes they were chosen on, so the lowest rate of
    the class on the validation probes decides, then the smallest `|t| * sd(a_j)`. If none is
    feasible: the fewest remaining, by an exact scan of every t. Needs no classes.

    choose, validate: numbers of the probes (all if None). Raises ValueError for a class that
    the head does not have. Source: ours.
    """
    row = searched_rows(probes, target_class)[0]
    everything = torch.arange(len(probes))
    choose = everything if choose is None else choose
    validate = everything if validate is None else validate
    if len(choose) == 0:
        raise ValueError("There are no probes to choose on. Add probes or change the split.")
    every = _all_wrong(probes, row, choose)
    later = _all_wrong(probes, row, validate)
    before = int(every.chosen.sum())
    bias = Change(row, (), point((-every.margin).sort().values, 0))
    if not bool((every.margin >= 0).any()):
        return FoundRemoval(Change(row), True, 0, 0, _rate(later), bias)

    def work(placed: Probes) -> tuple[bool, list[tuple[int, float]]]:
        moved = _all_wrong(placed, row, rows_of(placed, choose))
        feasible = _feasible(placed, moved, max_bytes, progress)
        return bool(feasible), feasible or _fewest(placed, moved, max_bytes)

    feasible, weights = on_device(probes, work)
    change = _rank(probes, weights, row, choose, later)
    both = None if feasible else _with_shift(probes, every, change)
    if both is not None and not both.weights:
        change = Change(row)
    found = predictions(probes, changed_logits(probes, change)) == probes.label(row)
    rate = found[validate].double().mean().item() if len(validate) else 0.0
    left = int(found[choose].sum())
    last = both or (bias if left else None)
    return FoundRemoval(change, left == 0, before, left, rate, bias, last)


def _with_shift(probes: Probes, every: Problem, change: Change) -> Change:
    """The weight and the bias shift that finishes the work; the shift alone if it does it all."""
    moved = every.moved(probes, change)
    if int(moved.chosen.sum()) >= int(every.chosen.sum()):
        change, moved = Change(change.row), every
    return replace(change, shift=point((-moved.margin).sort().values, 0))


def _rank(
    probes: Probes, weights: list[tuple[int, float]], row: int, choose: Tensor, later: Problem
) -> Change:
    """The change with the lowest rate of the class on `later`, then the smallest move."""
    ranked = []
    for column, t in weights:
        change = Change(row, ((column, t),))
        spread = probes.columns(choose, column, column + 1).std(correction=0).item()
        ranked.append((_rate(later.moved(probes, change)), abs(t) * spread, column, t))
    _, _, column, t = min(ranked)
    return Change(row, ((column, t),))


def _all_wrong(probes: Probes, row: int, rows: Tensor) -> Problem:
    """The problem in which predicting the class is wrong for every probe, in one group."""
    margin, _, wins_tie = margins(probes, row, rows)
    count = len(rows)
    return Problem(
        row=row,
        rows=rows,
        margin=margin,
        sign=torch.full((count,), -1, dtype=torch.int8),
        group=torch.zeros(count, dtype=torch.long),
        wins_tie=wins_tie,
        size=torch.tensor([count], dtype=torch.float64),
    )


def _rate(p: Problem) -> float:
    return p.chosen.double().mean().item() if len(p.rows) else 0.0


def _feasible(
    probes: Probes, every: Problem, max_bytes: int, progress: Progress
) -> list[tuple[int, float]]:
    found = []
    m = every.margin[:, None]
    for _, first, a in column_blocks(probes, [every], max_bytes, progress):
        tau = m / a
        low = torch.where(a > 0, tau, -torch.inf).amax(dim=0)
        high = torch.where(a < 0, tau, torch.inf).amin(dim=0)
        stuck = ((a == 0) & (m >= 0)).any(dim=0)
        near = (low < LIMIT) & (high > -LIMIT)
        wanted = ((low < high) & near & ~stuck).nonzero().flatten()
        ends = zip(wanted.tolist(), low[wanted].tolist(), high[wanted].tolist(), strict=True)
        for j, start, stop in ends:
            found.append((first + j, _inside(start, stop, tau[:, j][a[:, j] != 0])))
    return found


def _inside(low: float, high: float, tau: Tensor) -> float:
    """A number in the open interval (low, high), one end of which may be infinite."""
    ordered = tau.sort().values
    if low == -torch.inf:
        return point(ordered[ordered >= high], 0)
    if high == torch.inf:
        ordered = ordered[ordered <= low]
        return point(ordered, len(ordered))
    return low + (high - low) / 2


def _fewest(probes: Probes, every: Problem, max_bytes: int) -> list[tuple[int, float]]:
    blocks = column_blocks(probes, [every], max_bytes)
    _, tied = best_columns(blocks, column_peaks, -1)
    return [(j, best_t(probes, every, j)) for _, j in tied]


@dataclass(frozen=True)
class ClassRate:
    """How many of a class's pictures in the report part are predicted as that class.

    before, after: unedited and with the edit. bias_only: with the rival, None for heads
    without a bias. units: of how many photos or seeds the pictures are.
    """

    name: str
    index: int
    count: int
    before: int
    after: int
    bias_only: int | None
    units: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval (Wilson) of after / count, by photo or seed."""
        return share_interval(self.after, self.count, self.units)


@dataclass(frozen=True, eq=False)
class Removal:
    """A class removed on top of its stack.

    search: what was asked for. found: the edit of each size. sizes: probes to choose, validate
    and report on. chosen_before, chosen_after: predicted as the class on the choosing part.
    unseen_before, unseen_after, unseen_bias: the same on the report part. rates: per class of
    the report part, empty for probes without classes. All are counts of the float32 head at the
    edit's degree; the rival is at degree 1. units: of how many photos or seeds the report part
    is.
    """

    search: RemovalSearch
    stack: EditStack
    found: FoundRemoval
    class_name: str
    sizes: tuple[int, int, int] = (0, 0, 0)
    chosen_before: int = 0
    chosen_after: int = 0
    unseen_before: int = 0
    unseen_after: int = 0
    unseen_bias: int | None = None
    rates: tuple[ClassRate, ...] = ()
    notes: tuple[str, ...] = ()
    units: int = 0

    @property
    def edit(self) -> Edit:
        """The new edit."""
        return self.stack.edits[-1]

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval (Wilson) of the share of unseen pictures still predicted as the class,
        by photo or seed."""
        return share_interval(self.unseen_after, self.sizes[2], self.units)


def remove_class(
    probes: Probes,
    search: RemovalSearch,
    stack: EditStack | None = None,
    progress: Progress = quiet,
) -> Removal:
    """Remove a class on top of the edits there are; it changes predictions only.

    probes: with the *unedited* head. stack: edits of it that stay (none if None). Raises
    ValueError for a class that the head does not have, a part without probes, and a bias shift
    of a head without one.
    """
    stack = new_stack(probes.head) if stack is None else stack
    now = with_edits(probes, stack)
    parts = split_parts(now, search.split_seed)
    if len(parts.report) == 0:
        raise ValueError("No probes are left to report on. Add pictures or change the split.")
    validate = parts.validate if len(parts.validate) else parts.choose
    found = find_removal(now, search.target_class, parts.choose, validate, progress=progress)
    change, notes = _pick(found, search.size)
    name = probes.class_name(probes.label(search.target_class))
    about = {"method": "remove_class", "class_name": name, "degree": search.degree}
    pushed = stack.push(edit_of(change, probes.head, **about))
    done = Removal(search, pushed, found, name, notes=notes + _unknown(probes))
    return _measured(probes, now, done, parts)


def _measured(probes: Probes, now: Probes, done: Removal, parts: Parts) -> Removal:
    label = probes.label(done.search.target_class)
    before, after = predictions(now, now.z), predictions(now, stack_logits(probes, done.stack))
    rival = None
    if probes.bias is not None:
        shift = edit_of(done.found.bias_only, probes.head)
        rival = predictions(now, stack_logits(probes, done.stack.undo().push(shift)))

    def count(found: Tensor, rows: Tensor) -> int:
        return int((found[rows] == label).sum())

    return replace(
        done,
        sizes=(len(parts.choose), len(parts.validate), len(parts.report)),
        chosen_before=count(before, parts.choose),
        chosen_after=count(after, parts.choose),
        unseen_before=count(before, parts.report),
        unseen_after=count(after, parts.report),
        unseen_bias=None if rival is None else count(rival, parts.report),
        rates=_rates(now, before, after, rival, parts.report),
        units=count_units(now.unit_numbers[parts.report]),
    )


ALWAYS = "At degree 1 a bias shift always works on the probes that it was chosen on."


def _pick(found: FoundRemoval, size: str) -> tuple[Change, tuple[str, ...]]:
    """The change of the wanted size, and what is to be said about it."""
    none = Change(found.change.row)
    if found.predicted == 0:
        note = "No probe to choose on is predicted as this class: nothing was edited."
        return none, (note,)
    if size == "bias_only":
        return found.bias_only, (ALWAYS,)
    if found.feasible:
        if size == "one_weight_bias":
            return found.change, ("One weight is enough: the bias was left alone.",)
        return found.change, ()
    if size == "one_weight_bias":
        return found.with_bias or found.bias_only, ()
    return found.change, (
        f"One weight cannot remove this class: {found.remaining} of {found.predicted} probes "
        "to choose on are still predicted as it at degree 1, the fewest that one weight reaches. "
        "Choose the edit one_weight_bias to remove them too.",
    )


def _rates(
    now: Probes, before: Tensor, after: Tensor, rival: Tensor | None, rows: Tensor
) -> tuple[ClassRate, ...]:
    truth = now.partly if now.classes is None else now.classes
    if truth is None:
        return ()
    y = torch.as_tensor(truth)[rows]

    def right(found: Tensor, index: int) -> int:
        return int((found[rows][y == index] == index).sum())

    return tuple(
        ClassRate(
            name=now.class_name(index),
            index=index,
            count=int((y == index).sum()),
            before=right(before, index),
            after=right(after, index),
            bias_only=None if rival is None else right(rival, index),
            units=count_units(now.unit_numbers[rows][y == index]),
        )
        for index in y.unique().tolist()
        if index >= 0
    )


def _unknown(probes: Probes) -> tuple[str, ...]:
    if probes.partly is None:
        return ()
    count = int((torch.as_tensor(probes.partly) < 0).sum())
    return (
        f"{count} of {len(probes)} probes are of classes that this classifier does not know. They "
        "take part in choosing and in the counts of all, but in the rate of no class.",
    )


def remove_from_classifier(
    classifier: EditedClassifier,
    probe_set: ProbeSet,
    progress: Progress,
    *,
    target_class: str | None,
    **settings: Any,
) -> tuple[Probes, Removal]:
    """The probes as the classifier sees them, and the class removed on top of its edits.

    target_class, settings: see `read_removal`. Probes of classes that the classifier does not
    know are of use too.
    """
    search = read_removal(classifier.unedited.description, target_class=target_class, **settings)
    probes = classifier.probes(probe_set, tag=target_class or "", strict=False)
    with room_to_search(classifier.runtime, probes, 1) as placed:
        return probes, remove_class(placed, search, classifier.stack, progress)
