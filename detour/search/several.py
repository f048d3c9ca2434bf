"""Several weights and the bias of one row, fitted together to smoothed group accuracies.

Group accuracies are steps of the numbers edited. The best point of such steps is the best of
many lucky ones: the more numbers, the more of its score is luck. Here every probe counts by
how far its margin lies above or below 0, with the logistic function of a narrow width in
place of the step, so the probes near 0 are averaged and the score has a slope to follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count, islice
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..edit.record import Change
from ..probes.features import Probes
from .one_weight import (
    MAX_BYTES,
    Progress,
    best_shift,
    best_weight,
    column_blocks,
    part_of,
    problems_of,
    quiet,
    unedited,
)
from .pair import best_pair
from .problem import Found, Problem
from .scan import present_key, unpack

WIDTH = 0.6
"""Width of the step in a group of n probes: this times the spread of its margins / n^(1/3)."""
SOFTNESS = 0.01
"""The lowest group accuracy is a soft minimum: groups this close to it count too."""
PENALTY = 1e-5
"""Cost of a number that moves the margins by their own spread (it grows with the square):
nothing beside an accuracy, but an edit that helps at every size stays finite."""
PROMISING = 16
"""How many weights are fitted before one is added: those with the steepest slope."""
WIDTHS = 2
"""How often the width is fitted to the margins."""
STEPS = 60


@dataclass(frozen=True, eq=False)
class Smoothed:
    """The smoothed worst-group accuracy of a problem with `line [K]` as its margins."""

    problem: Problem
    line: Tensor

    @cached_property
    def width(self) -> Tensor:
        """Width of the step for each probe `[K]`, never 0."""
        group, line = self.problem.group, self.line
        count = self._sums(torch.ones_like(line)).clamp_min(1)
        middle = (self._sums(line) / count)[group]
        spread = (self._sums((line - middle) ** 2) / count).sqrt()
        width = WIDTH * spread / count ** (1 / 3)
        return width.clamp_min(1e-3 * _spread(line))[group]

    def at(self, line: Tensor) -> tuple[Tensor, Tensor]:
        """The score of other margins at this width, and its slope for each of them `[K]`.

        Groups that no probe of the problem is in stay as they are and are left out.
        """
        p, sign = self.problem, self.problem.sign.double()
        right = torch.sigmoid(sign * line / self.width)
        counted = torch.bincount(p.group, minlength=len(p.size)) > 0
        accuracy = (self._sums(right) / p.size).masked_fill(~counted, torch.inf)
        score = -SOFTNESS * (-accuracy / SOFTNESS).logsumexp(0)
        share = (-accuracy / SOFTNESS).softmax(0) / p.size
        return score, share[p.group] * right * (1 - right) * sign / self.width

    def _sums(self, values: Tensor) -> Tensor:
        zero = torch.zeros(len(self.problem.size), dtype=torch.float64)
        return zero.index_add(0, self.problem.group, values)


@dataclass(frozen=True, eq=False)
class Joint:
    """Weights of `columns` and the bias, fitted: `numbers [k + 1]` in units of `basis [K, k + 1]`.

    line `[K]`: the margins after the change. score: smoothed, less the penalty.
    """

    columns: tuple[int, ...]
    basis: Tensor
    numbers: Tensor
    line: Tensor
    score: float


def refit(probes: Probes, problem: Problem, change: Change) -> Joint:
    """The change's weights and bias, fitted together from where they are."""
    columns = tuple(column for column, _ in change.weights)
    mean, spread = _units(_read(probes, problem, columns))
    t = torch.tensor([t for _, t in change.weights], dtype=torch.float64)
    shift = torch.tensor([change.shift], dtype=torch.float64) - t @ mean
    return _fit(problem, columns, _basis(probes, problem, columns), torch.cat([t * spread, shift]))


def add_weight(
    probes: Probes, problem: Problem, joint: Joint, blocks: Iterator[tuple[Problem, int, Tensor]]
) -> Iterator[Joint]:
    """With one weight more, everything fitted again: one for each promising weight.

    blocks: the features of all weights, piece by piece. Source: ours.
    """
    start = torch.cat([joint.numbers[:-1], torch.zeros(1).double(), joint.numbers[-1:]])
    for column in _promising(problem, joint, blocks):
        columns = (*joint.columns, column)
        yield _fit(problem, columns, _basis(probes, problem, columns), start)


def change_of(probes: Probes, problem: Problem, joint: Joint) -> Change:
    """What was fitted, as a change of the head."""
    mean, spread = _units(_read(probes, problem, joint.columns))
    t = joint.numbers[:-1] / spread
    shift = joint.numbers[-1] + t @ mean
    return Change(problem.row, tuple(zip(joint.columns, t.tolist(), strict=True)), float(shift))


def _promising(
    problem: Problem, joint: Joint, blocks: Iterator[tuple[Problem, int, Tensor]]
) -> list[int]:
    """The columns along which the smoothed score is steepest, in units of their spread."""
    slope = Smoothed(problem, joint.line).at(joint.line)[1]
    found = []
    for _, _, block in blocks:
        mean, spread = _units(block)
        found.append((slope @ block - slope.sum() * mean).abs() / spread)
    steep = torch.cat(found)
    steep[torch.tensor(joint.columns, dtype=torch.long)] = 0
    order = steep.argsort(descending=True, stable=True)[:PROMISING]
    return [j for j in order.tolist() if steep[j] > 0]


