"""Ratios of interleaved timings: medians, their intervals, when to stop, which targets are met."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

CONFIDENCE = 0.95
HALF_WIDTH = 0.005
"""A row is conclusive when its interval ends within this share of the median, on both sides."""
MIN_PAIRS = 20
CASES = ("lam0", "strength0", "lam0.5", "lam1", "freeu_v2", "pag")
LAM0_LIMIT = 1.005
SDXL_LIMIT = 0.95
Call = Callable[[], object]
Clock = Callable[[], float]


def interval_rank(n: int, confidence: float = CONFIDENCE) -> int | None:
    """The k for which the k-th smallest and the k-th largest of n values hold the true median.

    The number of values below the median is binomial(n, 1/2), whatever their distribution;
    the largest k with 1 - 2 P(fewer than k below) >= confidence is taken. None if even the
    two extremes (k = 1) are not enough, which is so below 6 values at 95 %.
    """
    tail, k = 0.0, 0
    while k <= n // 2:
        tail += math.comb(n, k) / 2**n
        if 1 - 2 * tail < confidence:
            break
        k += 1
    return k or None


@dataclass(frozen=True)
class Interval:
    """The median of n values with its 95 % interval; None where n is too small for one."""

    median: float
    low: float | None
    high: float | None
    n: int

    @property
    def conclusive(self) -> bool:
        """True if there are enough values and the interval is narrow enough on both sides."""
        if self.low is None or self.high is None or self.n < MIN_PAIRS:
            return False
        room = HALF_WIDTH * self.median
        return self.median - self.low <= room and self.high - self.median <= room


def median_interval(values: Sequence[float]) -> Interval:
    """The median and the interval from the order of the values; no distribution is assumed."""
    ordered, n = sorted(values), len(values)
    k = interval_rank(n)
    low, high = (None, None) if k is None else (ordered[k - 1], ordered[n - k])
    return Interval(statistics.median(ordered), low, high, n)


@dataclass(frozen=True)
class Subject:
    """One shape ready to be timed, and what was counted on it."""

    shape: str
    channels: int
    parameters: int
    flops: int
    mid_share: float
    plain: Call
    cases: Mapping[str, Call]
    plain_peak: int
    peaks: Mapping[str, int]


@dataclass
class Pairs:
    """The pairs of one case against the plain model; a ratio is case / plain."""

    run: Call
    plain: Call
    ratios: list[float] = field(default_factory=list)

    def add(self, calls: int, clock: Clock) -> None:
        """One pair, back to back; every other one starts with the plain model."""
        if len(self.ratios) % 2:
            below = timed(self.plain, calls, clock)
            above = timed(self.run, calls, clock)
        else:
            above = timed(self.run, calls, clock)
            below = timed(self.plain, calls, clock)
        self.ratios.append(above / below)

    def interval(self) -> Interval:
        """What is known so far; there must be at least one pair."""
        return median_interval(self.ratios)


def timed(run: Call, calls: int, clock: Clock) -> float:
    """Seconds for some calls in a row, after one `run.ready()` outside of the time if it has
    such a method."""
    getattr(run, "ready", _nothing)()
    begin = clock()
    for _ in range(calls):
        run()
    return clock() - begin


def _nothing() -> None:
    pass


def calls_per_timing(seconds_per_call: float, shortest: float = 0.05) -> int:
    """How many calls one timing takes so that it is not too short to be timed well."""
    return max(1, math.ceil(shortest / seconds_per_call)) if seconds_per_call > 0 else 1


def measure(
    cases: Mapping[str, Call],
    plain: Call,
    *,
    calls: int,
    seconds: float,
    clock: Clock = time.perf_counter,
    after_round: Callable[[Mapping[str, Interval]], None] = lambda _: None,
) -> dict[str, Interval]:
    """Pairs in turn for all cases until every one is conclusive or the time is used up.

    In turn, so that a machine that gets slower meanwhile is the same for all of them; what
    is conclusive gets no more pairs. Every case gets at least one pair.
    """
    end = clock() + seconds
    pairs = {name: Pairs(run, plain) for name, run in cases.items()}
    known: dict[str, Interval] = {}
    open_cases = list(pairs)
    while open_cases:
        for name in open_cases:
            if name in known and clock() >= end:
                break
            pairs[name].add(calls, clock)
            known[name] = pairs[name].interval()
        after_round(known)
        if clock() >= end:
            break
        open_cases = [name for name in open_cases if not known[name].conclusive]
    return known


@dataclass(frozen=True)
class Verdict:
    """One target beside what was measured; `met` is None if that does not decide it."""

    text: str
    met: bool | None


def at_most(found: Interval, low: float, high: float | None = None) -> bool | None:
    """Whether a figure is at most a limit, which may itself be known as an interval only.

    A conclusive figure is judged by its median against `low` alone; another one only if its
    whole interval lies on one side of the limit, low to high.
    """
    if found.conclusive and high is None:
        return found.median <= low
    if found.low is None or found.high is None:
        return None
    if found.high <= low:
        return True
    return False if found.low > (low if high is None else high) else None


def not_above(found: Interval, other: Interval) -> bool | None:
    """Whether a figure is at most another one: by the medians if both are conclusive."""
    if found.conclusive and other.conclusive:
        return found.median <= other.median
    if other.low is None or other.high is None:
        return None
    return at_most(found, other.low, other.high)


def verdicts(shape: str, found: Mapping[str, Interval]) -> dict[str, list[Verdict]]:
    """The targets of each case that has some, and whether they are met."""
    targets: dict[str, list[Verdict]] = {}
    for case in ("lam0", "lam0.5"):
        if case in found:
            targets[case] = [Verdict(f"at most {LAM0_LIMIT}", at_most(found[case], LAM0_LIMIT))]
            if "freeu_v2" in found:
                beside = not_above(found[case], found["freeu_v2"])
                targets[case].append(Verdict("not above freeu_v2", beside))
    if "lam1" in found:
        below = at_most(found["lam1"], math.nextafter(1.0, 0.0))
        targets["lam1"] = [Verdict("below 1.00", below)]
        if shape == "sdxl":
            faster = at_most(found["lam1"], SDXL_LIMIT)
            targets["lam1"].append(Verdict(f"at most {SDXL_LIMIT} (5 % faster)", faster))
    return targets


SHAPES = ("sd15", "sdxl")
NAMES = {"sd15": "SD 1.5", "sdxl": "SDXL"}
LATENT = 32
