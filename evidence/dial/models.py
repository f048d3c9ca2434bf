"""The models that the ways are tried on, trained for it: the trained model is the unit.

In each one attribute is rare. Which attribute, and whether those that have it or those that lack
it are the rare ones, is balanced and drawn at random, so that a way which only pushes pictures to
one side (darker, longer hair) has no effect "towards the minority" on average.

Each has a beginning and pictures of its own. Settings are chosen on the shipped pair, which is not
among those that are reported on.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch

from demo.faces import (
    JOBS,
    TWINS,
    Shares,
    has_dark_skin,
    has_long_hair,
    wears_glasses,
)
from demo.tiny import weights_file
from demo.together import Average, computed_on, train_together
from demo.train import Training, checkpoint, save_weights, shipped
from tools.failure import say

HAS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {"long hair": has_long_hair, "dark skin": has_dark_skin, "glasses": wears_glasses}
)
"""The attributes, and who of people `[N, fields]` has them, `[N]`."""
CELLS = tuple((attribute, present) for attribute in HAS for present in (True, False))
"""What can be rare: those with an attribute, or those without it."""
RARE = 0.1
PLAN_SEED = 20_251
STEPS = 4500
"""As many as the shipped U-Nets have from their first step on."""
BLOCKS = 3
"""Blocks of all cells: with 18 models a sign-flip test can still tell after Holm's correction."""


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


def plan(
    blocks: int = BLOCKS,
    steps: int = STEPS,
    network: str = "unet",
    seed: int = PLAN_SEED,
) -> list[Subject]:
    """The models that are reported on, in blocks which hold each cell once, in random order.

    The first blocks are the same however many follow. Every model has a seed and pictures of its
    own. network: of each training. seed: of the plan.
    """
    draw = random.Random(seed)
    prefix = "" if network == "unet" else f"{network}-"
    subjects = []
    for _ in range(blocks):
        for attribute, present in draw.sample(CELLS, len(CELLS)):
            own = draw.randrange(1000, 1_000_000)
            word = "with" if present else "without"
            name = f"{prefix}{word}-{attribute}-{own}-{steps}".replace(" ", "-")
            training = Training(name, shares(attribute, present), own, steps, network=network)
            subjects.append(Subject(training, attribute, present))
    return subjects


def shares(attribute: str, present: bool) -> Shares:
    """Everything even, but for those with (or without) one attribute, who are rare, in all jobs."""
    share = {name: 0.5 for name in HAS} | {attribute: RARE if present else 1 - RARE}
    return Shares(dict.fromkeys(JOBS, share["long hair"]), share["dark skin"], share["glasses"])


def shipped_pair(model: str = "demo") -> list[tuple[Subject, Path]]:
    """A tiny model that comes with Detour and its twin, with their files. The minority are nurses
    with short hair in the one, with long hair in the other."""
    both = (model, TWINS[model])
    trainings = [training for training in shipped(1.0, 0) if training.name in both]
    return [
        (Subject(one, "long hair", one.shares.long["nurse"] < 0.5), weights_file(one.name))
        for one in trainings
    ]


def trained(subject: Subject, folder: Path) -> Path | None:
    """The file with a subject's weights, None if it is not trained yet."""
    path = _path(subject, folder)
    return path if path.is_file() else None


def train(
    subjects: Sequence[Subject], folder: Path, device: str, deadline: float = math.inf
) -> dict[str, Path]:
    """The files of those that are trained, by name; the others are trained now, as far as time
    allows (by `time.monotonic`), from where they were stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting = [subject.training for subject in subjects if trained(subject, folder) is None]
    train_together(waiting, folder, device, keep_in(folder, device), deadline=deadline, say=say)
    files = {subject.name: trained(subject, folder) for subject in subjects}
    return {name: path for name, path in files.items() if path}


def keep_in(folder: Path, device: str) -> Callable[[Training, Average], None]:
    """What becomes of a model that is trained: a file in a folder."""

    def keep(training: Training, average: Average) -> None:
        path = folder / f"{training.name}.safetensors"
        save_weights(path, average, training, computed_on(device))
        checkpoint(folder, training.name).unlink(missing_ok=True)  # four times the weights

    return keep


def _path(subject: Subject, folder: Path) -> Path:
    return folder / f"{subject.name}.safetensors"


def sha256(path: Path) -> str:
    """The hash of a file of weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
