"""How far shifts of the bias lift the worst group, for many sets of margins at once, exactly.

A group's probes are all to be predicted c, or all not to be. So as the bias falls, each group
only loses right answers or only gains them, and as many as it needs are right on one side of one
of its margins. No interval is looked at: the best accuracy is found by halving.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .problem import Problem
from .scan import GRID, at_a_time, counts_for


def shift_levels(problem: Problem, columns: Tensor, slopes: Tensor) -> Tensor:
    """The best worst-group accuracy over all shifts, in steps of `GRID`, at T slopes `[B, T]` of
    each of B columns `[K, B]`; `[B, T]`."""
    count = torch.bincount(problem.group, minlength=len(problem.size))
    if len(problem.rows) == 0 or int(count.min()) == 0:
        return torch.zeros(slopes.shape, dtype=torch.long)
    slots, positive = _slots(problem, count)
    order = positive.long().argsort(stable=True)
    negative, slots = int((~positive).sum()), slots[order]
    levels, needed = _levels(problem, count)
    place = torch.arange(len(count)) * slots.shape[1] + needed[:, order] - 1
    # Each margin such that a group has k right where x lies beyond its k-th smallest.
    side = torch.cat([-problem.sign.double(), torch.ones(1).double()])[slots]
    margin = torch.cat([problem.margin, torch.full((1,), torch.inf).double()])[slots] * side
    moved = torch.cat([columns, torch.zeros_like(columns[:1])])[slots] * side[..., None]
    step = max(1, at_a_time(margin.device) // (slots.numel() * slopes.shape[1]))
    found = []
    for some, own in zip(moved.split(step, dim=2), slopes.split(step), strict=True):
        by_column = some.permute(2, 0, 1)[:, None]
        side = torch.addcmul(margin, own[:, :, None, None], by_column, value=-1)
        found.append(_reached(side.flatten(0, 1), negative, place).view(own.shape))
    return levels[torch.cat(found)]


def _levels(problem: Problem, count: Tensor) -> tuple[Tensor, Tensor]:
    """Accuracies that there can be `[L]`, rising from 0, and how many of each group they need
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


def _reached(side: Tensor, negative: int, place: Tensor) -> Tensor:
    """The number of the highest level that each of B sets of margins `[B, G, most]` reaches,
    `[B]`. place `[L, G]`: where the margin lies that decides a level for a group."""
    if side.device.type == "cpu":
        side.numpy().sort(axis=-1)  # in place, and quicker than torch
    else:
        side = side.sort(dim=-1).values
    ordered = side.flatten(1)
    low = torch.zeros(len(side), dtype=torch.long)
    high = torch.full_like(low, len(place) - 1)
    lowest = torch.full((len(side), 1), -torch.inf, dtype=torch.float64)
    for _ in range((len(place) - 1).bit_length()):
        middle = (low + high + 1) >> 1
        at = ordered.gather(1, place[middle].clamp_min(0))
        above = torch.cat([at[:, :negative], lowest], dim=1).amax(1)
        below = torch.cat([at[:, negative:], lowest], dim=1).amax(1)
        reached = (above + below < 0) | (middle == 0)
        low = torch.where(reached, middle, low)
        high = torch.where(reached, high, middle - 1)
    return low
