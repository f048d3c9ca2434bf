"""What may be claimed of an edit: worst-group accuracy after it against before."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .bootstrap import worst_difference
from .metrics import GroupMetrics, group_metrics
from .probes import Probes

FEWEST_UNITS = 6
"""Fewer photos or seeds of a group than this prove nothing: of five, all may turn right by luck
(2^-5 = 3 %, in either direction 6 %)."""


@dataclass(frozen=True)
class Gain:
    """Worst-group accuracy after minus before (0..1), with its 95 % interval, and the verdict.

    verdict: `improved` or `worse` where the interval is on one side of 0, else `unclear`;
    `unmeasured` where some group of the probes is not among those reported on, `few` where one
    has fewer than `FEWEST_UNITS` photos or seeds there, `seen` where the figures are of probes
    that chose the edit: then nothing is claimed, whatever the interval.
    """

    difference: float
    low: float
    high: float
    verdict: str


def gain(
    probes: Probes,
    right: tuple[Tensor, Tensor],
    rows: Tensor,
    seen: bool = False,
    seed: int = 0,
) -> Gain:
    """The gain on the probes `rows`, given which are right before and after, two times `[N]` bool.

    seen: whether these rows chose the edit. The interval is that of the paired bootstrap by unit.
    """
    was, now = (group_metrics(probes, one, rows) for one in right)
    low, high = worst_difference(probes, right[1], right[0], rows, seed)
    return Gain(now.worst - was.worst, low, high, _verdict(now, low, high, seen))


def _verdict(metrics: GroupMetrics, low: float, high: float, seen: bool) -> str:
    if seen:
        return "seen"
    if metrics.unmeasured:
        return "unmeasured"
    if min(n for n in metrics.units if n) < FEWEST_UNITS:
        return "few"
    if low > 0:
        return "improved"
    return "worse" if high < 0 else "unclear"
