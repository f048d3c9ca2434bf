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

from ..edit.record import Change
from .sample import Sample
from .scan import GRID

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
class Fit:
    """Weights (cells) and the biases of rows, at least of those that the cells are in, fitted to
    a part of a sample: numbers `[w + r]`, of each weight in units of its feature's spread, then
    of each row's bias, for centred features. value: their score."""

    part: int
    cells: tuple[Cell, ...]
    rows: tuple[int, ...]
    numbers: Tensor
    value: float = -torch.inf

    @classmethod
    def none(cls, part: int) -> Fit:
        """Where the first weight is added to."""
        return cls(part, (), (), torch.zeros(0, dtype=torch.float64))

    @property
    def shape(self) -> tuple[int, int]:
        """How many weights and rows: fits of one shape are worked on together."""
        return len(self.cells), len(self.rows)

    def with_row(self, row: int) -> Fit:
        """With the bias of one row more, which is 0; the same if it has it."""
        if row in self.rows:
            return self
        return replace(
            self, rows=(*self.rows, row), numbers=_extended(self.numbers, len(self.numbers))
        )

    def with_room(self) -> Fit:
        """With the number of one weight more, which is 0; its cell is still to be named."""
        return replace(self, numbers=_extended(self.numbers, len(self.cells)))


def _extended(numbers: Tensor, at: int) -> Tensor:
    return torch.cat([numbers[:at], numbers.new_zeros(1), numbers[at:]])


@dataclass(frozen=True, eq=False)
class Rest:
    """What fits of K different sets of r rows are added to.

    logits `[K, r, n]`: of the rows, unedited. mine `[K, r, n]`: whether the row is the probe's
    own. own, best, rival `[K, n]`: see `Sample.rest`.
    """

    logits: Tensor
    mine: Tensor
    own: Tensor
    best: Tensor
    rival: Tensor

    @classmethod
    def of(cls, sample: Sample, kinds: Sequence[tuple[int, ...]]) -> Rest:
        """Of these sets of rows."""
        logits = torch.stack([sample.logits(rows) for rows in kinds])
        mine = [sample.own == sample.own.new_tensor(rows)[:, None] for rows in kinds]
        own, best, rival = map(torch.stack, zip(*map(sample.rest, kinds), strict=True))
        return cls(logits, torch.stack(mine), own, best, rival)

    def of_each(self, kind: Tensor) -> Rest:
        """For each of some fits, given the number of its set of rows `[B]`."""
        every = (getattr(self, each.name) for each in fields(self))
        if len(self.own) == 1:
            return Rest(*(one.expand(len(kind), *one.shape[1:]) for one in every))
        return Rest(*(one[kind] for one in every))

    @cached_property
    def line(self) -> tuple[Tensor, Tensor] | None:
        """Margins and whether they rise with the one row's logit (1, else -1), each `[K, 1, n]`,
        where that moves every margin, whatever it is: with two classes, or one tag."""
        if self.logits.shape[1] != 1 or not bool((self.mine[:, 0] | self.best.isneginf()).all()):
            return None
        z, best, own = self.logits, self.best[:, None], self.own[:, None]
        return torch.where(self.mine, z - best, own - z), self.mine.double() * 2 - 1


