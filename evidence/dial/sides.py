"""Whether pictures that change go both ways: within one model, by attributes that are even in it.

Variety draws anew, and of two sides that are alike both gain. A push goes one way, in a model of
its own or in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .models import HAS, Subject

Row = dict[str, Any]


def sides(rows: Sequence[Row], subjects: Mapping[str, Subject]) -> Row:
    """Of a way's rows in all models. subjects: by name."""
    return one_sided(
        [
            tuple(row["moved"][name])
            for row in rows
            for name in HAS
            if name != subjects[row["model"]].attribute
        ]
    )


def one_sided(cells: Sequence[tuple[int, int]]) -> Row:
    """Of pictures that gained and that lost something, in several cells: how many changed, how many
    of them went the way that most in their cell did, how many would by chance if both ways were
    alike, and the exact p of so many or more."""
    chances, expected = [1.0], 0.0
    for gained, lost in cells:
        own = _chances(gained + lost)
        expected += sum(most * chance for most, chance in enumerate(own))
        chances = _both(chances, own)
    same = sum(max(cell) for cell in cells)
    return {
        "changed": sum(map(sum, cells)),
        "same": same,
        "chance": expected,
        "p": math.fsum(chances[same:]),
    }


def _chances(count: int) -> list[float]:
    """Of each number of pictures, out of `count`, that go the way of most."""
    found = [0.0] * (count + 1)
    for heads in range(count + 1):
        found[max(heads, count - heads)] += math.comb(count, heads) / 2**count
    return found


def _both(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Of the sums of two independent numbers."""
    found = [0.0] * (len(one) + len(other) - 1)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            found[i + j] += a * b
    return found
