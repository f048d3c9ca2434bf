"""Ratios of interleaved timings: medians, their intervals, when to stop, which targets are met.

Nothing but Python, since `dev.py gpu` runs where scipy may be missing.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95
HALF_WIDTH = 0.005
"""A row is conclusive when its interval ends within this share of the median, on both sides."""
MIN_PAIRS = 20
SHAPES = ("sd15", "sdxl")
TRANSFORMERS = ("z_image", "qwen_image", "flux", "sd3", "wan")
OURS = ("lam0", "strength0", "lam0.5", "lam1")
CASES = (*OURS, "freeu_v2", "pag")
"""Of U-Nets; transformers have the first ones alone, as they lack what the others patch."""
LAM0_LIMIT, SDXL_LIMIT = 1.005, 0.95
Call = Callable[[], object]
Clock = Callable[[], float]


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
        return max(self.median - self.low, self.high - self.median) <= HALF_WIDTH * self.median


def median_interval(values: Sequence[float]) -> Interval:
    """The median and the interval from the order of the values; no distribution is assumed.

    How many values are below the true median is binomial(n, 1/2): the k-th from both ends are
    taken with the largest k for which 1 - 2 P(fewer than k below) is the confidence.
    """
    ordered, n = sorted(values), len(values)
    k, tail = 0, 0.5**n
    while 1 - 2 * tail >= CONFIDENCE:
        k += 1
        tail += math.comb(n, k) / 2**n
    low, high = (ordered[k - 1], ordered[n - k]) if k else (None, None)
    return Interval(statistics.median(ordered), low, high, n)


@dataclass(frozen=True)
class Subject:
    """One shape ready to be timed.

    facts: `about` (the shape in words), `part` (what is bypassed), `channels`, and what was
    counted: `parameters`, `gflops`, `mid_share` (of these, that of `part`), `plain_peak_mib`.
    extra_peaks: MiB that each case has in use beyond that.
    """

    shape: str
    plain: Call
    cases: Mapping[str, Call]
    facts: Mapping[str, Any]
    extra_peaks: Mapping[str, float]


def timed(run: Call, calls: int, clock: Clock) -> float:
    """Seconds for some calls in a row, after one `run.ready()` outside of the time if it has
    such a method."""
    getattr(run, "ready", lambda: None)()
    begin = clock()
    for _ in range(calls):
        run()
    return clock() - begin


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

    A pair is the ratio of a case to `plain`, back to back; every other one begins with `plain`.
    In turn, so that a machine that gets slower meanwhile is the same for all of them; what
    is conclusive gets no more pairs. Every case gets at least one pair.
    """
    end = clock() + seconds
    ratios: dict[str, list[float]] = {name: [] for name in cases}
    known: dict[str, Interval] = {}
    unsure = list(cases)
    while unsure:
        for name in unsure:
            if name in known and clock() >= end:
                break
            pair = [cases[name], plain]
            turn = -1 if len(ratios[name]) % 2 else 1
            above, below = [timed(run, calls, clock) for run in pair[::turn]][::turn]
            ratios[name].append(above / below)
            known[name] = median_interval(ratios[name])
        after_round(known)
        if clock() >= end:
            break
        unsure = [name for name in unsure if not known[name].conclusive]
    return known


def at_most(found: Interval, limit: Interval) -> bool | None:
    """Whether a figure is at most another one; None if that cannot be said.

    By the medians if both are conclusive, else only if the intervals do not overlap.
    """
    if found.conclusive and limit.conclusive:
        return found.median <= limit.median
    if found.low is None or found.high is None or limit.low is None or limit.high is None:
        return None
    if found.high <= limit.low:
        return True
    return False if found.low > limit.high else None


def verdicts(shape: str, found: Mapping[str, Interval]) -> dict[str, list[dict[str, object]]]:
    """The targets of each case that has some (`text`), and whether they are `met`."""

    def exactly(limit: float) -> Interval:
        return Interval(limit, limit, limit, MIN_PAIRS)

    targets = [("lam1", "below 1.00", exactly(math.nextafter(1.0, 0.0)))]
    if shape == "sdxl":
        targets.append(("lam1", f"at most {SDXL_LIMIT} (5 % faster)", exactly(SDXL_LIMIT)))
    for case in ("lam0", "lam0.5"):
        targets.append((case, f"at most {LAM0_LIMIT}", exactly(LAM0_LIMIT)))
        if "freeu_v2" in found:
            targets.append((case, "not above freeu_v2", found["freeu_v2"]))
    said: dict[str, list[dict[str, object]]] = {}
    for case, text, limit in targets:
        if case in found:
            met = at_most(found[case], limit)
            said.setdefault(case, []).append({"text": text, "met": met})
    return said
