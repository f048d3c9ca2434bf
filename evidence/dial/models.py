"""The models that the ways are tried on, trained for it: the trained model is the unit.

In each one attribute is rare. Which attribute, and whether those that have it or those that lack
it are the rare ones, is balanced and drawn at random, so that a way which only pushes pictures to
one side (darker, longer hair) has no effect "towards the minority" on average.

All of them go on from one trunk of even shares, as checkpoints do that people share; what is found
holds for models with that beginning. Settings are chosen on the shipped pair, which is not among
those that are reported on.
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
from demo.train import TRUNK, Trainer, Training, save_weights, shipped

HAS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {"long hair": has_long_hair, "dark skin": has_dark_skin, "glasses": wears_glasses}
)
"""The attributes, and who of people `[N, fields]` has them, `[N]`."""
CELLS = tuple((attribute, present) for attribute in HAS for present in (True, False))
"""What can be rare: those with an attribute, or those without it."""
RARE = 0.1
PLAN_SEED = 20_251
STEPS = 600
"""On from the trunk: enough for who is rare in training to be drawn rarely."""
BLOCKS = 2
"""Blocks of all cells: with 12 models a sign-flip test can still tell after Holm's correction."""


@dataclass(frozen=True)
class Subject:
    """A model: how it is trained, and who is the minority in its pictures.

    present: whether those with the attribute are rare, else those without it.
    """

    training: Training
    attribute: str
    present: bool

    @property
    def name(self) -> str:
        """Of its files and in the results."""
        return self.training.name

    @property
    def minority(self) -> str:
        """Who it is, in words."""
        return f"{'with' if self.present else 'without'} {self.attribute}"

    def is_minority(self, people: torch.Tensor) -> torch.Tensor:
        """Who of people `[N, fields]` belongs to the minority, `[N]`."""
        return HAS[self.attribute](people) == self.present


def plan(blocks: int = BLOCKS, steps: int = STEPS) -> list[Subject]:
    """The models that are reported on, in blocks which hold each cell once, in random order.

    The first blocks are the same however many follow. Every model has a seed and pictures of its
    own.
    """
    draw = random.Random(PLAN_SEED)
    subjects = []
    for _ in range(blocks):
        for attribute, present in draw.sample(CELLS, len(CELLS)):
            seed = draw.randrange(1000, 1_000_000)
            word = "with" if present else "without"
            name = f"{word}-{attribute}-{seed}-{steps}".replace(" ", "-")
            training = Training(name, shares(attribute, present), seed, steps, TRUNK)
            subjects.append(Subject(training, attribute, present))
    return subjects


def shares(attribute: str, present: bool) -> Shares:
    """Everything even, but for those with (or without) one attribute, who are rare, in all jobs."""
    share = {name: 0.5 for name in HAS} | {attribute: RARE if present else 1 - RARE}
    return Shares(dict.fromkeys(JOBS, share["long hair"]), share["dark skin"], share["glasses"])


def shipped_pair() -> list[tuple[Subject, Path]]:
    """The twins that come with Detour, with their files. The minority are nurses with short hair
    in the one, with long hair in the other."""
    trainings = [training for training in shipped(1.0, 0) if training.name in VARIANTS]
    return [
        (Subject(one, "long hair", one.shares.long["nurse"] < 0.5), weights_file(one.name))
        for one in trainings
    ]


def trained(subject: Subject, folder: Path) -> Path | None:
    """The file with a subject's weights, None if it is not trained yet."""
    path = _path(subject, folder)
    return path if path.is_file() else None


def train(subject: Subject, folder: Path, device: str) -> Path:
    """The same, trained now if need be, after the trunk: it goes on where it was stopped."""
    path = _path(subject, folder)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        trunk = next(one for one in shipped(1.0, 0) if one.name == TRUNK)
        Trainer(trunk, folder, device).run()  # nothing is left to do where it is trained
        average = Trainer(subject.training, folder, device).run()
        save_weights(path, average, subject.training)
        (folder / f"{subject.name}.pt").unlink(missing_ok=True)  # three times the weights
    return path


def _path(subject: Subject, folder: Path) -> Path:
    return folder / f"{subject.name}.safetensors"


def sha256(path: Path) -> str:
    """The hash of a file of weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
