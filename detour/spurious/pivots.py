"""Lines through a pivot: the search over (t, s) as scans over t alone.

Probe k is predicted c iff `m_k - t * a_k + s > 0`: in the plane of (a, m), iff it lies above
a line of slope t. Every way in which a line can part K points, with at least one of them
below it, is reached by a line that runs just above one of them: lower the line until it
meets the first. So with probe i as the pivot, `s = -(m_i - t * a_i)`, the rest is a scan
over t of the margins `m_k - m_i` and features `a_k - a_i`: K scans of K thresholds instead
of one sort for each of the K (K - 1) / 2 crossings `(m_i - m_k) / (a_i - a_k)`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .margins import Problem
from .scan import BATCH, LIMIT, Events, best_point, peaks, point, present_key, scan, shift_events


def pivot_events(problem: Problem, columns: Tensor, pivots: Tensor) -> Events:
    """Scans over t of B columns `[K, B]` with P pivots (numbers into the K probes).

    B * P scans; each pivot, and its exact duplicates with it, is just below the line.
    """
    a = columns.T[:, None, :] - columns.T[:, pivots, None]
    m = (problem.margin[None, :] - problem.margin[pivots, None]).expand_as(a)
    tau = m / a
    moving = (a != 0) & (tau.abs() <= LIMIT)
    right_up = torch.where(a < 0, problem.sign, -problem.sign)
    delta = torch.where(moving, right_up, torch.zeros_like(right_up))
    tau = torch.where(moving, tau, torch.inf)
    one_hot = torch.nn.functional.one_hot(problem.group, len(problem.size)).double()
    chosen = torch.where(moving, a > 0, m > 0)
    right = (chosen == (problem.sign > 0)).double() @ one_hot
    count = len(problem.rows)
    return Events(
        tau=tau.view(-1, count),
        delta=delta.view(-1, count),
        base=right.view(-1, len(problem.size)),
        group=problem.group,
        size=problem.size,
    )


def pivot_keys(problem: Problem, columns: Tensor, floor: int = -1) -> Tensor:
    """The best key of each column `[K, B]` over all lines, `[B]`; `floor` as in `peaks`."""
    count = len(problem.rows)
    all_above = present_key(replace(problem, margin=torch.ones_like(problem.margin)))
    pivots = torch.arange(count)
    found = []
    for part in columns.split(max(1, BATCH // max(1, count * count)), dim=1):
        keys = peaks(pivot_events(problem, part, pivots), floor)
        found.append(keys.view(part.shape[1], -1).amax(dim=1))
    return torch.cat(found).clamp_min(all_above)


def pivot_slope(problem: Problem, column: Tensor, pivots: Tensor) -> tuple[int, float]:
    """The best key of one column `[K]` over lines near the pivots, and a slope t that has it."""
    best, slope = -1, 0.0
    for part in pivots.split(max(1, BATCH // len(column))):
        moves = pivot_events(problem, column[:, None], part)
        keys = peaks(moves, best)
        if int(keys.max()) > best:
            best = int(keys.max())
            slope = best_point(*(line[0] for line in scan(moves.one(int(keys.argmax())))))
    return best, slope


def crossing_midpoints(problem: Problem, column: Tensor) -> Tensor:
    """One t inside every interval between the crossings of K probes, sorted.

    Intervals too thin for rounding (1e-12 of t) are left out. Memory K squared.
    """
    i, k = torch.triu_indices(len(column), len(column), 1)
    a, m = column[i] - column[k], problem.margin[i] - problem.margin[k]
    t = m[a != 0] / a[a != 0]
    t = t[t.abs() <= LIMIT].unique()
    if len(t) == 0:
        return torch.zeros(1, dtype=torch.float64)
    inside = (t[:-1] + t.diff() / 2)[t.diff() > 1e-12 * t[1:].abs()]
    ends = torch.tensor([point(t, 0), point(t, len(t))], dtype=torch.float64)
    return torch.cat([ends[:1], inside, ends[1:]])


def best_shift_at(problem: Problem, column: Tensor, slopes: Tensor) -> tuple[int, float, float]:
    """The best (key, t, s) of one column `[K]` over the slopes `[T]`, s exact for each.

    Ties: smaller |t|, then smaller |s|.
    """
    best, choices = -1, []
    for part in slopes.split(max(1, BATCH // max(1, len(column)))):
        moves = shift_events(problem, problem.margin - part[:, None] * column)
        keys = peaks(moves, best)
        if int(keys.max()) > best:
            best, choices = int(keys.max()), []
        if int(keys.max()) == best:
            rows = (keys == best).nonzero().flatten()
            row = int(rows[part[rows].abs().argmin()])
            choices.append((part[row].item(), moves.one(row)))
    t, move = min(choices, key=lambda choice: abs(choice[0]))
    return best, t, best_point(*(line[0] for line in scan(move)))
