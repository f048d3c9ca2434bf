"""Weights of any rows and the biases of those rows, fitted together to smoothed accuracies.

Group accuracies are steps of the numbers edited. The best point of such steps is the best of
many lucky ones: the more numbers, the more of its score is luck. Here every probe counts by
how far its margin (its own logit less the best other one) lies above or below 0, with the
logistic function of a narrow width in place of the step, so the probes near 0 are averaged
and the score has a slope and a curvature to follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from ..checks import MOST_WEIGHTS
from ..edit.record import Change
from ..probes.features import Probes

WIDTH = 0.6
"""Width of the step in a group of n probes: this times the spread of its margins / n^(1/3)."""
SOFTNESS = 0.01
"""The lowest group accuracy is a soft minimum: groups this close to it count too."""
PENALTY = 1e-5
"""Cost of a number that moves the margins by their own spread (it grows with the square):
nothing beside an accuracy, but an edit that helps at every size stays finite."""

Cell = tuple[int, int]
"""Row and column of a weight."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Some probes, group by group: rows `[n]` are their numbers, group `[n]` 0..G-1 rising.

    Where a shape begins with B, it is of B edits side by side.
    """

    probes: Probes
    rows: Tensor
    group: Tensor

    @classmethod
    def of(cls, probes: Probes, rows: Tensor) -> Sample:
        """The probes `rows` (numbers) in the order of their groups."""
        group = probes.groups[rows].unique(return_inverse=True)[1]
        order = group.argsort(stable=True)
        return cls(probes, rows[order], group[order])

    @cached_property
    def size(self) -> Tensor:
        """How many probes each group has, `[G]`."""
        return torch.bincount(self.group).double()

    @cached_property
    def own(self) -> Tensor:
        """The row of the head that is to be the largest for each probe `[n]`; -1 is the
        threshold."""
        y = self.probes.y[self.rows]
        return y if self.probes.tag is None else torch.where(y == 1, self.probes.tag, -1)

    @cached_property
    def _best(self) -> tuple[Tensor, Tensor]:
        """The largest logits of each probe and their rows: enough for any few rows left out."""
        if self.probes.cut is None:
            z = self.probes.z[self.rows]
            found = z.topk(min(z.shape[1], MOST_WEIGHTS + 2), dim=1)
            return found.values.double(), found.indices
        tag = self.probes.z[self.rows, self.probes.tag].double()[:, None]
        both = torch.cat([tag, torch.full_like(tag, self.probes.cut)], dim=1)
        return both, torch.tensor([self.probes.tag or 0, -1]).expand(len(tag), 2)

    def logits(self, rows: Sequence[int]) -> Tensor:
        """Logits of some rows of the head, `[n, r]` float64."""
        return self.probes.z[self.rows][:, list(rows)].double()

    def rest(self, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """What an edit of these rows does not move: the own logit (0 where it is of one of
        them), the best of the other classes' logits, and its row; each `[n]`."""
        values, at = self._best
        mine = at == self.own[:, None]
        edited = torch.isin(at, torch.tensor(list(rows), dtype=torch.long))
        best, first = values.masked_fill(mine | edited, -torch.inf).max(dim=1)
        own = self._own_logits.masked_fill(torch.isin(self.own, at.new_tensor(list(rows))), 0)
        return own, best, at.gather(1, first[:, None])[:, 0]

    @cached_property
    def _own_logits(self) -> Tensor:
        if self.probes.cut is not None:
            tag = self.logits([self.probes.tag or 0])[:, 0]
            return torch.where(self.own < 0, self.probes.cut, tag)
        return self.probes.z[self.rows].gather(1, self.own[:, None])[:, 0].double()

    def read(self, columns: Sequence[int]) -> Tensor:
        """Features `[n, k]` of some columns."""
        one = [self.probes.columns(self.rows, j, j + 1) for j in columns]
        return torch.cat(one, dim=1) if one else torch.zeros(len(self.rows), 0).double()

    def basis(self, cells: Sequence[Cell]) -> Tensor:
        """What one unit of each cell adds to the logit of its row, `[n, w]`."""
        features = self.read([column for _, column in cells])
        mean, spread = units(features)
        return (mean - features) / spread

    def sums(self, values: Tensor) -> Tensor:
        """Sums over the probes of each group: `[B, n, ...]` to `[B, G, ...]`."""
        ends = self.size.long().cumsum(0) - 1
        total = values.cumsum(1)[:, ends]
        return torch.cat([total[:, :1], total.diff(dim=1)], dim=1)

    def widths(self, margins: Tensor) -> Tensor:
        """Width of the step for each probe, `[B, n]`, never 0."""
        middle = (self.sums(margins) / self.size)[:, self.group]
        spread = (self.sums((margins - middle) ** 2) / self.size).sqrt()
        width = WIDTH * spread / self.size ** (1 / 3)
        return torch.maximum(width, 1e-3 * spread_of(margins)[:, None])[:, self.group]

    def accuracies(self, right: Tensor) -> Tensor:
        """The accuracy of each group: `[B, n]` to `[B, G]`."""
        return self.sums(right.double()) / self.size


