"""Accuracy of the groups against the degree of an edit: the whole step function, no samples.

An edit is linear in its degree, so each logit is a straight line through its values at degree 0
and 1. A picture is right while its own class's line is above all others. Lines minus the upper
envelope of lines are concave: that holds on one span of degrees, whose ends are where lines cross.
Ours; the rounding of float32 logits moves an end by about 1e-6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..edit.apply import stack_logits
from ..edit.record import EditStack
from ..probes.features import Probes
from .groups import FEWEST_UNITS, GroupMetrics, group_metrics

LAST = 2.0
"""The curve reaches from 0 to this; 1 = as found, beyond it over-correction."""
STEP = 0.05
"""A small move of the degree: one step of the hosts' sliders."""
STEEP = 0.1
"""A cliff: this share of a group turns within one step of the slider."""
GRID = 1e9
"""Accuracies that agree to this many parts count as equal."""


@dataclass(frozen=True, eq=False)
class Spans:
    """The degrees at which each of n pictures is right: from low to high, float64 `[n]`.

    with_low, with_high: whether it is right at that very degree too, `[n]` bool. A picture that
    is never right has low = inf and high = -inf.
    """

    low: Tensor
    high: Tensor
    with_low: Tensor
    with_high: Tensor

    def right(self, degree: float) -> Tensor:
        """Which pictures are right at one degree, `[n]` bool."""
        above = (self.low < degree) | ((self.low == degree) & self.with_low)
        below = (self.high > degree) | ((self.high == degree) & self.with_high)
        return above & below


@dataclass(frozen=True)
class Safe:
    """From degree 0 to `until` no group is below the 95 % interval of its accuracy at degree 0.

    breaks: the group that is, right beyond; empty where the curve ends before any is.
    """

    until: float
    breaks: str


@dataclass(frozen=True)
class Cliff:
    """Between two degrees no further apart than `STEP`, `flips` of the `count` pictures of a
    group turn from right to wrong or back."""

    low: float
    high: float
    group: str
    flips: int
    count: int


