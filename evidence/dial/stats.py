"""What may be said of a few trained models: exact tests in which the model is the unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

Correct = Callable[[Sequence[Sequence[float]]], list[float]]
"""From the effects of several rows, `[rows][models]`, to a p for each."""
LEVEL = 0.05
FEWEST = 8
"""Models below this number are a lead and no finding."""
ROUNDING = 1e-9


def sign_flip(values: Sequence[float]) -> float:
    """Two-sided exact p that values are symmetric around 0 (Fisher 1935): the share of all ways to
    choose their signs whose sum lies as far from 0 as theirs. 1 for no values."""
    flips = _subsets(len(values)) * 2 - 1
    sums = (flips @ torch.tensor(values, dtype=torch.float64)).abs()
    # Of all flips the last one turns nothing round.
    return float((sums >= sums[-1] - ROUNDING).double().mean())


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Interval of the centre that values are symmetric around, at 95 % or a little more: between
    the means of their subsets (Hartigan 1969). None for so few values that there is none."""
    count = len(values)
    outside = int(LEVEL / 2 * 2**count)
    if outside < 1:
        return None
    chosen = _subsets(count)[1:]
    means = (chosen @ torch.tensor(values, dtype=torch.float64)) / chosen.sum(dim=1)
    ordered = means.sort().values
    return float(ordered[outside - 1]), float(ordered[-outside])


def _subsets(count: int) -> torch.Tensor:
    """All subsets of `count` things as 0 and 1, `[2^count, count]`: none first, all last."""
    numbers = torch.arange(2**count)[:, None]
    return (numbers >> torch.arange(count) & 1).double()


def flipped_together(families: Sequence[Sequence[float]]) -> list[float]:
    """p of several rows over the same models, corrected together: the share of all ways to choose
    the models' signs, each model's the same in all rows, at which the largest statistic of any row
    is no smaller than that of this one (Westfall and Young 1993, in one step). The statistic is the
    sum over the root of the sum of squares. Unlike Holm's, it can tell with few models.

    families: of equal length. Raises ValueError if they are not.
    """
    if len({len(values) for values in families}) > 1:
        raise ValueError("Rows of different models cannot be corrected together.")
    if not families:
        return []
    values = torch.tensor([list(row) for row in families], dtype=torch.float64)
    sizes = values.square().sum(dim=1).sqrt().clamp_min(1e-12)
    flips = _subsets(values.shape[1]) * 2 - 1
    statistics = (flips @ values.T).abs() / sizes
    largest = statistics.amax(dim=1)[:, None]
    return (largest >= statistics[-1] - ROUNDING).double().mean(dim=0).tolist()


def holm(ps: Sequence[float]) -> list[float]:
    """The p of a family of tests, corrected by Holm's method (1979), in their order."""
    order = sorted(range(len(ps)), key=lambda place: ps[place])
    corrected, largest = [1.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = largest
    return corrected


def by_holm(families: Sequence[Sequence[float]]) -> list[float]:
    """p of the sign-flip test of each row, corrected by Holm's method."""
    return holm([sign_flip(values) for values in families])


@dataclass(frozen=True)
class Effect:
    """What a way does to a share, over models.

    values: for each model the share with it minus the share without, on equal seeds.
    p: of the sign-flip test, corrected: over the rows of the same question.
    """

    values: tuple[float, ...]
    p: float
    corrected: float

    @property
    def mean(self) -> float | None:
        """The mean over the models; None without any."""
        return math.fsum(self.values) / len(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """`towards` or `away`, where the corrected test tells; else `unclear`. `few` where there
        are too few models for a finding."""
        if len(self.values) < FEWEST or self.mean is None:
            return "few"
        if self.corrected >= LEVEL:
            return "unclear"
        return "towards" if self.mean > 0 else "away"

    @property
    def sentence(self) -> str:
        """All that may be claimed, for the models at hand alone."""
        if self.mean is None:
            return "Not measured."
        count = len(self.values)
        which = "this 1 model" if count == 1 else f"these {count} models"
        moved = f"{100 * self.mean:+.1f} points"
        found = interval(self.values)
        if found is not None:
            moved += f" ({100 * found[0]:+.1f} to {100 * found[1]:+.1f})"
        if self.verdict == "few":
            return f"In {which} the minority's share moved by {moved}: too few for a finding."
        if self.verdict == "unclear":
            return f"In {which} no effect on the minority's share is shown: {moved}."
        same = sum((value > 0) == (self.mean > 0) for value in self.values if value)
        way = "towards" if self.verdict == "towards" else "away from"
        return f"In {which} it goes {way} the minority: {moved}, in {same} of {count}."

    def as_dict(self) -> dict[str, object]:
        """For machines."""
        found = interval(self.values)
        low, high = found or (None, None)
        return {
            "models": len(self.values),
            "effects": list(self.values),
            "effect": self.mean,
            "low": low,
            "high": high,
            "p": self.p,
            "p_corrected": self.corrected,
            "verdict": self.verdict,
            "sentence": self.sentence,
        }


def effects(
    families: Sequence[Sequence[float]],
    correct: Correct = by_holm,
) -> list[Effect]:
    """The effects of the rows of one question, corrected together: by Holm's method, or by
    `flipped_together`."""
    ps = [sign_flip(values) for values in families]
    corrected = correct(families)
    return [Effect(tuple(v), p, c) for v, p, c in zip(families, ps, corrected, strict=True)]
