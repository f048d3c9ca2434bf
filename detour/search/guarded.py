"""The edit that mends the most wrong pictures while the right ones stay right: every size of it,
exact over the few weights that tell best how a mistake differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..edit.apply import predictions
from ..edit.record import Change
from ..probes.features import Probes
from .mistakes import WRONG
from .one_weight import MAX_BYTES, Progress, column_blocks, quiet, rows_of
from .pair import pivot_events
from .problem import Found, Problem, problem, searched_rows
from .scan import (
    GRID,
    Events,
    accuracies,
    at_a_time,
    best_point,
    events,
    shift_events,
    sort_events,
)
from .settings import KEEP_RIGHT
from .several import Sizes
from .where import on_device

PROMISING = 16
"""So many weights of a row are searched."""
MOST_ROWS = 8
"""So many rows are searched where none is named: those with the most mistakes."""
MOST_PIVOTS = 256
"""Up to so many pictures a weight and the bias are searched exactly together; of more, lines near
so many of them are tried."""
FLOOR = 0.01
"""A feature's spread counts as at least this part of the average one."""
TINY = torch.finfo(torch.float64).tiny
REFUSED = torch.iinfo(torch.int64).min
OWN, OTHERS, MISTAKES = range(3)
"""The groups of the search: right pictures of the row's class, right ones of others, wrong ones."""


def fit_mistakes(
    probes: Probes,
    rows: Tensor,
    target_class: int | None = None,
    progress: Progress = quiet,
    columns: Sequence[int] | None = None,
    keep: float = KEEP_RIGHT,
) -> Sizes[Found]:
    """Each size of edit, chosen on the probes `rows`: the bias, one weight, both together.

    Of all edits that the guard lets through the one with the largest share of the wrong pictures
    mended less share of the right ones broken; then the smallest. Exact for the bias and
    for each weight tried; for both together exact up to `MOST_PIVOTS` pictures that matter. A
    size that does not better itself by its further number does without.

    probes: `a` is 0 for right, 1 for wrong. target_class: the row, None = `mistaken_rows`.
    columns: the weights to try, `telling_columns` if None. keep: the guard; at least this share of
    the right pictures must stay right, of those of the edited class and of the others. Source:
    ours.
    """

    def work(placed: Probes) -> Sizes[Found]:
        return _fit(placed, rows_of(placed, rows), target_class, progress, columns, keep)

    return on_device(probes, work)


def _fit(
    probes: Probes,
    rows: Tensor,
    target_class: int | None,
    progress: Progress,
    columns: Sequence[int] | None,
    keep: float,
) -> Sizes[Found]:
    tried = [
        guarded_problem(probes, row, rows) for row in mistaken_rows(probes, rows, target_class)
    ]
    chosen = [telling_columns(probes, p) if columns is None else list(columns) for p in tried]
    none = Found(Change(tried[0].row), 0.0, 1.0, 0)
    pairs = list(zip(tried, chosen, strict=True))
    weight = _best([none, *(best_weight(probes, p, own, keep) for p, own in pairs)])
    none = replace(none, change=Change(weight.change.row))
    if probes.weight is not None and probes.bias is None:
        return Sizes(none, None, weight)
    shift = _best([none, *(best_shift(p, keep) for p in tried)])
    both = [_best_pair(probes, p, own, progress, keep) for p, own in pairs]
    return Sizes(none, shift, weight, (_best([none, shift, weight, *both]),))


def mistaken_rows(probes: Probes, rows: Tensor, target_class: int | None = None) -> list[int]:
    """The rows to search: the target, else of many classes those that most mistakes are about."""
    every = searched_rows(probes, target_class)
    if len(every) <= MOST_ROWS:
        return every
    wrong = rows[probes.a[rows] == WRONG]
    about = torch.cat([predictions(probes, probes.z)[wrong], probes.y[wrong]])
    counts = torch.bincount(about, minlength=probes.n_classes)
    return counts.argsort(descending=True, stable=True)[:MOST_ROWS].sort().values.tolist()


def guarded_problem(probes: Probes, row: int, rows: Tensor) -> Problem:
    """The problem of a row with the three groups of this search in place of the probes' own.

    A group without pictures has the size 0.
    """
    wrong, own = probes.a == WRONG, probes.y == probes.label(row)
    group = torch.where(wrong, MISTAKES, torch.where(own, OWN, OTHERS))
    found = problem(probes, row, rows)
    size = torch.bincount(group[rows], minlength=3).double()
    return replace(found, group=group[found.rows], size=size)


