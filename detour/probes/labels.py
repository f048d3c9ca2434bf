"""Labels that somebody puts to pictures, by clicks or in a line of text, as probes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import counted, listed, plain_name, quoted
from ..classifier.facts import parse_labels
from .pictures import Source
from .probe_set import ProbeSet

RIGHT_WRONG = ("right", "wrong")
"""The labels of a set for the method `mistakes`, in the order of their numbers."""
MARK_DIGITS = 10
"""Hexadecimal digits of a picture's mark: of 10,000 pictures two agree once in 20,000 sets."""
HOW = "write them as in 'wrong: 3, 7-9'"
_NUMBERS = re.compile(r"([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?")
_CLICK = re.compile(f"#[0-9a-f]{{{MARK_DIGITS}}}")


@dataclass(frozen=True)
class Marked:
    """What marks say about N pictures.

    labels: one for each picture, empty where it has none. absent: marks by clicks whose
    picture is not among them.
    """

    labels: tuple[str, ...]
    absent: int = 0

    def with_others(self, label: str) -> Marked:
        """The same, with this label for all pictures that have none."""
        return Marked(tuple(own or label for own in self.labels), self.absent)


def read_label_names(text: str) -> tuple[str, ...]:
    """The labels that can be given, one a line or separated by commas.

    Raises ValueError for none, for one that is there twice, and for signs that marks use.
    """
    names = tuple(map(plain_name, parse_labels(text)))
    if not names:
        raise ValueError("There are no labels: write some, such as 'right, wrong'.")
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ValueError(f"The label {quoted(name)} is there twice: leave one out.")
        if set(name) & set(":;"):
            raise ValueError(f"The label {quoted(name)} has ':' or ';' in it: call it otherwise.")
    return names


def picture_mark(picture: Tensor) -> str:
    """The mark of a picture `[H, W, C]` in 0..1: `#` and the begin of its SHA-256 in 8 bits.

    It belongs to what is in the picture, wherever it stands in its batch.
    """
    levels = (picture.float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    digest = hashlib.sha256(f"{list(levels.shape)}".encode())
    digest.update(levels.contiguous().numpy().tobytes())
    return f"#{digest.hexdigest()[:MARK_DIGITS]}"


def read_marks(text: str, names: Sequence[str], pictures: Sequence[str]) -> Marked:
    """Which picture has which label.

    text: `label: pictures` on each line (or between `;`). Pictures are numbers from 1, ranges
    such as 7-9, and marks (`picture_mark`), separated by commas. names: the labels that can be
    given. pictures: the mark of each picture.

    Raises ValueError for what cannot be read, for a number that no picture has, and for a
    picture with two labels.
    """
    places: dict[str, list[int]] = {}
    for place, mark in enumerate(pictures):
        places.setdefault(mark, []).append(place)
    found, absent = [""] * len(pictures), set()
    for label, item in _entries(text, names):
        if _CLICK.fullmatch(item):
            chosen: Iterable[int] = places.get(item, ())
            absent |= {item} - places.keys()
        else:
            chosen = _numbered(item, label, len(pictures))
        for place in chosen:
            if found[place] not in ("", label):
                raise ValueError(
                    f"Picture {place + 1} is marked both {quoted(found[place])} and "
                    f"{quoted(label)}: take one of the two out of marks."
                )
            found[place] = label
    return Marked(tuple(found), len(absent))


def _entries(text: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each (label, item) of marks."""
    for part in re.split(r"[;\n]", text):
        if not part.strip():
            continue
        label, colon, items = (piece.strip() for piece in part.partition(":"))
        label = plain_name(label)
        if not colon:
            raise ValueError(f"marks has {quoted(part.strip())} without a label: {HOW}.")
        if label not in names:
            raise ValueError(
                f"marks has the label {quoted(label)}, and the labels are {listed(names)}: add it "
                "to labels, or write one of these."
            )
        yield from ((label, item.strip()) for item in items.split(",") if item.strip())


def _numbered(item: str, label: str, count: int) -> range:
    """The places of a number or a range of numbers from 1."""
    read = _NUMBERS.fullmatch(item)
    if read is None:
        raise ValueError(f"marks has {quoted(item)} behind {quoted(label)}: {HOW}.")
    first, last = int(read[1]), int(read[2] or read[1])
    if not 1 <= first <= last <= count:
        raise ValueError(
            f"marks has {quoted(item)} behind {quoted(label)}, and there are "
            f"{counted(count, 'picture')}: they are numbered from 1."
        )
    return range(first - 1, last)


def labelled_probes(sources: Sequence[Source], labels: Sequence[str]) -> ProbeSet:
    """Probes of the pictures that have a label.

    labels: for each picture `attribute` (such as right or wrong) or `class/attribute`; empty =
    the picture is left out.

    Raises ValueError where no picture has a label, and for labels that do not fit together.
    """
    chosen = [(source, label) for source, label in zip(sources, labels, strict=True) if label]
    if not chosen:
        raise ValueError("No picture has a label yet: put one to some of them first.")
    pairs = [label.rpartition("/") for _, label in chosen]
    return ProbeSet(
        tuple(source for source, _ in chosen),
        tuple(attribute.strip() for _, _, attribute in pairs),
        tuple(name.strip() for name, _, _ in pairs),
    )
