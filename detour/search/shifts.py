"""How far shifts of the bias lift the worst group, for many sets of margins at once, exactly.

A group's probes are all to be predicted c, or all not to be. So as the bias falls, each group
only loses right answers or only gains them, and as many as it needs are right on one side of one
of its margins. No interval is looked at: the best accuracy is found by halving.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .problem import Problem
from .scan import GRID, at_a_time, counts_for


def shift_levels(problem: Problem, columns: Tensor, slopes: Tensor) -> Tensor:
    """The best worst-group accuracy over all shifts, in steps of `GRID`, at T slopes `[B, T]` of
    each of B columns `[K, B]`; `[B, T]`."""
    margins = (problem.margin - slopes[..., None] * columns.T[:, None]).flatten(0, 1)
    return _levels_of(problem, margins).view(slopes.shape)


def _levels_of(problem: Problem, margins: Tensor) -> Tensor:
    count = torch.bincount(problem.group, minlength=len(problem.size))
    if len(margins) == 0 or len(problem.rows) == 0 or int(count.min()) == 0:
        return torch.zeros(len(margins), dtype=torch.long)
    levels, needed = _levels(problem, count)
    slots, positive = _slots(problem, count)
    step = max(1, at_a_time(margins.device) // slots.numel())
    parts = [_halved(part, problem, slots, positive, needed) for part in margins.split(step)]
    return levels[torch.cat(parts)]


def _levels(problem: Problem, count: Tensor) -> tuple[Tensor, Tensor]:
    """Accuracies that there can be `[L]`, rising, and how many of each group they need
    `[L, G]`."""
    most = (count / problem.size).min()
    shares = [torch.arange(int(n) + 1) / size for n, size in zip(count, problem.size, strict=True)]
    every = torch.cat(shares)
    levels = every[every <= most].mul(GRID).round().long().unique()
    return levels, counts_for(problem.size, levels)


def _slots(problem: Problem, count: Tensor) -> tuple[Tensor, Tensor]:
    """The probes of each group `[G, most]`, K where there are fewer, and which groups are to be
    predicted c, `[G]`."""
    order = problem.group.argsort(stable=True)
    place = torch.arange(len(order)) - (count.cumsum(0) - count)[problem.group[order]]
    slots = torch.full((len(count), int(count.max())), len(order))
    slots[problem.group[order], place] = order
    return slots, problem.sign[slots[:, 0]] > 0


def _halved(
    margins: Tensor, problem: Problem, slots: Tensor, positive: Tensor, needed: Tensor
) -> Tensor:
    """The number of the highest level that each set of margins reaches, `[B]`."""
    side = torch.where(problem.sign > 0, -margins, margins)
    ends = torch.full((len(margins), 1), torch.inf, dtype=torch.float64)
    by_group = torch.cat([side, ends], dim=1)[:, slots]
    if by_group.device.type == "cpu":
        by_group = torch.from_numpy(np.sort(by_group.numpy(), axis=-1))
    else:
        by_group = by_group.sort(dim=-1).values
    low = torch.zeros(len(margins), dtype=torch.long)
    high = torch.full_like(low, len(needed) - 1)
    while int((high - low).max()) > 0:
        middle = (low + high + 1) // 2
        wanted = needed[middle].T  # [G, B]
        at = by_group.permute(1, 0, 2).gather(2, (wanted - 1).clamp_min(0)[..., None])[..., 0]
        at = torch.where(wanted > 0, at, -torch.inf)
        above = at.masked_fill(positive[:, None], -torch.inf).amax(0)
        below = at.masked_fill(~positive[:, None], -torch.inf).amax(0)
        reached = above < -below
        low, high = torch.where(reached, middle, low), torch.where(reached, high, middle - 1)
    return low
