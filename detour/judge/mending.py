"""What an edit does to pictures that were wrong, and to those that were right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .groups import GroupMetrics, share_interval


@dataclass(frozen=True)
class Share:
    """`hits` of `count` pictures, with the 95 % interval of the share (0..1)."""

    hits: int
    count: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share, 0 of no pictures."""
        return self.hits / self.count if self.count else 0.0


@dataclass(frozen=True)
class Mending:
    """Of the wrong pictures those that are right now, and of the right ones those that are not.

    kept: the rest of the right ones, what the guard is about.
    """

    mended: Share
    broken: Share
    kept: Share


def mending(metrics: GroupMetrics) -> Mending:
    """Of the metrics of right and wrong pictures (attributes 0 and 1) after an edit."""
    counts, right, units = metrics.counts, metrics.right, metrics.units
    sides = [
        tuple(sum(values[label::2]) for values in (right, counts, units)) for label in range(2)
    ]
    (kept, count, unit), wrong = sides
    return Mending(_share(*wrong), _share(count - kept, count, unit), _share(kept, count, unit))


def mean_shares(metrics: Iterable[GroupMetrics]) -> tuple[float, float]:
    """(mended, broken) as mean shares over several edits."""
    each = [mending(one) for one in metrics]
    return (
        sum(one.mended.value for one in each) / len(each),
        sum(one.broken.value for one in each) / len(each),
    )


def _share(hits: int, count: int, units: int) -> Share:
    return Share(hits, count, *(share_interval(hits, count, units) if count else (0.0, 1.0)))
