"""The best single weights of rows that cannot lift the worst group: there the mean decides.

With many classes hardly any row can lift the worst group, and every probe can be broken by any
row, but mended by two at most: its own, and the one that is predicted in its place. So the mean
accuracy that a weight may reach is bounded with the few probes that its row can mend and the
few that it breaks first; only the weights whose bound is not below the best so far are scanned.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..probes.features import Probes
from .problem import Problem
from .scan import GRID, crossings, group_counts, mean_of, pack, rising

BROKEN = (16, 512)
"""So many of the right probes nearest to the decision count in a bound, the others as right."""
BYTES_PER_CROSSING = 64
"""Memory per probe and column of a bound."""
ROOM = 2
"""The bound is raised by so many steps of `GRID`: sums come in another order than in a scan."""
NOTHING = 1e-12
"""A mean that rises by less does not rise."""


def best_means(
    probes: Probes,
    problems: list[Problem],
    found: tuple[int, list[tuple[Problem, int]]],
    max_bytes: int,
    progress: Callable[[float], None],
) -> tuple[int, list[tuple[Problem, int]]]:
    """The best key, and every (problem, column) that has it; exact (branch and bound).

    problems: of rows that cannot lift the worst group. found: the same of other rows; with no
    column it is the key of the head as it is. max_bytes: memory for a block of features.
    Source: ours.
    """
    best, tied = found
    order = sorted(problems, key=most_gained, reverse=True)
    for number, p in enumerate(order, start=1):
        bounds = _bounds(probes, p, max_bytes, mean_of(best))
        for j in bounds.argsort(descending=True, stable=True).tolist():
            if bounds[j] < mean_of(best) or not bounds[j]:
                break
            key = mean_key(p, probes.columns(p.rows, j, j + 1)[:, 0], best)
            if key > best:
                best, tied = key, []
            if key == best and (key > found[0] or found[1]):
                tied = [*tied, (p, j)]
        progress(number / len(order))
    return best, tied


def _bounds(probes: Probes, p: Problem, max_bytes: int, floor: int) -> Tensor:
    """`mean_bounds` as close as it takes to come below `floor`."""
    width = probes.features.shape[1]
    bounds = torch.full((width,), int((_now(p) + most_gained(p)) * GRID) + ROOM)
    right = int(_right(p).sum())
    for count in BROKEN:
        wanted = (bounds >= floor).nonzero().flatten()
        if len(p.rows) and len(wanted):
            bounds[wanted] = mean_bounds(probes, p, wanted, count, max_bytes)
        if count >= right:
            break
    return bounds


def most_gained(p: Problem) -> float:
    """What the mean accuracy gains where all probes of the problem are right."""
    return float((_shares(p) * ~_right(p)).sum())


def mean_bounds(probes: Probes, p: Problem, wanted: Tensor, count: int, max_bytes: int) -> Tensor:
    """No change of these weights of the row has a mean accuracy above this, `[len(wanted)]` in
    steps of `GRID`; 0 where it gains nothing. count: so many right probes may be broken."""
    right, share = _right(p), _shares(p)
    broken = right.nonzero().flatten()
    nearest = p.margin[broken].abs().topk(min(count, len(broken)), largest=False).indices
    keep = torch.cat([(~right).nonzero().flatten(), broken[nearest]])
    few, weight = p.part(keep), share[keep]
    step = max(1, max_bytes // (BYTES_PER_CROSSING * max(1, len(keep))))
    found = []
    for columns in wanted.split(step):
        first, last = int(columns[0]), int(columns[-1]) + 1
        if len(columns) == last - first:
            block = probes.columns(few.rows, first, last)
        else:
            block = probes.cells(few.rows, columns)
        tau, delta, below = crossings(few, block)
        order = rising(tau)
        rise = (delta * weight).gather(1, order).cumsum(1).amax(1).clamp_min(0)
        found.append(below.double() @ weight - (weight * right[keep]).sum() + rise)
    gain = torch.cat(found)
    return torch.where(gain > NOTHING, ((_now(p) + gain) * GRID).ceil().long() + ROOM, 0)


def mean_key(p: Problem, column: Tensor, floor: int) -> int:
    """The best key of one column `[K]`, or -1 if it is below `floor`.

    Of the intervals those with the highest mean come first; worst-group accuracy cannot be
    above the floor's, so the first one that is not below it is the best.
    """
    tau, delta, below = (each[0] for each in crossings(p, column[:, None]))
    order = rising(tau)
    tau = tau[order]
    share = 1 / (p.size * len(p.size))
    start = group_counts(p, below)
    steps = delta[order] * share[p.group][order]
    means = (start * share).sum() + torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    means[1:-1][tau[1:] <= tau[:-1]] = -1
    for k in means.argsort(descending=True, stable=True).tolist():
        if means[k] < (mean_of(floor) - ROOM) / GRID:
            break
        crossed = torch.where(torch.arange(len(delta)) < k, delta[order], 0)
        moved = torch.zeros_like(start).index_add(0, p.group[order], crossed.double())
        accuracy = (start + moved) / p.size
        key = int(pack(accuracy.min(), accuracy.mean()))
        if key >= floor:
            return key
    return -1


def _right(p: Problem) -> Tensor:
    return p.chosen == (p.sign > 0)


def _now(p: Problem) -> float:
    """The mean accuracy as things are."""
    return float((_shares(p) * _right(p)).sum())


def _shares(p: Problem) -> Tensor:
    """What each probe counts in the mean accuracy of the groups, `[K]`."""
    return 1 / (p.size * len(p.size))[p.group]
