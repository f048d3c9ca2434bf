"""Choose, validate, report: parts of the probes that share no unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .features import Probes

SHARES = (0.5, 0.25, 0.25)
FEWEST = 40
"""Fewer validation probes than this in a group: cross-fitting."""
FOLDS = 5
FIT_SEED = 0
"""Of the split into probes to fit a head on and to judge it on; that of edits, unless changed."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Numbers of the probes to choose, validate and report on; each `[n]` long."""

    choose: Tensor
    validate: Tensor
    report: Tensor

    @property
    def fitting(self) -> Tensor:
        """Choose and validate together, in order."""
        return torch.cat([self.choose, self.validate]).sort().values


def split_parts(probes: Probes, seed: int = 0) -> Parts:
    """The parts that the probes name, or 50/25/25, stratified by group (without classes: by
    attribute) and split by unit.

    Pictures of one unit (photo, seed) stay in one part. A group of at least three units is in
    every part, unless those are also the only units of a group that is rarer.
    """
    if probes.split is not None:
        part = torch.as_tensor(probes.split)
    else:
        part = _assign(probes, torch.arange(len(probes)), SHARES, seed)
    return Parts(*((part == number).nonzero().flatten() for number in range(3)))


def folds(probes: Probes, rows: Tensor, seed: int = 0) -> list[Tensor]:
    """Five disjoint parts of the probes `rows` (numbers), stratified and split by unit."""
    fold = _assign(probes, rows, (1 / FOLDS,) * FOLDS, seed)
    return [rows[fold == number] for number in range(FOLDS)]


def too_few(probes: Probes, rows: Tensor) -> bool:
    """Whether some group of the probes has fewer than `FEWEST` of the given rows."""
    present = torch.bincount(probes.groups, minlength=probes.n_groups) > 0
    counts = torch.bincount(probes.groups[rows], minlength=probes.n_groups)
    return int(counts[present].min()) < FEWEST


def needs_folds(probes: Probes, parts: Parts) -> bool:
    """Whether three parts are too few to choose, compare and report an edit on.

    So it is with fewer than `FEWEST` probes of a group to validate on, and with a group that
    has none to choose or to report on, unless the probes themselves name their parts.
    """
    if probes.split is None and any(map(probes.unmeasured, (parts.choose, parts.report))):
        return True
    return too_few(probes, parts.validate)


def _assign(probes: Probes, rows: Tensor, shares: tuple[float, ...], seed: int) -> Tensor:
    """The part of each row: units in random order, each to where its groups lack most.

    First of all to a part that has nothing yet of its groups, the rarest of them counting most.
    """
    strata, count = probes.a, probes.n_attributes
    if probes.classes is not None:
        strata, count = probes.groups, probes.n_groups
    units, unit = probes.unit_numbers[rows].unique(return_inverse=True)
    members: list[list[int]] = [[] for _ in range(len(units))]
    for group, number in zip(strata[rows].tolist(), unit.tolist(), strict=True):
        members[number].append(group)
    spread = Counter(g for groups in members for g in set(groups))
    filled = [[0.0] * len(shares) for _ in range(count)]
    order = sorted(range(len(shares)), key=lambda p: -shares[p])  # of equals the first is taken
    chosen = [0] * len(units)
    for number in np.random.default_rng(seed).permutation(len(units)).tolist():
        groups = members[number]
        lacks: Sequence[Any] = filled[groups[0]]  # the same as below where there is one group
        if len(set(groups)) > 1:
            rare = sorted(set(groups), key=lambda g: (spread[g], g))
            lacks = [
                ([filled[g][p] > 0 for g in rare], sum(filled[g][p] for g in groups))
                for p in range(len(shares))
            ]
        best = min(order, key=lacks.__getitem__)
        chosen[number] = best
        for g in groups:
            filled[g][best] += 1 / shares[best]
    return torch.tensor(chosen)[unit]
