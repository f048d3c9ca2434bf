"""What the demo's reader saw, and the exact test of pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """What the reader saw: the digit of each picture, and whether it was sure of it."""

    digits: Sequence[int]
    sure: Sequence[bool]

    @property
    def readable(self) -> float:
        """Share of the pictures that are readable."""
        return sum(self.sure) / len(self.sure)

    def share(self, minority: Sequence[int]) -> tuple[int, int]:
        """Readable pictures of the minority, and readable pictures."""
        seen = [digit for digit, sure in zip(self.digits, self.sure, strict=True) if sure]
        return sum(digit in minority for digit in seen), len(seen)


def moved(before: Reading, after: Reading, minority: Sequence[int]) -> tuple[int, int]:
    """Pictures that went to the minority and to the majority on equal seeds, readable in both."""
    to_minority = to_majority = 0
    for old, new, old_sure, new_sure in zip(
        before.digits, after.digits, before.sure, after.sure, strict=True
    ):
        if old_sure and new_sure and (old in minority) != (new in minority):
            to_minority += new in minority
            to_majority += old in minority
    return to_minority, to_majority


def mcnemar(one: int, other: int) -> float:
    """Two-sided exact p of McNemar's test for discordant pairs of `one` and `other` kind."""
    pairs = one + other
    tail = sum(math.comb(pairs, k) for k in range(min(one, other) + 1)) / 2**pairs
    return min(1.0, 2 * tail)
