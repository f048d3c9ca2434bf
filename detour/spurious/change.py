"""A change of one row of the head, as the searches find it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Change:
    """`W[row, j] -= t` for every (j, t) in `weights`, and `b[row] += shift`.

    The empty change is "no edit".
    """

    row: int
    weights: tuple[tuple[int, float], ...] = ()
    shift: float = 0.0

    @property
    def numbers(self) -> int:
        """How many numbers of the head are edited."""
        return len(self.weights) + (self.shift != 0)

    def plus(self, other: Change) -> Change:
        """Both changes together; they must be of the same row and of different weights."""
        return replace(self, weights=self.weights + other.weights, shift=self.shift + other.shift)


@dataclass(frozen=True)
class Found:
    """What a search found, with its score on the probes it was chosen on.

    worst, mean: worst-group and mean (balanced) accuracy, 0..1, in exact arithmetic,
    before the edited numbers are rounded to float32. key: both in one comparable number.
    approximate: the search did not try everything.
    """

    change: Change
    worst: float
    mean: float
    key: int
    approximate: bool = False
