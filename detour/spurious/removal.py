"""Removing a whole class by one number: it is no longer predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .change import Change
from .evaluate import changed_logits, predictions
from .margins import Problem, margins, searched_rows
from .probes import Probes
from .scan import LIMIT, best_point, column_peaks, events, point, scan
from .search import MAX_BYTES, Progress, column_blocks


@dataclass(frozen=True)
class Removal:
    """How a class was removed; it changes predictions only and is no privacy unlearning.

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


def remove_class(
    probes: Probes,
    class_index: int,
    choose: Tensor | None = None,
    validate: Tensor | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
) -> Removal:
    """One weight of a class's row such that the class is predicted for no probe.

    Feasible t for weight j: `m_i - t * a_ij < 0` for every probe, an open interval of either
    sign. All feasible edits agree on the probes they were chosen on, so the lowest rate of
    the class on the validation probes decides, then the smallest `|t| * sd(a_j)`. If none is
    feasible: the fewest remaining, by an exact scan of every t. Needs no classes.

    choose, validate: numbers of the probes (all if None). Raises ValueError for a class that
    the head does not have. Source: ours.
    """
    row = searched_rows(probes, class_index)[0]
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
        return Removal(Change(row), True, 0, 0, _rate(later), bias)
    feasible = _feasible(probes, every, max_bytes, progress)
    weights = feasible or _fewest(probes, every, max_bytes)
    change = _rank(probes, weights, row, choose, later)
    both = None if feasible else _with_shift(probes, every, change)
    if both is not None and not both.weights:
        change = Change(row)
    found = predictions(probes, changed_logits(probes, change)) == _label(probes, row)
    rate = found[validate].double().mean().item() if len(validate) else 0.0
    left = int(found[choose].sum())
    return Removal(change, left == 0, before, left, rate, bias, both or (bias if left else None))


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


def _label(probes: Probes, row: int) -> int:
    return 1 if probes.threshold is not None else row


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
    probes: Probes, every: Problem, max_bytes: int, progress: Progress | None
) -> list[tuple[int, float]]:
    found = []
    m = every.margin[:, None]
    for _, first, a in column_blocks(probes, [every], max_bytes, progress):
        tau = m / a
        low = torch.where(a > 0, tau, -torch.inf).amax(dim=0)
        high = torch.where(a < 0, tau, torch.inf).amin(dim=0)
        stuck = ((a == 0) & (m >= 0)).any(dim=0)
        near = (low < LIMIT) & (high > -LIMIT)
        for j in ((low < high) & near & ~stuck).nonzero().flatten().tolist():
            bounds = low[j].item(), high[j].item()
            found.append((first + j, _inside(*bounds, tau[:, j][a[:, j] != 0])))
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
    best, tied = -1, []
    for _, first, columns in column_blocks(probes, [every], max_bytes):
        keys = column_peaks(every, columns, best)
        peak = int(keys.max())
        if peak > best:
            best, tied = peak, []
        if peak == best:
            tied += [first + j for j in (keys == peak).nonzero().flatten().tolist()]
    weights = []
    for j in tied:
        keys, tau = scan(events(every, probes.columns(every.rows, j, j + 1)))
        weights.append((j, best_point(keys[0], tau[0])))
    return weights
