"""Every size of edit: a bias, a weight, both, and further weights of any rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from torch import Tensor

from ..probes.features import Probes
from .grow import add_weight, exact_keys, refit
from .one_weight import (
    MAX_BYTES,
    Progress,
    best_shift,
    best_weights,
    part_of,
    problems_of,
    quiet,
    rows_of,
    unedited,
)
from .pair import best_pairs, best_simple
from .problem import Found
from .sample import Sample
from .scan import unpack
from .smoothed import change_of
from .where import on_device

SIDE_BY_SIDE = 2**14
"""Parts with up to so many probes in all are fitted side by side; with more there is nothing left
to gain by it."""
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
    return fit_parts(probes, [rows], target_class, max_weights, max_bytes, progress)[0]


def fit_parts(
    probes: Probes,
    parts: Sequence[Tensor],
    target_class: int | None,
    max_weights: int = 3,
    max_bytes: int = MAX_BYTES,
    progress: Progress = quiet,
) -> list[Sizes[Found]]:
    """`fit_sizes` on each of some parts of the probes (of cross-fitting, so they overlap), which
    share much of the work."""
    together = max(1, SIDE_BY_SIDE // max(map(len, parts)))
    groups = [parts[at : at + together] for at in range(0, len(parts), together)]

    def work(placed: Probes) -> list[Sizes[Found]]:
        done: list[Sizes[Found]] = []
        for own in groups:
            share = part_of(progress, len(done) / len(parts), (len(done) + len(own)) / len(parts))
            done += _fit_parts(placed, own, target_class, max_weights, max_bytes, share)
        return done

    return on_device(probes, work)


def _fit_parts(
    probes: Probes,
    parts: Sequence[Tensor],
    target_class: int | None,
    max_weights: int,
    max_bytes: int,
    progress: Progress,
) -> list[Sizes[Found]]:
    parts = [rows_of(probes, rows) for rows in parts]
    problems = [problems_of(probes, rows, target_class) for rows in parts]

    def share(number: float) -> Progress:
        return part_of(progress, number / (1 + max_weights), (number + 1) / (1 + max_weights))

    weights = best_weights(probes, problems, max_bytes, share(0))
    none = [
        replace(unedited(own), change=replace(weight.change, weights=()))
        for own, weight in zip(problems, weights, strict=True)
    ]
    if probes.weight is not None and probes.bias is None:
        return [Sizes(edit, None, weight) for edit, weight in zip(none, weights, strict=True)]
    shifts = list(map(best_shift, problems))
    simple = list(map(best_simple, problems, shifts, weights))
    sample = Sample.of(probes, parts)
    pairs = best_pairs(sample, problems, simple, max_bytes, share(1))
    searched = [p.row for p in problems[0]]
    steps = _grown(sample, searched, pairs, max_weights, max_bytes, share)
    return [Sizes(*each) for each in zip(none, shifts, weights, steps, strict=True)]


def _grown(
    sample: Sample,
    searched: Sequence[int],
    pairs: Sequence[Found],
    max_weights: int,
    max_bytes: int,
    share: Callable[[int], Progress],
) -> list[tuple[Found, ...]]:
    """For each part its pair and further steps, one weight more each, while the smoothed score
    grows."""
    steps = [[found] for found in pairs]
    open_parts = [(part, found.change) for part, found in enumerate(pairs) if found.change.numbers]
    fits = refit(sample, open_parts) if max_weights > 1 else []
    for number in range(2, max_weights + 1):
        if not fits:
            break
        best = add_weight(sample, searched, fits, max_bytes, share(number))
        fits = [new for fit, new in zip(fits, best, strict=True) if new.value > fit.value]
        changes = [(fit.part, change_of(sample, fit)) for fit in fits]
        for (part, change), key in zip(changes, exact_keys(sample, changes), strict=True):
            steps[part].append(Found(change, *unpack(key), key, approximate=True))
    return [tuple(each) for each in steps]
