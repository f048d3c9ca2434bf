"""Which of a transformer's blocks matter: each is left out alone, along the plain trajectory.

With f what the model makes of x (its picture without noise) and f_b the same without block b,

    change of b = |f_b - f| / |x - f|

(x - f) / sigma is where the sampler goes, be it noise or velocity: so this is its relative change,
whatever a model predicts. The trajectory is Euler's with f. The measure is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch

from .targets import Blocks, middle_third

LEAST_BLOCKS = 3
"""So that there is one that is neither the first nor the last."""
LEAST_STEPS = 2
"""One early and one late."""


def leave_one_out(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    sigmas: torch.Tensor,
    count: int,
    left_out: Callable[[int], AbstractContextManager[None]],
) -> list[list[float]]:
    """For each step, and in it for each of `count` blocks, the change without that block.

    predict: `x [1, ...]` and a sigma to the picture without noise. x: where the run begins.
    sigmas: of the run, `[steps + 1]`, falling. left_out: inside it `predict` lacks this block.
    A change that is no number (half precision ran over without the block) is infinite.
    Raises ValueError if the whole model says nothing, or nothing that is a number.
    """
    found = []
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        plain = predict(x, sigma)
        far = (x - plain).norm()
        if not (torch.isfinite(far) and far > 0):
            raise ValueError(
                f"The model's prediction in step {step + 1} is {float(far):g} long, so that no "
                "block can change it by a share; look at a picture of this model first."
            )
        changes = []
        for block in range(count):
            with left_out(block):
                change = float((predict(x, sigma) - plain).norm() / far)
            changes.append(change if math.isfinite(change) else math.inf)
        found.append(changes)
        x = x + (x - plain) / sigma * (following - sigma)
    return found


@dataclass(frozen=True)
class BlockScan:
    """What was found of one model.

    kind: its class. lists: name and length of each list of its blocks, in the order in which they
        run. changes: for each seed, step and block, see `leave_one_out`.

    Raises ValueError for too few blocks or steps.
    """

    kind: str
    lists: tuple[tuple[str, int], ...]
    changes: tuple[tuple[tuple[float, ...], ...], ...]

    def __post_init__(self) -> None:
        require_size(self.kind, self.count, self.steps)

    @property
    def count(self) -> int:
        """How many blocks the model has."""
        return sum(length for _, length in self.lists)

    @property
    def steps(self) -> int:
        """Of each seed's run."""
        return len(self.changes[0])

    @cached_property
    def early(self) -> tuple[float, ...]:
        """For each block the mean change over all seeds in the first half of the steps; of an odd
        number the middle one is late."""
        return self._mean(slice(self.steps // 2))

    @cached_property
    def late(self) -> tuple[float, ...]:
        """The same in the other half."""
        return self._mean(slice(self.steps // 2, None))

    @property
    def guess(self) -> Blocks:
        """A range to try with the dial, see `quietest`."""
        return quietest(self.early)

    def _mean(self, half: slice) -> tuple[float, ...]:
        rows = [step for seed in self.changes for step in seed[half]]
        return tuple(sum(column) / len(rows) for column in zip(*rows, strict=True))


def require_size(kind: str, count: int, steps: int) -> None:
    """Raise ValueError with one sentence for a model of too few blocks, and for too few steps."""
    if count < LEAST_BLOCKS:
        raise ValueError(
            f"{kind} has {count} blocks, and it takes {LEAST_BLOCKS} for one between the first and "
            "the last; there is nothing to choose from here."
        )
    if steps < LEAST_STEPS:
        raise ValueError(
            f"steps is {steps}; it must be at least {LEAST_STEPS}, one for early and one for late."
        )


def quietest(changes: Sequence[float]) -> Blocks:
    """Of all ranges as wide as the middle third that touch no end, the one whose most important
    block matters least; of equal ones the one whose blocks matter least together.

    By its most important block, because what breaks pictures is to leave out the one that others
    like each other build on: no such block may be in the range, however quiet the rest. A guess of
    ours: of blocks that do little alone it is not known what they do together.
    """
    count = len(changes)
    first, last = middle_third(count)
    width = min(last - first + 1, count - 2)
    starts = range(1, count - width)
    ranked = [(max(changes[at : at + width]), sum(changes[at : at + width]), at) for at in starts]
    best = min(ranked)[2]
    return best, best + width - 1
