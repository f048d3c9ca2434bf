"""The models that the ways are tried on, trained for it: the trained model is the unit.

In each one attribute is rare. Which attribute, and whether those that have it or those that lack
it are the rare ones, is balanced and drawn at random, so that a way which only pushes pictures to
one side (darker, longer hair) has no effect "towards the minority" on average.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch

from demo.faces import (
    JOBS,
    VARIANTS,
    Shares,
    has_dark_skin,
    has_long_hair,
    wears_glasses,
)
from demo.tiny import weights_file
from demo.train import STEPS as SHIPPED
from demo.train import TRUNK, Trainer, Training, save_weights, shipped

HAS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {"long hair": has_long_hair, "dark skin": has_dark_skin, "glasses": wears_glasses}
)
"""The attributes, and who of people `[N, fields]` has them, `[N]`."""
CELLS = tuple((attribute, present) for attribute in HAS for present in (True, False))
"""What can be rare: those with an attribute, or those without it."""
RARE = 0.1
PLAN_SEED = 20_251
STEPS = SHIPPED[TRUNK] + SHIPPED["demo"]
"""As long as the shipped pair, though without a common beginning."""
BLOCKS = 2
"""Blocks of all cells that are reported on: with 12 models a sign-flip test can still tell after
Holm's correction; one block more chooses the settings."""


@dataclass(frozen=True)
class Subject:
    """A model: how it is trained, and who is the minority in its pictures.

    present: whether those with the attribute are rare, else those without it. chooses: whether
        settings are chosen on it; the others are reported on.
    """

    training: Training
    attribute: str
    present: bool
    chooses: bool = False

    @property
    def name(self) -> str:
        """Of its files and in the results."""
        return self.training.name

    def is_minority(self, people: torch.Tensor) -> torch.Tensor:
        """Who of people `[N, fields]` belongs to the minority, `[N]`."""
        return HAS[self.attribute](people) == self.present


def plan(blocks: int = BLOCKS, steps: int = STEPS) -> list[Subject]:
    """The models: one block that chooses settings, and `blocks` that are reported on.

    A block holds each cell once, in random order. The first blocks are the same however many
    follow. Every model has seeds and pictures of its own, and starts from nothing.
    """
    draw = random.Random(PLAN_SEED)
    subjects = []
    for block in range(1 + blocks):
        for attribute, present in draw.sample(CELLS, len(CELLS)):
            word = "with" if present else "without"
            seed = draw.randrange(1000, 1_000_000)
            name = f"{'report' if block else 'choose'}-{word}-{attribute}-{seed}-{steps}"
            training = Training(name.replace(" ", "-"), shares(attribute, present), seed, steps)
            subjects.append(Subject(training, attribute, present, chooses=block == 0))
    return subjects


def shares(attribute: str, present: bool) -> Shares:
    """Everything even, but for those with (or without) one attribute, who are rare, in all jobs."""
    share = {name: 0.5 for name in HAS} | {attribute: RARE if present else 1 - RARE}
    return Shares(dict.fromkeys(JOBS, share["long hair"]), share["dark skin"], share["glasses"])


def shipped_pair() -> list[tuple[Subject, Path]]:
    """The twins that come with Detour, with their files. Dark skin is rare in the one, light skin
    in the other, whatever the prompt."""
    trainings = [training for training in shipped(1.0, 0) if training.name in VARIANTS]
    return [
        (Subject(one, "dark skin", one.shares.dark < 0.5), weights_file(one.name))
        for one in trainings
    ]


def trained(subject: Subject, folder: Path) -> Path | None:
    """The file with a subject's weights, None if it is not trained yet."""
    path = _path(subject, folder)
    return path if path.is_file() else None


def train(subject: Subject, folder: Path, device: str) -> Path:
    """The same, trained now if need be: it goes on where it was stopped."""
    path = _path(subject, folder)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        average = Trainer(subject.training, folder, device).run()
        save_weights(path, average, subject.training)
        (folder / f"{subject.name}.pt").unlink(missing_ok=True)  # three times the weights
    return path


def _path(subject: Subject, folder: Path) -> Path:
    return folder / f"{subject.name}.safetensors"


def sha256(path: Path) -> str:
    """The hash of a file of weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