def _fit(problem: Problem, columns: tuple[int, ...], basis: Tensor, start: Tensor) -> Joint:
    own, numbers = _spread(problem.margin), start
    line = problem.margin + basis @ numbers
    for _ in range(WIDTHS):
        smoothed, unit = Smoothed(problem, line), _spread(line)
        x = (numbers / unit).requires_grad_()
        optimiser = torch.optim.LBFGS(
            [x], max_iter=STEPS, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
        )

        def loss(x: Tensor = x, smoothed: Smoothed = smoothed, unit: float = unit) -> Tensor:
            now = x.detach() * unit
            score, slope = smoothed.at(problem.margin + basis @ now)
            x.grad = unit * (2 * PENALTY * now / own**2 - slope @ basis)
            return PENALTY * (now / own).square().sum() - score

        optimiser.step(loss)
        numbers = x.detach() * unit
        line = problem.margin + basis @ numbers
    score = Smoothed(problem, line).at(line)[0] - PENALTY * (numbers / own).square().sum()
    return Joint(columns, basis, numbers, line, float(score))


def _basis(probes: Probes, problem: Problem, columns: tuple[int, ...]) -> Tensor:
    """What one unit of each number adds to the margins: centred features, then the bias."""
    features = _read(probes, problem, columns)
    mean, spread = _units(features)
    return torch.cat([(mean - features) / spread, torch.ones(len(features), 1).double()], dim=1)


def _read(probes: Probes, problem: Problem, columns: tuple[int, ...]) -> Tensor:
    one = [probes.columns(problem.rows, j, j + 1) for j in columns]
    return torch.cat(one, dim=1) if one else torch.zeros(len(problem.rows), 0).double()


def _units(features: Tensor) -> tuple[Tensor, Tensor]:
    mean = features.mean(0)
    spread = (features - mean).square().mean(0).sqrt()
    return mean, torch.where(spread > 0, spread, 1.0)


def _spread(values: Tensor) -> float:
    return float(values.std(correction=0)) or 1.0


T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Sizes(Generic[T]):
    """One thing for each size of edit.

    steps: weight and bias together, with 1, 2, ... weights; it ends early where nothing more
    helps. A head without a bias has neither `bias_only` nor steps.
    """

    unedited: T
    bias_only: T | None
    one_weight: T
    steps: tuple[T, ...] = ()

    def __iter__(self) -> Iterator[T]:
        yield from (self.unedited, self.one_weight, *self.steps)
        if self.bias_only is not None:
            yield self.bias_only

    def rungs(self, weights: int) -> dict[str, T]:
        """By the names of the sizes; the last one has as many weights as given."""
        named = {
            "unedited": self.unedited,
            "bias_only": self.bias_only,
            "one_weight": self.one_weight,
        }
        if self.steps:
            named |= {"one_weight_bias": self.steps[0], "k_weights_bias": self.steps[weights - 1]}
        return {name: value for name, value in named.items() if value is not None}

    def each(self, make: Callable[[T], U]) -> Sizes[U]:
        """What is made of each."""
        shift = None if self.bias_only is None else make(self.bias_only)
        steps = tuple(map(make, self.steps))
        return Sizes(make(self.unedited), shift, make(self.one_weight), steps)

    def with_steps(self, count: int) -> Sizes[T]:
        """With so many steps: the further ones left out, the last one again for those lacking."""
        return replace(self, steps=(*self.steps, *self.steps[-1:] * count)[:count])


def fit_sizes(
    probes: Probes,
    rows: Tensor,
    target_class: int | None,
    max_weights: int = 3,
    max_bytes: int = MAX_BYTES,
    progress: Progress = quiet,
) -> Sizes[Found]:
    """All sizes of edit, chosen on the probes `rows`; sizes are compared elsewhere.

    The first step is `weight_and_bias`. Each further one adds a weight of the same row and
    fits all of them and the bias again, to smoothed accuracies (`Smoothed`): searched on the
    steps themselves, a third weight gains on the probes that chose it and on no others. Ends
    where the exact score on these probes no longer grows. Source: ours.
    """
    problems = problems_of(probes, rows, target_class)

    def part(number: int) -> Progress:
        return part_of(progress, number / (1 + max_weights), (number + 1) / (1 + max_weights))

    weight = best_weight(probes, problems, max_bytes, part(0))
    none = replace(unedited(problems), change=Change(weight.change.row))
    if probes.weight is not None and probes.bias is None:
        return Sizes(none, None, weight)
    found = best_pair(probes, problems, max_bytes, part(1), weight)
    more = islice(_grown(probes, problems, found, max_bytes, part), max_weights - 1)
    return Sizes(none, best_shift(problems), weight, (found, *more))


def _grown(
    probes: Probes,
    problems: list[Problem],
    found: Found,
    max_bytes: int,
    part: Callable[[int], Progress],
) -> Iterator[Found]:
    """Further steps after `found`, with one weight more each, as long as they score better."""
    if found.change.numbers == 0:
        return
    problem = next(p for p in problems if p.row == found.change.row)
    joint = refit(probes, problem, found.change)
    for number in count(2):
        progress = part(number)
        blocks = column_blocks(probes, [problem], max_bytes, progress)
        tried = _ticking(add_weight(probes, problem, joint, blocks), progress)
        joint = max(tried, key=lambda fitted: fitted.score, default=joint)
        more = _scored(probes, problem, change_of(probes, problem, joint))
        if more.key <= found.key:
            return
        yield (found := more)


def _scored(probes: Probes, problem: Problem, change: Change) -> Found:
    key = present_key(problem.moved(probes, change))
    return Found(change, *unpack(key), key, approximate=True)


def _ticking(tried: Iterator[Joint], progress: Progress) -> Iterator[Joint]:
    for joint in tried:
        progress(1.0)  # may raise to cancel
        yield joint
