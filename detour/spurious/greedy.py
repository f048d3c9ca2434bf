"""The edits of every size found on one set of probes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice

from torch import Tensor

from .change import Change, Found
from .margins import Problem
from .pair import best_pair
from .probes import Probes
from .scan import present_key, unpack
from .search import (
    MAX_BYTES,
    Progress,
    best_shift,
    best_weight,
    column_blocks,
    problems_of,
)
from .smooth import Joint, add_weight, change_of, refit


@dataclass(frozen=True)
class Path:
    """Best bias shift, best weight, and the greedy steps of 1, 2, ... weights with the bias.

    `steps` is empty for a head without bias; it ends early where nothing more helps.
    """

    bias: Found
    weight: Found
    steps: tuple[Found, ...]
    has_bias: bool

    @property
    def approximate(self) -> bool:
        """Whether the search over one weight and the bias did not try everything."""
        return any(found.approximate for found in self.steps[:1])

    def change(self, name: str) -> Change:
        """The change called `unedited`, `bias_only`, `one_weight` or `stepN`."""
        if name == "unedited":
            return Change(self.weight.change.row)
        if name == "bias_only":
            return self.bias.change
        if name == "one_weight":
            return self.weight.change
        return self.steps[int(name.removeprefix("step")) - 1].change


def fit_path(
    probes: Probes,
    rows: Tensor,
    target: int | None,
    max_weights: int = 3,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
) -> Path:
    """All sizes of edit, chosen on the probes `rows`; sizes are compared elsewhere.

    The first step is `weight_and_bias`. Each further one adds a weight of the same row and
    fits all of them and the bias again, to smoothed accuracies (`smooth.py`): searched on the
    steps themselves, a third weight gains on the probes that chose it and on no others. Ends
    where the exact score on these probes no longer grows. Source: ours.
    """
    problems = problems_of(probes, rows, target)
    has_bias = probes.weight is None or probes.bias is not None

    def part(number: int) -> Progress | None:
        if progress is None:
            return None
        report = progress
        return lambda share: report((number + share) / (1 + max_weights))

    weight = best_weight(probes, problems, (), max_bytes, part(0))
    shift = best_shift(problems)
    if not has_bias:
        return Path(shift, weight, (), False)
    found = best_pair(probes, problems, (), max_bytes, part(1), weight)
    more = _grown(probes, problems, found, max_bytes, part)
    return Path(shift, weight, (found, *islice(more, max_weights - 1)), True)


def _grown(
    probes: Probes,
    problems: list[Problem],
    found: Found,
    max_bytes: int,
    part: Callable[[int], Progress | None],
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


def _ticking(tried: Iterator[Joint], progress: Progress | None) -> Iterator[Joint]:
    for joint in tried:
        if progress is not None:
            progress(1.0)  # may raise to cancel
        yield joint
