"""Which probe pictures are in a set more than once, by whatever names: what chose an edit must not
judge it under another name."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

from torch import Tensor

from .pictures import Kept, Source


def first_of_same(sources: Sequence[Source]) -> list[int]:
    """For each picture the number of the first one that is the same: files of the same bytes,
    pictures of the same values, features of one network that are equal.

    Files and pictures are read only where a quick look (size, sum) leaves it open. Source: ours.
    """
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for number, source in enumerate(sources):
        alike[_look(source, number)].append(number)
    first = list(range(len(sources)))
    for numbers in alike.values():
        seen: dict[bytes, int] = {}
        for number in numbers if len(numbers) > 1 else ():
            first[number] = seen.setdefault(_digest(sources[number]), number)
    return first


def joined_units(units: Sequence[Hashable], first: Sequence[int]) -> list[Hashable]:
    """The units with those made one that share a picture; each goes by one of its old names."""
    name = {unit: unit for unit in units}

    def root(unit: Hashable) -> Hashable:
        while name[unit] != unit:
            unit = name[unit]
        return unit

    for number, same in enumerate(first):
        name[root(units[number])] = root(units[same])
    return [root(unit) for unit in units]


def _look(source: Source, number: int) -> Hashable:
    """What is equal for pictures that are the same, and quick to know."""
    if isinstance(source, Tensor):
        return tuple(source.shape), str(source.dtype), float(source.double().sum())
    if isinstance(source, Kept):
        return source.backbone, float(source.features.double().sum())
    try:
        return source.suffix.lower(), source.stat().st_size
    except OSError:  # who reads the picture says what is wrong with it
        return number


def _digest(source: Source) -> bytes:
    if isinstance(source, Path):
        return hashlib.sha256(source.read_bytes()).digest()
    values = source.features if isinstance(source, Kept) else source
    return hashlib.sha256(values.detach().cpu().contiguous().numpy().tobytes()).digest()
