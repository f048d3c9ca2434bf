"""Marks of Label Pictures: labels, numbers, ranges and clicks as they are typed or kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from hostile import TEXTS
from watch import Case, Make

from detour.probes.labels import labelled_probes, picture_mark, read_label_names, read_marks
from detour.report.labels import describe_labels
from detour.report.probes import describe_probes

PICTURES = [
    torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(number % 7)) for number in range(9)
]
MARKS = [picture_mark(picture) for picture in PICTURES]
ITEMS = ("1", "2", "9", "10", "0", "3-5", "5-3", "1-9", "-1", "1-", "#", *MARKS[:4], "#0123456789")
ITEMS += ("999999999", "9999999999", "1 - 2", "1-999999999", "\u0661", "#ABCDEF0123", "1.5", "")
NAMES = ("right", "wrong", "right, wrong", "nurse/right, nurse/wrong", "a/b/c", "/", "a/", "/b")


@contextmanager
def opened(_folder: Path) -> Iterator[Make]:
    """The generator."""
    yield _case


def _case(draw: random.Random, _place: Path) -> Case:
    labels = draw.choice((*NAMES, *NAMES, ", ".join(draw.sample(TEXTS[:60], 2))))
    own = [part.strip() for part in labels.split(",") if part.strip()] or ["right"]
    pool = ITEMS[:1] + ITEMS[2:3] + tuple(MARKS) if draw.random() < 0.4 else (*ITEMS, *TEXTS[:20])
    lines = []
    for _ in range(draw.choice((0, 1, 1, 2))):
        items = [draw.choice(pool) for _ in range(draw.randrange(4))]
        label = draw.choice((*own, *own, *own, draw.choice(TEXTS[:60])))
        lines.append(f"{label}{draw.choice((':', ':', ' : ', ': ', ''))}{', '.join(items)}")
    marks = draw.choice((";", "\n", "; ")).join(lines)
    return Case(f"labels {labels[:80]!r}, marks {marks[:150]!r}", lambda: _use(labels, marks))


def _use(labels: str, marks: str) -> None:
    """Read both, and make probes of what is marked."""
    names = read_label_names(labels)
    marked = read_marks(marks, names, MARKS)
    if len(marked.labels) != len(PICTURES) or set(marked.labels) - {"", *names}:
        raise AssertionError(f"labels out of nowhere: {marked}")
    describe_labels(marked, names)
    describe_probes(labelled_probes(PICTURES, marked.labels))