@dataclass(frozen=True, eq=False)
class Fit:
    """Weights (cells) and the biases of rows, at least of those that the cells are in: numbers
    `[w + r]`, of each weight in units of its feature's spread, then of each row's bias, for
    centred features. value: their score."""

    cells: tuple[Cell, ...]
    rows: tuple[int, ...]
    numbers: Tensor
    value: float = -torch.inf

    def with_row(self, row: int) -> Fit:
        """With the bias of one row more, which is 0; the same if it has it."""
        if row in self.rows:
            return self
        return replace(
            self, rows=(*self.rows, row), numbers=_extended(self.numbers, len(self.numbers))
        )

    def with_cell(self, cell: Cell) -> Fit:
        """With one weight more, which is 0; its row is there."""
        numbers = _extended(self.numbers, len(self.cells))
        return replace(self, cells=(*self.cells, cell), numbers=numbers)


def _extended(numbers: Tensor, at: int) -> Tensor:
    return torch.cat([numbers[:at], numbers.new_zeros(1), numbers[at:]])


@dataclass(frozen=True, eq=False)
class Batch:
    """B fits with as many weights (w) and rows (r) each, side by side.

    basis `[B, n, w]`: what one unit of each weight adds to its row's logit. place `[B, w, r]`:
    1 where the weight is in the row. logits `[B, n, r]`: of the rows, unedited. mine
    `[B, n, r]`: whether the row is the probe's own. own, best `[B, n]`: see `Sample.rest`.
    """

    sample: Sample
    basis: Tensor
    place: Tensor
    logits: Tensor
    mine: Tensor
    own: Tensor
    best: Tensor

    @classmethod
    def of(cls, sample: Sample, fits: Sequence[Fit]) -> Batch:
        """Of fits, whatever their numbers."""
        fixed = {rows: sample.rest(rows) for rows in dict.fromkeys(fit.rows for fit in fits)}
        place = [[[float(r == row) for r in fit.rows] for row, _ in fit.cells] for fit in fits]
        shape = len(fits), len(fits[0].cells), len(fits[0].rows)
        own = sample.own[:, None]
        return cls(
            sample,
            torch.stack([sample.basis(fit.cells) for fit in fits]),
            torch.tensor(place, dtype=torch.float64).view(shape),
            torch.stack([sample.logits(fit.rows) for fit in fits]),
            torch.stack([own == own.new_tensor(fit.rows) for fit in fits]),
            torch.stack([fixed[fit.rows][0] for fit in fits]),
            torch.stack([fixed[fit.rows][1] for fit in fits]),
        )

    def part(self, keep: Tensor) -> Batch:
        """Only some of the edits."""
        names = [each.name for each in fields(self)[1:]]
        return Batch(self.sample, *(getattr(self, name)[keep] for name in names))

    def margins(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """With these numbers: margins `[B, n]`, which row is the best other one (r: none of the
        edited), and by how much each row's logit counts in the margin, `[B, n, r]`."""
        count = self.place.shape[1]
        moved = (self.basis * numbers[:, None, :count]) @ self.place
        z = self.logits + moved + numbers[:, None, count:]
        others = torch.cat([z.masked_fill(self.mine, -torch.inf), self.best[..., None]], dim=2)
        best, at = others.max(dim=2)
        own = self.own + z.masked_fill(~self.mine, 0).sum(2)
        rows = torch.arange(self.place.shape[2])
        return own - best, at, self.mine.double() - (at[..., None] == rows).double()


@dataclass(frozen=True, eq=False)
class Score:
    """The smoothed worst-group accuracy of B edits less the penalty: value `[B]`, gradient
    `[B, P]` and Hessian `[B, P, P]` of their numbers; slope `[B, n]`: of the margins."""

    value: Tensor
    gradient: Tensor
    hessian: Tensor
    slope: Tensor


def score(batch: Batch, width: Tensor, numbers: Tensor, own: float) -> Score:
    """The score of these numbers at this width `[B, n]`; own: the spread of unedited margins."""
    sample = batch.sample
    margin, _, sign = batch.margins(numbers)
    right = torch.sigmoid(margin / width)
    accuracy = sample.accuracies(right)
    share = (-accuracy / SOFTNESS).softmax(1)
    value = -SOFTNESS * (-accuracy / SOFTNESS).logsumexp(1)
    value = value - PENALTY * (numbers / own).square().sum(1)
    moves = torch.cat([batch.basis * (sign @ batch.place.mT), sign], dim=2)
    steep = right * (1 - right) / width
    rise = sample.sums(moves * steep[..., None]) / sample.size[:, None]
    gradient = (share[..., None] * rise).sum(1)
    counts = (share / sample.size)[:, sample.group]
    bend = counts * steep * (1 - 2 * right) / width
    hessian = moves.mT @ (moves * bend[..., None])
    apart = (rise * share[..., None]).mT @ rise - gradient[:, :, None] * gradient[:, None]
    hessian = hessian - apart / SOFTNESS
    hessian = hessian - 2 * PENALTY / own**2 * torch.eye(numbers.shape[1], dtype=torch.float64)
    return Score(value, gradient - 2 * PENALTY * numbers / own**2, hessian, counts * steep)


def climb(
    batch: Batch, width: Tensor, numbers: Tensor, own: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Numbers `[B, P]` further up at this width, and their values `[B]`: damped Newton steps
    with the curvatures' absolute values (Dauphin et al. 2014, arXiv 1406.2572)."""
    unit = spread_of(batch.margins(numbers)[0])[:, None]
    damping = torch.full((len(numbers), 1), FIRST_DAMPING, dtype=torch.float64)
    now = score(batch, width, numbers, own)
    value, gradient, hessian = now.value, now.gradient, now.hessian
    for _ in range(steps):
        step = _newton(gradient * unit, hessian * unit[..., None] ** 2, damping)
        tried = numbers + unit * step
        new = score(batch, width, tried, own)
        better = new.value > value
        gain = torch.where(better, new.value - value, 0)
        numbers = torch.where(better[:, None], tried, numbers)
        gradient = torch.where(better[:, None], new.gradient, gradient)
        hessian = torch.where(better[:, None, None], new.hessian, hessian)
        value = torch.where(better, new.value, value)
        damping = torch.where(better[:, None], damping / 4, damping * 8)
        if bool(((gain < GAIN) & (better | (damping[:, 0] > LAST_DAMPING))).all()):
            break
    return numbers, value


FIRST_DAMPING, LAST_DAMPING, GAIN = 1e-2, 1e2, 1e-5
"""Damping is in units of the largest curvature; a climb ends where no step gains as much."""


def _newton(gradient: Tensor, hessian: Tensor, damping: Tensor) -> Tensor:
    """A step up `[B, P]`, no longer than 1."""
    curvature, axes = torch.linalg.eigh(hessian)
    size = curvature.abs()
    size = size + damping * size.amax(1, keepdim=True) + 1e-12
    step = (axes @ ((axes.mT @ gradient[..., None]) / size[..., None]))[..., 0]
    return step / step.norm(dim=1, keepdim=True).clamp_min(1)


def start_from(sample: Sample, change: Change) -> Fit:
    """A change as the numbers of a fit, not fitted yet."""
    cells = tuple((part.row, j) for part in change.by_row for j, _ in part.weights)
    mean, spread = units(sample.read([j for _, j in cells]))
    t = torch.tensor([t for part in change.by_row for _, t in part.weights], dtype=torch.float64)
    shift = {part.row: part.shift for part in change.by_row}
    for (row, _), lost in zip(cells, (t * mean).tolist(), strict=True):
        shift[row] -= lost
    shifts = torch.tensor(list(shift.values()), dtype=torch.float64)
    return Fit(cells, change.rows, torch.cat([t * spread, shifts]))


def change_of(sample: Sample, fit: Fit) -> Change:
    """What was fitted, as a change of the head."""
    mean, spread = units(sample.read([j for _, j in fit.cells]))
    t = (fit.numbers[: len(fit.cells)] / spread).tolist()
    shift = dict(zip(fit.rows, fit.numbers[len(fit.cells) :].tolist(), strict=True))
    weights: dict[int, list[tuple[int, float]]] = {row: [] for row in fit.rows}
    for (row, j), one, middle in zip(fit.cells, t, mean.tolist(), strict=True):
        weights[row].append((j, one))
        shift[row] += one * middle
    first, *others = (Change(row, tuple(weights[row]), shift[row]) for row in fit.rows)
    return Change(first.row, first.weights, first.shift, tuple(others))


def units(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of each column, the spread never 0."""
    mean = features.mean(0)
    spread = (features - mean).square().mean(0).sqrt()
    return mean, torch.where(spread > 0, spread, 1.0)


def spread_of(margins: Tensor) -> Tensor:
    """The spread of margins `[B, n]`, `[B]`, never 0."""
    spread = margins.std(dim=1, correction=0)
    return torch.where(spread > 0, spread, 1.0)
