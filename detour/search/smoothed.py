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
FEW_GROUPS = 16
"""Up to so many groups their sums are one product of matrices."""
BLOCK = 2**22
"""Features are read in blocks of so many."""
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
        return self.probes.cells(self.rows, torch.tensor(list(columns), dtype=torch.long))

    def basis(self, columns: Sequence[int]) -> dict[int, Tensor]:
        """What one unit of a weight of each column adds to the logit of its row, `[n]`."""
        every = list(dict.fromkeys(columns))
        values = self.read(every)
        mean, spread = units(values)
        return dict(zip(every, ((mean - values) / spread).T.contiguous(), strict=True))

    @cached_property
    def units(self) -> tuple[Tensor, Tensor]:
        """Mean and spread of every feature, two times `[D]`."""
        width = self.probes.features.shape[1]
        step = max(1, BLOCK // len(self.rows))
        parts = [
            units(self.probes.columns(self.rows, first, min(width, first + step)))
            for first in range(0, width, step)
        ]
        mean, spread = (torch.cat(each) for each in zip(*parts, strict=True))
        return mean, spread

    @cached_property
    def spread(self) -> float:
        """The spread of the margins without an edit."""
        own, best, _ = self.rest(())
        return float(spread_of((own - best)[None])[0])

    @cached_property
    def _ends(self) -> Tensor:
        return self.size.long().cumsum(0) - 1

    @cached_property
    def _members(self) -> Tensor:
        """1 where a probe is of a group, `[n, G]`."""
        return torch.nn.functional.one_hot(self.group).double()

    def sums(self, values: Tensor) -> Tensor:
        """Sums over the probes of each group: `[..., n]` to `[..., G]`."""
        if len(self.size) <= FEW_GROUPS:
            return values @ self._members
        total = values.cumsum(-1)[..., self._ends]
        return torch.cat([total[..., :1], total.diff(dim=-1)], dim=-1)

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

    basis `[B, w, n]`: what one unit of each weight adds to its row's logit. place `[B, w, r]`:
    1 where the weight is in the row. logits `[B, r, n]`: of the rows, unedited. mine
    `[B, r, n]`: whether the row is the probe's own. own, best `[B, n]`: see `Sample.rest`.
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
        basis = sample.basis([column for fit in fits for _, column in fit.cells])
        each = [basis[column] for fit in fits for _, column in fit.cells]
        count = len(sample.rows)
        return cls(
            sample,
            torch.stack(each).view(*shape[:2], count)
            if each
            else torch.zeros(*shape[:2], count).double(),
            torch.tensor(place, dtype=torch.float64).view(shape),
            torch.stack([sample.logits(fit.rows).T for fit in fits]),
            torch.stack([sample.own == sample.own.new_tensor(fit.rows)[:, None] for fit in fits]),
            torch.stack([fixed[fit.rows][0] for fit in fits]),
            torch.stack([fixed[fit.rows][1] for fit in fits]),
        )

    def part(self, keep: Tensor) -> Batch:
        """Only some of the edits."""
        names = [each.name for each in fields(self)[1:]]
        return Batch(self.sample, *(getattr(self, name)[keep] for name in names))

    @cached_property
    def _fixed(self) -> tuple[Tensor, Tensor] | None:
        """Margins at 0 and `moves` where these are the same whatever the numbers are: with one
        row that is either the probe's own or its only rival (two classes, or one tag)."""
        if self.place.shape[2] != 1 or not bool((self.mine[:, 0] | self.best.isneginf()).all()):
            return None
        return self._moves(torch.zeros(len(self.basis), self.place.shape[1] + 1).double())

    def _compare(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Margins `[B, n]`, and which row is the best other one (r: none of the edited)."""
        count = self.place.shape[1]
        moved = self.place.mT @ (self.basis * numbers[:, :count, None])
        z = self.logits + moved + numbers[:, count:, None]
        others = torch.cat([z.masked_fill(self.mine, -torch.inf), self.best[:, None]], dim=1)
        best, at = others.max(dim=1)
        return self.own + z.masked_fill(~self.mine, 0).sum(1) - best, at

    def _moves(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        margin, at = self._compare(numbers)
        rows = torch.arange(self.place.shape[2])[:, None]
        sign = self.mine.double() - (at[:, None] == rows).double()
        return margin, torch.cat([self.basis * (self.place @ sign), sign], dim=1)

    def moves(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """With these numbers: margins `[B, n]`, and what each moves with each of them, `[B, P,
        n]`."""
        if self._fixed is None:
            return self._moves(numbers)
        start, moves = self._fixed
        return start + (numbers[:, None] @ moves)[:, 0], moves

    def margins(self, numbers: Tensor) -> Tensor:
        """Margins `[B, n]` with these numbers."""
        return self._compare(numbers)[0] if self._fixed is None else self.moves(numbers)[0]

    def rivals(self, numbers: Tensor) -> Tensor:
        """Which row of the edited is the best other one (r: none of them), `[B, n]`."""
        return self._compare(numbers)[1]


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
    margin, moves = batch.moves(numbers)
    right = torch.sigmoid(margin / width)
    accuracy = sample.accuracies(right)
    share = (-accuracy / SOFTNESS).softmax(1)
    value = -SOFTNESS * (-accuracy / SOFTNESS).logsumexp(1)
    value = value - PENALTY * (numbers / own).square().sum(1)
    steep = right * (1 - right) / width
    rise = sample.sums(moves * steep[:, None]) / sample.size
    gradient = (rise @ share[..., None])[..., 0]
    counts = (share / sample.size)[:, sample.group] * steep
    bend = counts * (1 - 2 * right) / width
    hessian = (moves * bend[:, None]) @ moves.mT
    apart = (rise * share[:, None]) @ rise.mT - gradient[:, :, None] * gradient[:, None]
    hessian = hessian - apart / SOFTNESS
    hessian = hessian - 2 * PENALTY / own**2 * torch.eye(numbers.shape[1], dtype=torch.float64)
    return Score(value, gradient - 2 * PENALTY * numbers / own**2, hessian, counts)


def climb(
    batch: Batch, width: Tensor, numbers: Tensor, own: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Numbers `[B, P]` further up at this width, and their values `[B]`: damped Newton steps
    with the curvatures' absolute values (Dauphin et al. 2014, arXiv 1406.2572)."""
    unit = spread_of(batch.margins(numbers))[:, None]
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
