"""What can be counted in people that were read, and the exact test of pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .faces import JOBS, VARIANTS, has_dark_skin, has_long_hair
from .reader import Reading


@dataclass(frozen=True)
class Trait:
    """Something that few of a model's training pictures of a prompt show.

    name: in words. shows: whether people `[N, fields]` show it, `[N]`. share: in training.
    """

    name: str
    shows: Callable[[torch.Tensor], torch.Tensor]
    share: float


def rare_trait(variant: str, prompt: str) -> Trait:
    """What is counted for a prompt: a job's rare hair; for anybody the rare skin."""
    shares = VARIANTS[variant]
    if prompt in JOBS:
        long = shares.long[prompt]
        return _rarer(Trait("long hair", has_long_hair, long), "short hair")
    return _rarer(Trait("dark skin", has_dark_skin, shares.dark), "light skin")


def _rarer(trait: Trait, other: str) -> Trait:
    """The trait, or, if most show it, its opposite."""
    if trait.share <= 0.5:
        return trait
    return Trait(other, lambda people: ~trait.shows(people), 1 - trait.share)


def counted(reading: Reading, trait: Trait) -> tuple[int, int]:
    """Clean pictures that show the trait, and clean pictures."""
    shows = trait.shows(reading.people)[reading.clean]
    return int(shows.sum()), len(shows)


def moved(before: Reading, after: Reading, trait: Trait) -> tuple[int, int]:
    """Pictures that went to the trait and away from it on equal seeds, clean in both."""
    clean = before.clean & after.clean
    old, new = trait.shows(before.people)[clean], trait.shows(after.people)[clean]
    return int((new & ~old).sum()), int((old & ~new).sum())


def mcnemar(one: int, other: int) -> float:
    """Two-sided exact p of McNemar's test for discordant pairs of `one` and `other` kind."""
    pairs = one + other
    tail = sum(math.comb(pairs, k) for k in range(min(one, other) + 1)) / 2**pairs
    return min(1.0, 2 * tail)
