"""Where in the denoising a model call is: from its sigma, in the schedule or in this run. Every
conversion of a host's alphas, sigmas and timesteps is here.

Both tables are built once per run from plain numbers, so that a model call costs one
binary search. Rules are ours; `percent` means the share of the training schedule, as the
hosts use the word.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

ROUNDING = 1e-5
"""Samplers compute some sigmas of a run anew; nearer than this share to a step is that step."""


@dataclass(frozen=True)
class SigmaTable:
    """Progress by sigma: 0 at the model's largest sigma, 1 at its smallest.

    sigmas: the model's own table (Stable Diffusion: 1,000 values), ascending, positive; equal
    neighbours are fine (Stable Cascade's begin and end with some, a steep shift rounds some).
    Between two entries the progress is linear in log sigma; beyond the ends it is held.
    """

    sigmas: tuple[float, ...]
    _logs: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rising = all(a <= b for a, b in pairwise(self.sigmas))
        if not rising or len(set(self.sigmas)) < 2 or self.sigmas[0] <= 0:
            raise ValueError(
                "The model's sigma table cannot be used: it must hold at least two positive "
                "sigmas in rising order."
            )
        object.__setattr__(self, "_logs", tuple(math.log(sigma) for sigma in self.sigmas))

    @classmethod
    def of(cls, sigmas: Any) -> SigmaTable:
        """Of a model's own table, a tensor."""
        return cls(tuple(sigmas.flatten().tolist()))

    @classmethod
    def of_alphas(cls, alphas_cumprod: Any) -> SigmaTable:
        """Of what training kept of a picture at each timestep, a tensor."""
        kept = [min(max(alpha, 1e-12), 1 - 1e-12) for alpha in alphas_cumprod.flatten().tolist()]
        return cls(tuple(math.sqrt((1 - alpha) / alpha) for alpha in kept))

    @classmethod
    def between(cls, low: float, high: float) -> SigmaTable:
        """Of a model with continuous sigmas: evenly in log sigma, as many as others have."""
        return cls(tuple(low * (high / low) ** (index / 999) for index in range(1000)))

    @classmethod
    def of_flow(cls, shift: float) -> SigmaTable:
        """Of flow matching: sigma is the share of noise, and a shift above 1 dwells on noise."""
        shares = [index / 1000 for index in range(1, 1001)]
        return cls(tuple(shift * share / (1 + (shift - 1) * share) for share in shares))

    @classmethod
    def of_stable_diffusion(cls) -> SigmaTable:
        """Of Stable Diffusion 1.x, 2.x and SDXL, for models that have no table."""
        return cls(stable_diffusion_sigmas())

    def progress(self, sigma: float) -> float:
        """The progress 0..1 at a sigma; a sigma of 0 is 1."""
        if sigma <= self.sigmas[0]:
            return 1.0
        log = math.log(sigma)
        if log >= self._logs[-1]:
            return 0.0
        after = bisect.bisect_right(self._logs, log)
        low, high = self._logs[after - 1], self._logs[after]
        index = after - 1 + (log - low) / (high - low)
        return 1.0 - index / (len(self._logs) - 1)

    def sigma(self, progress: float) -> float:
        """The sigma at a progress 0..1: the inverse of `progress`."""
        index = (1.0 - min(max(progress, 0.0), 1.0)) * (len(self._logs) - 1)
        below = min(int(index), len(self._logs) - 2)
        part = index - below
        return math.exp(self._logs[below] * (1 - part) + self._logs[below + 1] * part)

    def at_timestep(self, timestep: float) -> float:
        """The sigma of a timestep, 0 to the table's last index, also between two of them."""
        return self.sigma(1.0 - timestep / (len(self.sigmas) - 1))


@dataclass(frozen=True)
class StepTable:
    """Progress by step: the fractional step of this run divided by its number of steps.

    sigmas: the sigmas of this run in the order they are visited, the closing one (usually
    0) included. Between two steps the place is linear in log sigma, and linear in sigma in
    an interval that touches 0. A run that adds noise (rising sigmas) is read in its order.
    """

    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.sigmas) < 2 or not all(math.isfinite(s) and s >= 0 for s in self.sigmas):
            raise ValueError(
                "schedule_by = step needs the sigmas of this run, at least two numbers that "
                "are not negative; use schedule_by = sigma with this sampler."
            )

    @cached_property
    def comes_again(self) -> bool:
        """Whether the sigmas go down and up, as in restart sampling: one may come twice."""
        pairs = list(pairwise(self.sigmas))
        return any(a < b for a, b in pairs) and any(a > b for a, b in pairs)

    def progress_after(self, told: int | None, sigma: float) -> float:
        """The progress at a sigma where one may come twice: the call is in the step that the
        sampler told last, or in the next. Beyond both, as with churn, it is where the next begins.
        """
        first, steps = told or 0, len(self.sigmas) - 1
        for index, (start, end) in enumerate(pairwise(self.sigmas[first : first + 3]), first):
            low, high = sorted((start, end))
            if low * (1 - ROUNDING) <= sigma <= high * (1 + ROUNDING):
                return (index + _share(start, end, sigma)) / steps
        return min(0 if told is None else told + 1, steps) / steps

    def progress(self, sigma: float) -> float:
        """The progress 0..1 at a sigma of this run, also between its steps."""
        steps = len(self.sigmas) - 1
        if self.sigmas[0] < self.sigmas[-1]:
            return (steps - _fractional_index(self.sigmas[::-1], sigma)) / steps
        return _fractional_index(self.sigmas, sigma) / steps

    @classmethod
    def of(cls, sigmas: Any) -> StepTable:
        """Of a sampler's own list, a tensor."""
        return cls(tuple(sigmas.flatten().tolist()))


def _fractional_index(falling: Sequence[float], sigma: float) -> float:
    """The place of `sigma` in falling sigmas: 0 at or above the first, n - 1 at the last."""
    for index, (high, low) in enumerate(pairwise(falling)):
        if sigma >= high * (1 - ROUNDING):
            return float(index)
        if sigma > low * (1 + ROUNDING):
            if low <= 0.0:
                return index + (high - sigma) / (high - low)
            return index + math.log(high / sigma) / math.log(high / low)
    return float(len(falling) - 1)


def _share(start: float, end: float, sigma: float) -> float:
    """How far `sigma` is from one step to the next; near a step it is that step."""
    if abs(sigma - start) <= start * ROUNDING:
        return 0.0
    if abs(sigma - end) <= end * ROUNDING:
        return 1.0
    if min(start, end) <= 0.0:
        return (sigma - start) / (end - start)
    return math.log(sigma / start) / math.log(end / start)


def stable_diffusion_sigmas() -> tuple[float, ...]:
    """The 1,000 sigmas of Stable Diffusion 1.x, 2.x and SDXL (scaled-linear betas)."""
    low, high = math.sqrt(0.00085), math.sqrt(0.012)
    sigmas, product = [], 1.0
    for index in range(1000):
        product *= 1.0 - (low + (high - low) * index / 999) ** 2
        sigmas.append(math.sqrt((1.0 - product) / product))
    return tuple(sigmas)


def continuous_sigma(timestep: float) -> float:
    """The sigma of a timestep that is log(sigma) / 4, as SVD and EDM have them."""
    return math.exp(4 * timestep)
