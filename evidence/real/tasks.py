"""The tasks: a head that learned what misleads, probes to choose on, pictures to report on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from demo.faces import JOBS
from demo.probe_faces import USUALLY_LONG
from detour.probes.features import Probes

from ..tasks import Task, train_head

UNBALANCED = 0.9
"""Share of unbalanced probes with the attribute that is usual for their class."""
TRAINED, PROBED = 0.4, 0.3
"""Shares of the people or digits for the head and for the probes; the others are reported on."""
STEPS = 150
"""Of the training of a head; so few pictures are soon learned."""
HAIR = ("short hair", "long hair")


@dataclass(frozen=True)
class Question:
    """What is told from a pool's pictures, and which class goes with the attribute.

    pool, label: where the pictures and the classes are. usual: for each class whether it usually
    has the attribute. correlation: share of the training pictures that are as usual, so that the
    head learns the shortcut. attributes: names of its absence and presence.
    """

    name: str
    pool: str
    label: str
    classes: tuple[str, ...]
    usual: tuple[bool, ...]
    correlation: float = 0.98
    attributes: tuple[str, str] = HAIR


QUESTIONS = (
    Question("nurse_builder", "faces", "job", JOBS[:2], (True, False)),
    Question("glasses", "faces", "glasses", ("no glasses", "glasses"), (False, True)),
    Question("digits", "digits", "high", ("low", "high"), (False, True), 0.9, ("red", "green")),
    Question("digits_95", "digits", "high", ("low", "high"), (False, True), 0.95, ("red", "green")),
    Question("four_jobs", "faces", "job", JOBS, tuple(USUALLY_LONG[job] for job in JOBS)),
)


KINDS = {"balanced": 0.5, "unbalanced": UNBALANCED}
"""What probes there are: share of them with the attribute that is usual for their class."""


def make_tasks(asked: Question, features: np.ndarray, labels: Tensor, seed: int) -> dict[str, Task]:
    """A question on one random split of the people or digits, for each kind of probes: the same
    head, the same people, the same test.

    features: `[2 N, D]`, the attribute absent and present in turn. labels: `[N]`. Training and
    probe pictures show each person once, test pictures both without and with the attribute.
    """
    trained, probed, tested = split(labels, len(asked.classes), seed)
    table, usual = torch.from_numpy(np.array(features)), torch.tensor(asked.usual)

    def present(units: Tensor, share: float) -> Tensor:
        return attribute(usual[labels[units]], labels[units], share)

    known = table[2 * trained + present(trained, asked.correlation)]
    head = train_head(known, labels[trained], len(asked.classes), seed, STEPS)

    def probes(units: Tensor, has: Tensor) -> Probes:
        return Probes(
            table[2 * units + has],
            has,
            labels[units],
            head.weight.detach(),
            head.bias.detach(),
            units=units,
            class_names=asked.classes,
            attribute_names=asked.attributes,
        )

    test = probes(tested.repeat(2), torch.arange(2 * len(tested)) // len(tested))
    return {
        kind: Task(
            asked.name, asked.correlation, seed, probes(probed, present(probed, share)), test
        )
        for kind, share in KINDS.items()
    }


def split(labels: Tensor, classes: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of the units to train on, to probe with and to report on, each class alike."""
    draw = torch.Generator().manual_seed(seed)
    parts: tuple[list[Tensor], ...] = ([], [], [])
    for label in range(classes):
        own = (labels == label).nonzero().flatten()
        own = own[torch.randperm(len(own), generator=draw)]
        first, second = (round(len(own) * share) for share in (TRAINED, TRAINED + PROBED))
        for part, some in zip(parts, own.tensor_split([first, second]), strict=True):
            part.append(some)
    trained, probed, tested = (torch.cat(part) for part in parts)
    return trained, probed, tested


def attribute(usual: Tensor, labels: Tensor, share: float) -> Tensor:
    """Who has the attribute, `[N]` of 0 and 1: of each class exactly `share` as is usual."""
    as_usual = torch.zeros_like(usual)
    for label in labels.unique():
        own = (labels == label).nonzero().flatten()
        as_usual[own[: round(share * len(own))]] = True
    return (usual == as_usual).long()
