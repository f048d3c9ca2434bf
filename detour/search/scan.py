"""Group accuracies as step functions of one number, scanned exactly.

Let probe i be predicted c iff `m_i - x * a_i > 0`. As x grows, that changes only at the
threshold `m_i / a_i`: above it the prediction is lost where a_i > 0 and gained where
a_i < 0. Sorting the thresholds gives every group's accuracy in every interval between
them. `a_i` is a feature (x = t, one weight) or -1 (x = s, the bias).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .problem import Problem

LIMIT = 1e30
"""Thresholds beyond this are out of reach of a float32 head and count as never crossed."""
GRID = 2**30
"""Accuracies count as equal when they agree on a grid of this many steps (1e-9)."""

FEW = 8
"""So many scans, of those that may reach most, are made first: the others then have to reach it."""
BATCH, DEVICE_BATCH = 2**18, 2**23
"""Scans are done for about this many thresholds at a time, on the CPU and on other devices."""


@dataclass(frozen=True, eq=False)
class Events:
    """B scans over the same K probes.

    tau `[B, K]`: thresholds, +inf where x changes nothing. delta `[B, K]` int8: what
    crossing adds to the right answers of the probe's group. base `[B, G]`: right answers
    at x = -inf (those out of reach as they are now).
    """

    tau: Tensor
    delta: Tensor
    base: Tensor
    group: Tensor
    size: Tensor

    def some(self, rows: Tensor | slice) -> Events:
        """Only some of the scans."""
        return replace(self, tau=self.tau[rows], delta=self.delta[rows], base=self.base[rows])

    def one(self, row: int) -> Events:
        """Only one of the scans."""
        return self.some(slice(row, row + 1))


def events(problem: Problem, columns: Tensor) -> Events:
    """The scans of B columns `[K, B]` of features, one scan per column."""
    tau, delta, right = crossings(problem, columns)
    return Events(tau, delta, group_counts(problem, right), problem.group, problem.size)


def events_within(
    whole: Problem, part: Problem, tau: Tensor, delta: Tensor, right: Tensor
) -> Events:
    """The scans over a part of the probes of a problem, given its `crossings`: the others change
    nothing."""
    at = torch.searchsorted(whole.rows, part.rows)
    inside, group = torch.zeros_like(whole.sign), torch.zeros_like(whole.group)
    inside[at], group[at] = 1, part.group
    members = torch.zeros(len(whole.rows), len(part.size), dtype=torch.float64)
    members[at, part.group] = 1
    return Events(tau, delta * inside, right.double() @ members, group, part.size)


def crossings(problem: Problem, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of B columns `[K, B]`: `tau` and `delta` as in `Events`, and who is right at x = -inf."""
    a = columns.T.contiguous()
    return crossed(problem.margin / a, a > 0, problem.sign > 0, problem.chosen)


