"""Every size of edit: a bias, a weight, both, and further weights of any rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Generic, TypeVar

from torch import Tensor

from ..probes.features import Probes
from .grow import add_weight, exact_key, refit
from .one_weight import (
    MAX_BYTES,
    Progress,
    best_shift,
    best_weight,
    part_of,
    problems_of,
    quiet,
    rows_of,
    unedited,
)
from .pair import best_pair
from .problem import Found
from .scan import unpack
from .smoothed import Sample, change_of
from .where import on_device

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

    The first step is `weight_and_bias`. Each further one adds a weight of any row that is
    searched (with a target class of that row only), and the bias of its row, and fits all of
    them again to smoothed accuracies (`smoothed`): searched on the steps themselves, a third
    weight gains on the probes that chose it and on no others. Ends where the smoothed score on
    these probes no longer grows. Source: ours.
    """

    def work(placed: Probes) -> Sizes[Found]:
        return _fit_sizes(placed, rows, target_class, max_weights, max_bytes, progress)

    return on_device(probes, work)


def _fit_sizes(
    probes: Probes,
    rows: Tensor,
    target_class: int | None,
    max_weights: int,
    max_bytes: int,
    progress: Progress,
) -> Sizes[Found]:
    problems = problems_of(probes, rows, target_class)

    def part(number: int) -> Progress:
        return part_of(progress, number / (1 + max_weights), (number + 1) / (1 + max_weights))

    weight = best_weight(probes, problems, max_bytes, part(0))
    none = replace(unedited(problems), change=replace(weight.change, weights=()))
    if probes.weight is not None and probes.bias is None:
        return Sizes(none, None, weight)
    sample, searched = Sample.of(probes, rows_of(probes, rows)), [p.row for p in problems]
    found = best_pair(probes, problems, max_bytes, part(1), weight, sample)
    more = islice(_grown(sample, searched, found, max_bytes, part), max_weights - 1)
    return Sizes(none, best_shift(problems), weight, (found, *more))


def _grown(
    sample: Sample,
    searched: Sequence[int],
    found: Found,
    max_bytes: int,
    part: Callable[[int], Progress],
) -> Iterator[Found]:
    """Further steps after `found`, one weight more each, while the smoothed score grows."""
    if found.change.numbers == 0:
        return
    fit = refit(sample, found.change)
    for number in count(2):
        tried = add_weight(sample, searched, fit, max_bytes, part(number))
        if not tried or tried[0].value <= fit.value:
            return
        fit = tried[0]
        change = change_of(sample, fit)
        key = exact_key(sample, change)
        yield Found(change, *unpack(key), key, approximate=True)