@dataclass(frozen=True, eq=False)
class DegreeCurve:
    """The probes `rows` against the degree of the last edit of a stack; see `degree_curve`."""

    probes: Probes
    rows: Tensor
    spans: Spans

    def metrics(self, degree: float) -> GroupMetrics:
        """The metrics at one degree of any size and sign."""
        right = torch.zeros(len(self.probes), dtype=torch.bool)
        right[self.rows] = self.spans.right(degree)
        return group_metrics(self.probes, right, self.rows)

    @cached_property
    def start(self) -> GroupMetrics:
        """Without the edit."""
        return self.metrics(0.0)

    @cached_property
    def groups(self) -> list[int]:
        """The groups that are measured, by their numbers."""
        return [g for g, count in enumerate(self.start.counts) if count]

    @cached_property
    def edges(self) -> Tensor:
        """Every degree between 0 and `LAST` at which a picture turns, rising, `[K]` float64."""
        return self._turns[0].unique()

    @cached_property
    def accuracy(self) -> Tensor:
        """Accuracy of each of `groups` between the edges, `[G, K + 1]` float64."""
        degree, turn, group = self._turns
        table = torch.zeros(self.probes.n_groups, len(self.edges) + 1, dtype=torch.float64)
        spans = self.spans
        first = (spans.low <= 0) & (spans.high > 0) & (spans.low < spans.high)
        own = self.probes.groups[self.rows]
        table[:, 0] = torch.bincount(own[first], minlength=len(table)).double()
        place = torch.searchsorted(self.edges, degree) + 1
        table.index_put_((group, place), turn, accumulate=True)
        sizes = torch.tensor([self.start.counts[g] for g in self.groups], dtype=torch.float64)
        return table.cumsum(1)[self.groups] / sizes[:, None]

    @property
    def worst(self) -> Tensor:
        """Worst-group accuracy between the edges, `[K + 1]`."""
        return self.accuracy.amin(0)

    @property
    def mean(self) -> Tensor:
        """Mean accuracy of the groups between the edges, `[K + 1]`."""
        return self.accuracy.mean(0)

    def best(self) -> float:
        """The degree, 0 to `LAST`, with the best worst-group accuracy; ties: higher mean, then
        nearer to 0. The shortest number near the middle of its step; 0 if nothing beats none."""
        worst, mean = (self.worst * GRID).round(), (self.mean * GRID).round()
        peak = worst.max()
        step = int(torch.where(worst == peak, mean, -1).argmax())
        reached = (float(peak), float(mean[step]))
        if reached <= (round(self.start.worst * GRID), round(self.start.mean * GRID)):
            return 0.0
        ends = [0.0, *self.edges.tolist(), LAST]
        return _between(ends[step], ends[step + 1])

    def safe(self) -> Safe | None:
        """How far the edit is safe; None where a group is not measured, or on fewer than
        `FEWEST_UNITS` photos or seeds: their intervals forbid nothing."""
        start = self.start
        if start.unmeasured or min(n for n in start.units if n) < FEWEST_UNITS:
            return None
        floors = torch.tensor([start.low[g] or 0.0 for g in self.groups], dtype=torch.float64)
        below = self.accuracy < floors[:, None] - 1 / GRID
        unsafe = below.any(0).nonzero().flatten().tolist()
        if not unsafe:
            return Safe(LAST, "")
        broken = self.groups[int(below[:, unsafe[0]].int().argmax())]
        ends = [0.0, *self.edges.tolist()]
        return Safe(ends[unsafe[0]], start.names[broken])

    def cliff(self) -> Cliff | None:
        """The steepest step of the slider, if `STEEP` of a group turns on it."""
        found = [cliff for g in self.groups if (cliff := self._steepest(g)) is not None]
        steep = [c for c in found if c.flips >= max(STEEP * c.count, FEWEST_UNITS)]
        return max(steep, key=lambda c: c.flips / c.count, default=None)

    def _steepest(self, group: int) -> Cliff | None:
        degree, _, own = self._turns
        places = degree[own == group].sort().values
        if len(places) == 0:
            return None
        ends = torch.searchsorted(places, places + STEP, right=True)
        flips = ends - torch.arange(len(places))
        at = int(flips.argmax())
        last = float(places[int(ends[at]) - 1])
        name, count = self.start.names[group], self.start.counts[group]
        return Cliff(float(places[at]), last, name, int(flips[at]), count)

    @cached_property
    def _turns(self) -> tuple[Tensor, Tensor, Tensor]:
        """Degree, +1 or -1 right answers, and group of each turn between 0 and `LAST`."""
        spans, own = self.spans, self.probes.groups[self.rows]
        kept = spans.low < spans.high
        degree = torch.cat([spans.low[kept], spans.high[kept]])
        turn = torch.ones(len(degree), dtype=torch.float64)
        turn[len(degree) // 2 :] = -1
        group = own[kept].repeat(2)
        inside = (degree > 0) & (degree < LAST)
        return degree[inside], turn[inside], group[inside]


def degree_curve(probes: Probes, stack: EditStack, rows: Tensor | None = None) -> DegreeCurve:
    """The probes `rows` (all if None) against the degree of the last edit; edits below it stay.

    probes: with the *unedited* head. All numbers of the edit move together. At degree 0 and 1 it
    is what the head gives there, ties included.
    Raises ValueError for an empty stack, and for probes of another head or without classes.
    """
    rows = torch.arange(len(probes)) if rows is None else rows
    ends = (stack_logits(probes, stack.with_degree(degree))[rows] for degree in (0.0, 1.0))
    return DegreeCurve(probes, rows, _spans(probes, rows, *ends))


def _spans(probes: Probes, rows: Tensor, first: Tensor, second: Tensor) -> Spans:
    """Where each probe is right, given its logits `[n, C]` at degree 0 and 1."""
    y = probes.y[rows]
    if probes.cut is not None:
        ends = [z[:, probes.tag].double() - probes.cut for z in (first, second)]
        margin, slope = ends[0], ends[1] - ends[0]
        absent = y == 0  # right up to the cut-off and on it
        sign = torch.where(absent, -1.0, 1.0)
        return _meet((sign * margin)[:, None], (sign * slope)[:, None], absent[:, None])
    moved = (first != second).any(0).nonzero().flatten()
    own = [z.gather(1, y[:, None]).double() for z in (first, second)]
    rivals = [z[:, moved].double() for z in (first, second)]
    # Of the rows that stay where they are only the highest counts.
    still = first.clone()
    still[:, moved] = -torch.inf
    still.scatter_(1, y[:, None], -torch.inf)
    index = torch.cat([moved.expand(len(rows), -1), still.argmax(1, keepdim=True)], dim=1)
    highest = still.amax(1, keepdim=True).double()
    margins = [a - torch.cat([b, highest], dim=1) for a, b in zip(own, rivals, strict=True)]
    # A class is no rival of itself; where no other row stays, the rival is at -inf.
    slope = torch.where(margins[0].isinf(), 0.0, margins[1] - margins[0])
    return _meet(margins[0], slope, (y[:, None] <= index) | margins[0].isinf())


def _meet(margin: Tensor, slope: Tensor, wins_tie: Tensor) -> Spans:
    """Where `margin + degree * slope` is above 0 in every column (or is 0 and wins the tie)."""
    inf = torch.inf
    at = -margin / slope
    low = torch.where(slope > 0, at, -inf)
    high = torch.where(slope < 0, at, inf)
    never = (slope == 0) & ~((margin > 0) | ((margin == 0) & wins_tie))
    least, most = low.amax(1), high.amin(1)
    with_low = (wins_tie | (low < least[:, None])).all(1)
    with_high = (wins_tie | (high > most[:, None])).all(1)
    empty = never.any(1) | (least > most) | ((least == most) & ~(with_low & with_high))
    return Spans(
        torch.where(empty, inf, least), torch.where(empty, -inf, most), with_low, with_high
    )


def _between(low: float, high: float) -> float:
    """The number with the fewest decimals near the middle of an open interval."""
    middle = (low + high) / 2
    near = (round(middle, digits) for digits in range(1, 17))
    return next((number for number in near if low < number < high), middle)