def crossed(
    tau: Tensor, below: Tensor, positive: Tensor, chosen: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The same, given thresholds (not finite where nothing changes), who is chosen below them,
    who is to be chosen, and who is chosen where nothing changes."""
    moving = tau.abs() <= LIMIT  # neither is infinity, nor NaN
    right = torch.where(moving, below == positive, chosen == positive)
    delta = moving.to(torch.int8) - 2 * (moving & right).to(torch.int8)
    return tau.masked_fill_(~moving, torch.inf), delta, right


def group_counts(problem: Problem, right: Tensor) -> Tensor:
    """How many of each group are right: `[..., K]` to `[..., G]`."""
    zero = torch.zeros(*right.shape[:-1], len(problem.size), dtype=torch.float64)
    return zero.scatter_add(-1, problem.group.expand(right.shape), right.double())


def column_peaks(problem: Problem, columns: Tensor, floor: int = -1) -> Tensor:
    """The best key of each column `[K, B]`, `[B]`; which are exact, and `floor`, as in `peaks`."""
    step, found = max(1, at_a_time(columns.device) // max(1, len(problem.rows))), []
    for part in columns.split(step, dim=1):
        found.append(peaks(events(problem, part), floor))
        floor = max(floor, int(found[-1].max()))
    return torch.cat(found)


def shift_events(problem: Problem, margins: Tensor) -> Events:
    """The scans over the bias for B sets of margins `[B, K]`: predicted c iff m + s > 0."""
    right = group_counts(problem, problem.sign < 0)
    return Events(
        tau=-margins,
        delta=problem.sign.expand_as(margins),
        base=right.expand(len(margins), -1),
        group=problem.group,
        size=problem.size,
    )


def scan(moves: Events) -> tuple[Tensor, Tensor]:
    """Score of every interval: (keys `[B, K + 1]` int64, sorted thresholds `[B, K]`).

    Interval k lies between the sorted thresholds k - 1 and k. Its key orders by worst-group
    accuracy, then by mean accuracy, both on `GRID`; empty intervals have the key -1.
    """
    ordered = sort_events(moves)
    keys = pack(*_worst_and_mean(ordered))
    keys[:, 1:-1].masked_fill_(_empty(ordered.tau), -1)
    return keys, ordered.tau


def _worst_and_mean(ordered: Events) -> tuple[Tensor, Tensor]:
    """Worst-group and mean accuracy in every interval, two times `[B, K + 1]`."""
    worst = torch.full_like(ordered.base[:, :1], torch.inf)
    total = torch.zeros_like(worst)
    for right in accuracies(ordered):
        worst = torch.minimum(right.amin(1), worst)
        total = right.sum(1).add_(total)
    return worst, total.div_(len(ordered.size))


def peaks(
    moves: Events, floor: int = -1, order: Tensor | None = None, likely: Tensor | None = None
) -> Tensor:
    """The best key of each scan, `[B]`: `scan(moves)[0].amax(1)`, only faster. order: of the
    thresholds, likely: some scans that may reach most; each if it is known.

    So it is for those with the best worst-group accuracy of all, if that is not below the one of
    the key `floor`. The others are only looked at as far as it takes to know that they cannot
    reach it: their key may be too low, but is then below both.
    """
    if len(moves.tau) <= 4 * FEW:
        return _peaks(sort_events(moves, order))
    keys, order = torch.full((len(moves.tau),), -1), rising(moves.tau) if order is None else order
    sums = Sums.of(moves, order)

    def fill(rows: Tensor) -> int:
        rows = rows[keys[rows] < 0]
        if len(rows):
            keys[rows] = _peaks(sort_events(moves.some(rows), order[rows]))
        return max(floor, int(keys.max()))

    if likely is not None:
        floor = fill(likely)
    rows = sums.reaching(torch.arange(len(keys)), worst_of(floor))
    best, worst, step = rows, worst_of(floor), GRID // 64
    while len(best) > FEW and step > GRID // 1024:
        higher = sums.reaching(best, worst + step)
        if len(higher):
            best, worst, step = higher, worst + step, 2 * step
        else:
            step //= 4
    if len(rows) > FEW:
        floor = fill(best[:FEW])
        rows = sums.reaching(rows, worst_of(floor))
    fill(rows)
    return keys


@dataclass(frozen=True, eq=False)
class Sums:
    """How many of each group are right in every interval of B scans, several groups in one whole
    number `[B, K]`: each group has some `bits` of it, and the highest of these says whether the
    group has as many right as it needs, once the rest is added (`reaching`)."""

    parts: tuple[Tensor, ...]
    bits: int
    base: Tensor
    size: Tensor

    @classmethod
    def of(cls, moves: Events, order: Tensor) -> Sums:
        """Of scans whose thresholds have this order."""
        bits = 16 if int(moves.size.max()) < 2**14 else 32
        count, parts = 64 // bits, []
        for first in range(0, len(moves.size), count):
            own = moves.group - first
            inside = (own >= 0) & (own < count)
            unit = (1 << (own.clamp(0, count - 1) * bits)) * inside
            parts.append((moves.delta * unit).gather(1, order).cumsum_(1))
        return cls(tuple(parts), bits, moves.base, moves.size)

    def reaching(self, rows: Tensor, worst: int) -> Tensor:
        """Those of the scans `rows` that may reach a worst-group accuracy (in steps of `GRID`):
        all that do, and some that would in an empty interval."""
        needed = counts_for(self.size, torch.tensor([worst]))[0]
        count, met = 64 // self.bits, None
        for number, sums in enumerate(self.parts):
            short = (self.base[rows] - needed).long()[:, number * count : (number + 1) * count]
            place = 1 << (torch.arange(short.shape[1]) * self.bits)
            enough = place << (self.bits - 1)
            mask, start = enough.sum(), (short * place + enough).sum(1, keepdim=True)
            own = (sums if len(rows) == len(sums) else sums[rows]) + start
            own = torch.cat([_equal(each & mask, mask) for each in (start, own)], dim=1)
            met = own if met is None else met & own
        return rows if met is None else rows[_any(met)]


def _equal(values: Tensor, number: Tensor) -> Tensor:
    """Where whole numbers equal one; on the CPU by numpy, which is quicker there."""
    if values.device.type == "cpu":
        return torch.from_numpy(values.numpy() == number.item())
    return values == number


def _any(met: Tensor) -> Tensor:
    """Which rows of a table of truths have a true one; as `_equal`."""
    if met.device.type == "cpu":
        return torch.from_numpy(met.numpy().any(axis=1))
    return met.any(1)


def _peaks(ordered: Events) -> Tensor:
    worst, mean = _worst_and_mean(ordered)
    worst[:, 1:-1].masked_fill_(_empty(ordered.tau), -1)
    best = worst.amax(dim=1)
    return pack(best, mean.masked_fill_(worst != best[:, None], -1).amax(dim=1))


def counts_for(size: Tensor, worst: Tensor) -> Tensor:
    """How many of each group must be right for worst-group accuracies `[L]` in steps of `GRID`,
    `[L, G]`."""
    low = (size * (worst[:, None] / GRID)).floor().sub_(1).clamp_min_(0)
    tried = low[..., None] + torch.arange(4)
    short = (tried / size[:, None]).mul(GRID).round() < worst[:, None, None]
    return low.long() + short.sum(-1)


def sort_events(moves: Events, order: Tensor | None = None) -> Events:
    """The same scans with their thresholds in order, if it is known; `group` becomes `[B, K]`."""
    order = rising(moves.tau) if order is None else order
    return Events(
        tau=moves.tau.gather(1, order),
        delta=moves.delta.gather(1, order),
        base=moves.base,
        group=moves.group.to(torch.int16)[order],
        size=moves.size,
    )


def rising(values: Tensor) -> Tensor:
    """The order of each row of `[..., K]`; on the CPU by numpy, which is quicker there."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.argsort(values.numpy(), axis=-1))
    return values.argsort(dim=-1)


def at_a_time(device: torch.device) -> int:
    """For about how many thresholds scans are done at a time: on the CPU what fits its cache."""
    return BATCH if device.type == "cpu" else DEVICE_BATCH


def accuracies(ordered: Events) -> Iterator[Tensor]:
    """Accuracies of all groups in every interval `[B, g, K + 1]`, so many groups at a time as
    there is room for."""
    batch, count = ordered.tau.shape
    together = max(1, at_a_time(ordered.tau.device) // max(1, batch * count))
    groups = torch.arange(len(ordered.size), dtype=torch.int16)
    bases, sizes = ordered.base.split(together, 1), ordered.size.split(together)
    for own, base, size in zip(groups.split(together), bases, sizes, strict=True):
        right = torch.empty(batch, len(own), count + 1, dtype=torch.float64)
        steps = ordered.delta[:, None] * (ordered.group[:, None] == own[:, None])
        right[..., 0] = base
        torch.add(steps.cumsum(2, dtype=torch.int32), base[..., None], out=right[..., 1:])
        yield right.div_(size[:, None])


def _empty(tau: Tensor) -> Tensor:
    return tau[:, 1:] <= tau[:, :-1]


def pack(worst: Tensor, mean: Tensor) -> Tensor:
    """Worst-group and mean accuracy (float64, 0..1) as one comparable int64."""
    high = worst.mul(GRID).round().to(torch.int64)
    return high.mul_(2 * GRID).add_(mean.mul(GRID).round().to(torch.int64))


def unpack(key: int) -> tuple[float, float]:
    """Worst-group and mean accuracy of a key."""
    return worst_of(key) / GRID, mean_of(key) / GRID


def worst_of(key: int) -> int:
    """Worst-group accuracy of a key, in steps of `GRID`."""
    return key // (2 * GRID)


def mean_of(key: int) -> int:
    """Mean accuracy of a key, in steps of `GRID`."""
    return key % (2 * GRID)


def present_key(problem: Problem) -> int:
    """The key of the problem as it is, nothing changed."""
    share = group_counts(problem, problem.chosen == (problem.sign > 0)) / problem.size
    return int(pack(share.min(), share.mean()))


def bound_key(problem: Problem) -> int:
    """No change of this row has a key above this: all probes that matter are right."""
    best = torch.bincount(problem.group, minlength=len(problem.size)) / problem.size
    return int(pack(best.min(), torch.ones(())))


def point(tau: Tensor, k: int) -> float:
    """A number inside interval k of sorted thresholds `[K]`: its midpoint.

    The unbounded ones: beyond the outermost finite threshold by half the median positive
    gap between thresholds, or by max(|threshold|, 1) / 2 where there is no gap.
    """
    finite = tau[torch.isfinite(tau)]
    if len(finite) == 0:
        return 0.0
    if 0 < k < len(finite):
        low, high = finite[k - 1].item(), finite[k].item()
        return low + (high - low) / 2
    gaps = finite.diff()
    gaps = gaps[gaps > 0]
    edge = finite[0].item() if k == 0 else finite[-1].item()
    beyond = float(np.median(gaps.cpu().numpy())) / 2 if len(gaps) else max(abs(edge), 1.0) / 2
    return edge - beyond if k == 0 else edge + beyond


def best_point(keys: Tensor, tau: Tensor) -> float:
    """Among the intervals of one scan with the best key, the point nearest to 0."""
    best = (keys == keys.max()).nonzero().flatten().tolist()
    if len(best) > 2:
        best = _nearest(best, tau)
    return min((point(tau, k) for k in best), key=abs)


def _nearest(intervals: list[int], tau: Tensor) -> list[int]:
    """The few intervals that can hold the midpoint nearest to 0: sorted, so near the sign."""
    middle = [point(tau, k) for k in intervals[:1] + intervals[-1:]]
    if middle[0] >= 0:
        return intervals[:1]
    if middle[1] <= 0:
        return intervals[-1:]
    low, high = 0, len(intervals) - 1
    while high - low > 1:
        at = (low + high) // 2
        low, high = (at, high) if point(tau, intervals[at]) < 0 else (low, at)
    return [intervals[low], intervals[high]]
