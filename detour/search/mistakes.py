"""`mistakes`: from pictures that a classifier got right and wrong, with no other label, to what
the searches need; and what cannot be used is refused with a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..checks import counted, folded_name, listed
from ..edit.apply import predictions, with_edits
from ..edit.record import EditStack
from ..judge.groups import FEWEST_UNITS
from ..probes.features import Probes
from .problem import margins, searched_rows

if TYPE_CHECKING:
    from ..probes.probe_set import ProbeSet

LABELS = ("right", "wrong")
"""What a picture is called; their places are the attributes 0 and 1."""
WRONG = 1


def check_labels(probe_set: ProbeSet) -> None:
    """Refuse what cannot be a set of right and wrong pictures, before anything is computed.

    Raises ValueError for other labels than `LABELS`, for one of them only, and for fewer than
    `FEWEST_UNITS` photos or seeds of either.
    """
    found = [folded_name(name) for name in probe_set.attributes]
    other = sorted(set(probe_set.attributes) - set(LABELS))
    if other:
        raise ValueError(
            f"The method 'mistakes' knows the labels 'right' and 'wrong' only, and these pictures "
            f"are called {listed(other)}: label each picture right or wrong, or use the method "
            "'worst_group'."
        )
    for label, asked in zip(LABELS, ("wrong", "right"), strict=True):
        if set(found) == {label}:
            raise ValueError(
                f"All {len(found)} pictures are labelled {label!r}: add at least {FEWEST_UNITS} "
                f"that the classifier gets {asked}, since an edit is found by comparing the two."
            )
    units = {
        label: {
            unit or number for number, unit in enumerate(probe_set.units) if found[number] == label
        }
        for label in LABELS
    }
    if min(map(len, units.values())) < FEWEST_UNITS:
        raise ValueError(
            f"There are {len(units['right'])} right and {len(units['wrong'])} wrong pictures (of "
            f"different photos or seeds); fewer than {FEWEST_UNITS} of either prove nothing. Label "
            "more."
        )


def with_classes(probes: Probes, stack: EditStack, target_class: int | None = None) -> Probes:
    """The probes with the classes that right and wrong stand for; those given are checked.

    probes: with the unedited head; stack: the edits that were on it when the pictures were
    labelled. A right picture is of the class that is predicted. A wrong one is of the other class
    of two, or has not the tag. With more classes it is only known what it is not: it is given the
    next best class, which is what it becomes as soon as the row of the wrong one has fallen far
    enough. That says something of one row only, the target class or the one that is wrong most
    often: wrong pictures of others are left out.

    Raises ValueError where labels contradict each other, the classes, or the predictions.
    Source: ours.
    """
    now = with_edits(probes, stack)
    _refuse_twice(now)
    predicted = predictions(now, now.z)
    wrong = now.a == WRONG
    if probes.classes is not None:
        _check_classes(now, predicted)
        return probes
    if now.is_tagged or now.is_binary:
        return replace(probes, classes=torch.where(wrong, 1 - predicted, predicted))
    row = target_class
    if row is None:
        row = int(torch.bincount(predicted[wrong]).argmax())
    second = margins(now, row, torch.arange(len(now)))[1]
    keep = ~wrong | (predicted == row)
    return _only(replace(probes, classes=torch.where(wrong, second, predicted)), keep)


def rows_of(now: Probes, target_class: int | None, guessed: bool) -> list[int]:
    return searched_rows(now, target_class)


def _only(probes: Probes, keep: Tensor) -> Probes:
    """Some of the probes."""
    per_probe = ("attributes", "classes", "logits", "units", "split", "partly")
    taken = {
        name: torch.as_tensor(value)[keep]
        for name in per_probe
        if (value := getattr(probes, name)) is not None
    }
    features = probes.features
    features = features[keep.numpy()] if isinstance(features, np.ndarray) else features[keep]
    return replace(probes, features=features, **taken)


def _check_classes(now: Probes, predicted: Tensor) -> None:
    wrong = now.a == WRONG
    for label, bad in (
        ("right", ~wrong & (predicted != now.y)),
        ("wrong", wrong & (predicted == now.y)),
    ):
        numbers = bad.nonzero().flatten().tolist()
        if numbers:
            one = numbers[0]
            raise ValueError(
                f"{counted(len(numbers), 'picture')} labelled {label!r} cannot be so: picture "
                f"{one + 1} is said to be {now.class_name(int(now.y[one]))!r} and the classifier "
                f"says {now.class_name(int(predicted[one]))!r}. Was it another classifier, or one "
                "with other edits? Label them anew."
            )


def _refuse_twice(now: Probes) -> None:
    """Refuse the same picture with both labels: the same features, of no different class."""
    seen: dict[tuple[bytes, int], int] = {}
    y: Sequence[int] = now.y.tolist() if now.classes is not None else [0] * len(now)
    width = now.features.shape[1]
    for number in range(len(now)):
        row = now.columns(torch.tensor([number]), 0, width).numpy().tobytes()
        first = seen.setdefault((row, y[number]), number)
        if now.a[first] != now.a[number]:
            raise ValueError(
                f"Pictures {first + 1} and {number + 1} are the same to this classifier, and one "
                "is labelled 'right' and one 'wrong': take one of the labels back."
            )
