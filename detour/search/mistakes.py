"""`mistakes`: from pictures that a classifier got right and wrong, with no other label, to what
the searches need; and what cannot be used is refused with a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..checks import counted, listed, quoted
from ..edit.apply import predictions, with_edits
from ..edit.record import EditStack
from ..judge.groups import FEWEST_UNITS, count_units
from ..probes.features import Probes
from ..probes.labels import RIGHT_WRONG
from .problem import margins

if TYPE_CHECKING:
    from ..probes.probe_set import ProbeSet
    from .settings import Search

WRONG = 1
"""The attribute; that of right ones is 0."""


def check_labels(probe_set: ProbeSet) -> None:
    """Refuse what cannot be a set of right and wrong pictures, before anything is computed.

    Raises ValueError for other labels than `RIGHT_WRONG`, for one of them only, and for fewer than
    `FEWEST_UNITS` photos or seeds of either.
    """
    labels, units = probe_set.attributes, probe_set.units
    other = sorted(set(labels) - set(RIGHT_WRONG))
    if other:
        raise ValueError(
            "The method 'mistakes' knows the labels 'right' and 'wrong' only, and these pictures "
            f"are called {listed(other)}: label each picture right or wrong, or use the method "
            "'worst_group'."
        )
    _check_counts(
        *(
            len({units[n] or n for n, own in enumerate(labels) if own == label})
            for label in RIGHT_WRONG
        )
    )


def _check_counts(right: int, wrong: int) -> None:
    """Refuse too few photos or seeds of either."""
    if right + wrong and not min(right, wrong):
        have, lack = RIGHT_WRONG if right else RIGHT_WRONG[::-1]
        raise ValueError(
            f"All pictures are labelled {have!r}: add at least {FEWEST_UNITS} that "
            f"are {lack}, since an edit is found by comparing the two."
        )
    if min(right, wrong) < FEWEST_UNITS:
        raise ValueError(
            f"There are {right} right and {wrong} wrong pictures (of different photos or seeds), "
            f"and fewer than {FEWEST_UNITS} of either prove nothing. Label more."
        )


def prepared(probes: Probes, stack: EditStack, search: Search) -> tuple[Probes, Search]:
    """The probes with the classes that right and wrong stand for, and the row to search.

    probes: with the unedited head; stack: the edits that were on it when the pictures were
    labelled. Classes that are given are checked. Else a right picture is of the class that is
    predicted, and a wrong one of the other class of two, or of the other side of a tag. With more
    classes it is only known what it is not: it gets the next best class, which is what it becomes
    as soon as the row of the wrong one has fallen far enough. That is of use for this row only,
    the target class or the one that is wrong most often, which then is the only one searched;
    wrong pictures of others are left out. What it gave goes through unchanged.

    Raises ValueError where labels contradict each other, the classes or the predictions, and where
    no right picture shows what an edit could break. Source: ours.
    """
    now = with_edits(probes, stack)
    predicted, wrong = predictions(now, now.z), now.a == WRONG
    _check_counts(*(count_units(now.unit_numbers[side]) for side in (~wrong, wrong)))
    _refuse_twice(now)
    if probes.classes is not None:
        _check_classes(now, predicted)
    elif now.is_tagged or now.is_binary:
        probes = replace(probes, classes=torch.where(wrong, 1 - predicted, predicted))
    else:
        row = search.target_class
        if row is None:
            row = int(torch.bincount(predicted[wrong]).argmax())
        second = margins(now, row, torch.arange(len(now)))[1]
        keep = ~wrong | (predicted == row)
        probes = _only(replace(probes, classes=torch.where(wrong, second, predicted)), keep)
        predicted, wrong = predicted[keep], wrong[keep]
        search = replace(search, target_class=row)
        _check_enough(probes, row)
    _check_both_sides(now, predicted, wrong)
    return probes, search


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


def _check_both_sides(now: Probes, predicted: Tensor, wrong: Tensor) -> None:
    """Refuse wrong pictures of a prediction that no right one has: what breaks is not seen."""
    said = predicted[wrong].unique().tolist()
    lacking = [c for c in said if not bool((predicted[~wrong] == c).any())]
    if lacking and (now.n_classes == 2 or len(lacking) == len(said)):
        name = quoted(now.class_name(lacking[0]))
        raise ValueError(
            f"No right picture is called {name}, so what an edit against wrong {name} breaks "
            "cannot be seen. Add pictures that are called so and are right."
        )


def _check_enough(probes: Probes, row: int) -> None:
    wrong = count_units(probes.unit_numbers[probes.a == WRONG])
    if wrong < FEWEST_UNITS:
        raise ValueError(
            f"{counted(wrong, 'wrong picture')} called {quoted(probes.class_name(row))}: at least "
            f"{FEWEST_UNITS} of one class are needed. Label more, name another target class, or "
            "give the pictures their true classes."
        )