def telling_columns(probes: Probes, problem: Problem) -> list[int]:
    """The weights whose features say most about the class that the margin does not say already.

    The features' partial correlation with belonging to the row's class, the margin given, where
    right and wrong pictures of each side count alike: then only what sets mistakes apart, from
    the right pictures of their own class and from those that they were taken for, is left to be
    told. The best `PROMISING`, the best one first. Source: ours.
    """
    side = problem.sign.double()
    cell = 2 * problem.group + (problem.sign > 0)
    weight = 1 / torch.bincount(cell, minlength=6).double()[cell]
    weight = (weight / weight.sum())[:, None]
    margin = problem.margin[:, None] - (weight * problem.margin[:, None]).sum()
    margin = margin / (weight * margin.square()).sum().sqrt().clamp_min(TINY)

    def unknown(values: Tensor) -> Tensor:
        values = values - (weight * values).sum(0)
        return values - margin * (weight * margin * values).sum(0)

    rest, shared, spreads = unknown(side[:, None]), [], []
    for _, _, block in column_blocks(probes, [problem], MAX_BYTES):
        left = unknown(block)
        shared.append((weight * rest * left).sum(0).abs())
        spreads.append((weight * left.square()).sum(0).sqrt())
    spread = torch.cat(spreads)
    floor = FLOOR * spread.mean() + TINY
    told = torch.cat(shared) / (spread + floor)
    return told.argsort(descending=True, stable=True)[:PROMISING].tolist()


def best_weight(probes: Probes, problem: Problem, columns: Sequence[int], keep: float) -> Found:
    """The best single weight among the columns."""
    found = []
    for j in columns:
        keys, tau = guarded_keys(events(problem, probes.columns(problem.rows, j, j + 1)), keep)
        found.append(_found(problem, keys.max(), best_point(keys[0], tau[0]), j))
    return _best(found)


def best_shift(problem: Problem, keep: float) -> Found:
    """The best shift of the bias alone."""
    keys, tau = guarded_keys(shift_events(problem, problem.margin[None]), keep)
    return _found(problem, keys.max(), shift=best_point(keys[0], tau[0]))


def guarded_keys(moves: Events, keep: float) -> tuple[Tensor, Tensor]:
    """As `scan.scan`, by another score: share mended less share broken, `REFUSED` where the guard
    does not hold."""
    ordered = sort_events(moves)
    own, others, mended = torch.cat(list(accuracies(ordered)), dim=1).unbind(1)
    kept = own.nan_to_num() * moves.size[OWN] + others.nan_to_num() * moves.size[OTHERS]
    keys = ((mended + kept / moves.size[:MISTAKES].sum() - 1) * GRID).round().to(torch.int64)
    keys[(own < keep) | (others < keep)] = REFUSED
    keys[:, 1:-1][ordered.tau[:, 1:] <= ordered.tau[:, :-1]] = REFUSED
    return keys, ordered.tau


def _best_pair(
    probes: Probes, problem: Problem, columns: Sequence[int], progress: Progress, keep: float
) -> Found:
    """The best weight among the columns and shift of the bias, together."""
    found = []
    for done, j in enumerate(columns, start=1):
        column = probes.columns(problem.rows, j, j + 1)[:, 0]
        best, t = REFUSED, 0.0
        for pivots in _pivots(problem):
            keys, tau = guarded_keys(pivot_events(problem, column[:, None], pivots), keep)
            if int(keys.max()) > best:
                best, at = int(keys.max()), int(keys.amax(dim=1).argmax())
                t = best_point(keys[at], tau[at])
        shifts = shift_events(problem, (problem.margin - t * column)[None])
        keys, tau = guarded_keys(shifts, keep)
        found.append(_found(problem, keys.max(), t, j, best_point(keys[0], tau[0])))
        progress(done / len(columns))  # may raise to cancel
    return _best(found)


def _pivots(problem: Problem) -> Iterator[Tensor]:
    """The pictures whose lines are tried, as many at a time as fit: all, or spread evenly over the
    margins."""
    count = len(problem.rows)
    even = torch.linspace(0, count - 1, min(count, MOST_PIVOTS)).round().long()
    order = problem.margin.argsort(stable=True)[even]
    yield from order.split(max(1, at_a_time(order.device) // count))


def _found(
    problem: Problem, key: Tensor, t: float = 0.0, column: int | None = None, shift: float = 0.0
) -> Found:
    weights = () if column is None else ((column, t),)
    score = float(key) / GRID
    return Found(Change(problem.row, weights, shift), score, score, int(key))


def _best(found: list[Found]) -> Found:
    """The best of them; of equals the one with fewer numbers, then the smaller ones, then the
    first."""

    def rank(one: Found) -> tuple[int, int, float, float]:
        largest = max((abs(t) for _, t in one.change.weights), default=0.0)
        return -one.key, one.change.numbers, largest, abs(one.change.shift)

    return min(found, key=rank)
