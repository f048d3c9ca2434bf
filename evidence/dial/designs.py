"""The studies: what they try on which models. One code chooses, measures and reports in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import models, ranges
from .models import Subject
from .stats import Correct, by_holm, flipped_together
from .study import QUESTIONS, Question
from .ways import BYPASS, WAYS, Way

Pair = list[tuple[Subject, Path]]


@dataclass(frozen=True)
class Design:
    """One study.

    name: of its chart. blocks, steps: how many blocks of all cells, and the steps of each training.
    plan: from these numbers to the models that are reported on. pair: from the folder of trained
    models to those that settings are chosen on, with their files; none where nothing is chosen.
    ways: what is tried. bypass: what the placebo is held against. questions: the most important one
    first. correct: how p is corrected over rows. rivals: ways of Detour's own that each other one
    has to be worth it beside; where there are some, it is also told what is variety and what a
    push. notes: what is printed besides.
    """

    name: str
    blocks: int
    steps: int
    plan: Callable[[int, int], list[Subject]]
    pair: Callable[[Path], Pair]
    ways: Mapping[str, Way]
    bypass: str
    questions: tuple[Question, ...]
    correct: Correct = by_holm
    rivals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


UNETS = Design(
    "evidence dial",
    models.BLOCKS,
    models.STEPS,
    models.plan,
    lambda _folder: models.shipped_pair(),
    WAYS,
    BYPASS,
    QUESTIONS,
)
TRANSFORMERS = Design(
    "evidence ranges",
    ranges.BLOCKS,
    ranges.STEPS,
    ranges.plan,
    lambda _folder: [],
    ranges.RANGE_WAYS,
    ranges.BYPASS,
    QUESTIONS[:2],
    flipped_together,
    ranges.RIVALS,
    ranges.NOTES,
)