@dataclass(frozen=True, eq=False)
class Batch:
    """B fits with as many weights (w) and rows (r) each, side by side, each to its part `[B]`.

    basis `[B, w, n]`: what one unit of each weight adds to its row's logit. place `[B, w, r]`:
    1 where the weight is in the row. rows `[B, r]`; rest: of all sets of rows that there are,
    kind `[B]`: which of them each fit has.
    """

    sample: Sample
    part: Tensor
    basis: Tensor
    place: Tensor
    rows: Tensor
    kind: Tensor
    rest: Rest

    @classmethod
    def of(cls, sample: Sample, fits: Sequence[Fit]) -> Batch:
        """Of fits of one shape, whatever their numbers."""
        place = [[[float(r == row) for r in fit.rows] for row, _ in fit.cells] for fit in fits]
        kinds = list(dict.fromkeys(fit.rows for fit in fits))
        part = torch.tensor([fit.part for fit in fits], dtype=torch.long)
        return cls(
            sample,
            part,
            _basis(sample, part, [[column for _, column in fit.cells] for fit in fits]),
            torch.tensor(place, dtype=torch.float64).view(len(fits), *fits[0].shape),
            torch.tensor([fit.rows for fit in fits], dtype=torch.long),
            torch.tensor([kinds.index(fit.rows) for fit in fits]),
            Rest.of(sample, kinds),
        )

    def some(self, keep: Tensor) -> Batch:
        """Only some of the edits."""
        names = ("part", "basis", "place", "rows", "kind")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    @cached_property
    def share(self) -> Tensor:
        """What each probe counts in the accuracy of its group, `[B, n]`."""
        return self.sample.share[self.part]

    @cached_property
    def unit(self) -> Tensor:
        """The spread of the margins without an edit, `[B, 1]`."""
        return self.sample.spread[self.part][:, None]

    @cached_property
    def _own(self) -> Rest:
        return self.rest.of_each(self.kind)

    @cached_property
    def _fixed(self) -> tuple[Tensor, Tensor] | None:
        """Margins at 0 `[B, 1, n]` and `moves` where these are the same whatever the numbers."""
        if self.rest.line is None:
            return None
        start, sign = (each[self.kind] for each in self.rest.line)
        return start, torch.cat([self.basis * sign, sign], dim=1)

    def _compare(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Margins `[B, n]`, and which row is the best other one (r: none of the edited)."""
        count, rest = self.place.shape[1], self._own
        moved = self.place.mT @ (self.basis * numbers[:, :count, None])
        z = rest.logits + moved + numbers[:, count:, None]
        others = torch.cat([z.masked_fill(rest.mine, -torch.inf), rest.best[:, None]], dim=1)
        best, at = others.max(dim=1)
        return rest.own + z.masked_fill(~rest.mine, 0).sum(1) - best, at

    def moves(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """With these numbers: margins `[B, n]`, and what each moves with each of them, `[B, P,
        n]`."""
        if self._fixed is not None:
            start, moves = self._fixed
            return torch.baddbmm(start, numbers[:, None], moves)[:, 0], moves
        margin, at = self._compare(numbers)
        rows = torch.arange(self.place.shape[2])[:, None]
        sign = self._own.mine.double() - (at[:, None] == rows).double()
        return margin, torch.cat([self.basis * (self.place @ sign), sign], dim=1)

    def margins(self, numbers: Tensor) -> Tensor:
        """Margins `[B, n]` with these numbers."""
        return self._compare(numbers)[0] if self._fixed is None else self.moves(numbers)[0]

    def rivals(self, numbers: Tensor) -> Tensor:
        """The row of the best other logit of each probe, `[B, n]`."""
        at, count, rival = self._compare(numbers)[1], self.rows.shape[1], self._own.rival
        edited = self.rows.gather(1, at.clamp_max(count - 1)) if count else rival
        return torch.where(at < count, edited, rival)

    def scales(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """With these numbers: one over the width of the step for each probe `[B, n]`, and the
        spread of the margins `[B, 1]`."""
        spread, whole = self.sample.spreads(self.margins(numbers), self.part)
        size = self.sample.size[self.part].clamp_min(1)
        width = torch.maximum(WIDTH * spread / size ** (1 / 3), 1e-3 * whole[:, None])
        return self.sample.of_group(1 / width), whole[:, None]


def _basis(sample: Sample, part: Tensor, columns: list[list[int]]) -> Tensor:
    """What one unit of a weight adds to the logit of its row, `[B, w, n]`; columns `[B][w]`."""
    every = list(dict.fromkeys(column for own in columns for column in own))
    number = {column: at for at, column in enumerate(every)}
    at = [[number[column] for column in own] for own in columns]
    places = torch.tensor(at, dtype=torch.long).view(len(columns), len(columns[0]))
    mean, spread = (each[:, every] for each in sample.units)
    values = sample.read(every).contiguous()[places]
    return (mean[part[:, None], places, None] - values).div_(spread[part[:, None], places, None])


@dataclass(frozen=True, eq=False)
class Score:
    """The smoothed worst-group accuracy of B edits less the penalty: value `[B]`.

    Computed only if asked for: gradient `[B, P]` and Hessian `[B, P, P]` of their numbers, and
    slope `[B, n]` of the margins. right `[B, n]`: how far each probe counts as right. weight
    `[B, G]`: how far each group counts as the worst. cost `[B, 1]`: see `PENALTY`.
    """

    batch: Batch
    sharp: Tensor
    numbers: Tensor
    moves: Tensor
    right: Tensor
    weight: Tensor
    cost: Tensor
    value: Tensor

    @cached_property
    def _steep(self) -> Tensor:
        """What the accuracy of its group gains where a margin rises, `[B, n]`."""
        rise = torch.addcmul(self.right, self.right, self.right, value=-1)
        return rise.mul_(self.sharp).mul_(self.batch.share)

    @cached_property
    def slope(self) -> Tensor:
        return self.batch.sample.of_group(self.weight).mul_(self._steep)

    @cached_property
    def _rise(self) -> Tensor:
        """The gradient of each group's accuracy, `[B, P, G]`."""
        return self.batch.sample.sums(self.moves * self._steep[:, None])

    @cached_property
    def _plain(self) -> Tensor:
        """The gradient without the penalty."""
        return (self._rise @ self.weight[..., None])[..., 0]

    @cached_property
    def gradient(self) -> Tensor:
        return self._plain - 2 * self.cost * self.numbers

    @cached_property
    def hessian(self) -> Tensor:
        bend = torch.rsub(self.right, 1, alpha=2).mul_(self.sharp).mul_(self.slope)
        hessian = (self.moves * bend[:, None]) @ self.moves.mT
        apart = (self._rise * self.weight[:, None]) @ self._rise.mT
        apart -= self._plain[:, :, None] * self._plain[:, None]
        hessian = hessian.sub_(apart, alpha=1 / SOFTNESS)
        hessian.diagonal(dim1=1, dim2=2).sub_(self.cost, alpha=2)
        return hessian


def score(batch: Batch, sharp: Tensor, numbers: Tensor) -> Score:
    """The score of these numbers; sharp: one over the width of the step `[B, n]`."""
    sample, (margin, moves) = batch.sample, batch.moves(numbers)
    right = margin.mul_(sharp).sigmoid_()
    accuracy = sample.sums(right * batch.share) + sample.absent[batch.part]
    cost = PENALTY / batch.unit**2
    value = -SOFTNESS * (accuracy / -SOFTNESS).logsumexp(1) - (cost * numbers.square()).sum(1)
    weight = (accuracy / -SOFTNESS).softmax(1)
    return Score(batch, sharp, numbers, moves, right, weight, cost, value)


def climb(batch: Batch, numbers: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Numbers `[B, P]` further up at the widths that they begin with, and their scores `[B]`:
    damped Newton steps with the curvatures' absolute values (Dauphin et al. 2014, arXiv
    1406.2572).

    The fits of a part end together, where no step of any of them gains as much.
    """
    sharp, unit = batch.scales(numbers)
    damping = torch.full((len(numbers), 1), FIRST_DAMPING, dtype=torch.float64)
    now = score(batch, sharp, numbers)
    value, gradient, hessian = now.value, now.gradient, now.hessian
    going, together = torch.ones(len(numbers), dtype=torch.bool), batch.part[:, None] == batch.part
    for left in reversed(range(steps)):
        step = _newton(gradient * unit, hessian * unit[..., None] ** 2, damping)
        tried = numbers + unit * step
        new = score(batch, sharp, tried)
        # At the top steps are worth what sums in another order differ by: each is taken.
        better = (new.value > value - ROUNDING) & going
        gain = torch.where(better, new.value - value, 0)
        numbers = torch.where(better[:, None], tried, numbers)
        value = torch.where(better, new.value, value)
        damping = torch.where(better[:, None], damping / 4, damping * 8)
        gains = (gain >= GAIN) | ~(better | (damping[:, 0] > LAST_DAMPING))
        going &= (together & gains).any(1)
        if left == 0 or not bool(going.any()):
            break
        gradient = torch.where(better[:, None], new.gradient, gradient)
        hessian = torch.where(better[:, None, None], new.hessian, hessian)
    return numbers, graded(value)


FIRST_DAMPING, LAST_DAMPING, GAIN = 1e-2, 1e2, 1e-5
"""Damping is in units of the largest curvature; a climb ends where no step gains as much."""
ROUNDING = 1e-13
"""More than sums of accuracies in another order (another device, other threads) differ by."""


def graded(scores: Tensor) -> Tensor:
    """Scores on the grid of accuracies: which is higher does not hang on the order of sums."""
    return (scores * GRID).round() / GRID


def _newton(gradient: Tensor, hessian: Tensor, damping: Tensor) -> Tensor:
    """A step up `[B, P]`, no longer than 1."""
    curvature, axes = torch.linalg.eigh(hessian)
    size = curvature.abs()
    size = size + damping * size.amax(1, keepdim=True) + 1e-12
    step = (axes @ ((axes.mT @ gradient[..., None]) / size[..., None]))[..., 0]
    return step / step.norm(dim=1, keepdim=True).clamp_min(1)


def start_from(sample: Sample, change: Change, part: int = 0) -> Fit:
    """A change as the numbers of a fit, not fitted yet."""
    cells = tuple((one.row, j) for one in change.by_row for j, _ in one.weights)
    mean, spread = _units(sample, part, cells)
    t = torch.tensor([t for one in change.by_row for _, t in one.weights], dtype=torch.float64)
    shift = {one.row: one.shift for one in change.by_row}
    for (row, _), lost in zip(cells, (t * mean).tolist(), strict=True):
        shift[row] -= lost
    shifts = torch.tensor(list(shift.values()), dtype=torch.float64)
    return Fit(part, cells, change.rows, torch.cat([t * spread, shifts]))


def change_of(sample: Sample, fit: Fit) -> Change:
    """What was fitted, as a change of the head."""
    mean, spread = _units(sample, fit.part, fit.cells)
    t = (fit.numbers[: len(fit.cells)] / spread).tolist()
    shift = dict(zip(fit.rows, fit.numbers[len(fit.cells) :].tolist(), strict=True))
    weights: dict[int, list[tuple[int, float]]] = {row: [] for row in fit.rows}
    for (row, j), one, middle in zip(fit.cells, t, mean.tolist(), strict=True):
        weights[row].append((j, one))
        shift[row] += one * middle
    first, *others = (Change(row, tuple(weights[row]), shift[row]) for row in fit.rows)
    return Change(first.row, first.weights, first.shift, tuple(others))


def _units(sample: Sample, part: int, cells: Sequence[Cell]) -> tuple[Tensor, Tensor]:
    """Mean and spread of the features of some weights."""
    columns = [column for _, column in cells]
    mean, spread = sample.units
    return mean[part, columns], spread[part, columns]
