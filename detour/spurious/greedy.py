"""The edits of every size found on one set of probes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from .change import Change, Found
from .pair import best_pair
from .probes import Probes
from .search import MAX_BYTES, Progress, best_shift, best_weight, problems_of


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
        """Whether some search did not try everything."""
        return any(found.approximate for found in self.steps)

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

    Each greedy step adds one weight of the same row, with (t, s) searched again on the
    margins that the steps before have left. Source: ours.
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
    steps = [found]
    while len(steps) < max_weights and found.change.numbers:
        problem = next(p for p in problems if p.row == found.change.row)
        moved = problem.moved(probes, found.change)
        used = tuple(column for column, _ in found.change.weights)
        more = best_pair(probes, [moved], used, max_bytes, part(len(steps) + 1))
        if more.change.numbers == 0 or more.key <= found.key:
            break
        approximate = more.approximate or found.approximate
        found = replace(more, change=found.change.plus(more.change), approximate=approximate)
        steps.append(found)
    return Path(shift, weight, tuple(steps), True)
