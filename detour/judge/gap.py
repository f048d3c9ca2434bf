"""How heads see one class on the same pictures without and with a feature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..probes.features import Probes


@dataclass(frozen=True)
class Standing:
    """One class under one head; the head is `before`, `after` or its rival, `bias_only`.

    gap, low, high: what the feature adds to the class's logit: the mean over units (photos,
    seeds), the least and the most of one. place: the median place of the class among all
    (1 = first) without and with the feature. first: on which share (0..1) of the pictures
    it is the first, without and with the feature.
    """

    head: str
    gap: float
    low: float
    high: float
    place: tuple[float, float]
    first: tuple[float, float]


def places(logits: Tensor, row: int) -> Tensor:
    """The place of a class among all on each picture, `[N]` float64; 1 is the first."""
    return (logits > logits[:, row : row + 1]).sum(1).double() + 1


def standing(
    head: str, probes: Probes, logits: Tensor, row: int, rows: Tensor, attribute: int = 1
) -> Standing:
    """Measure a class on the probes `rows` under one head, given its logits `[N, C]`.

    Raises ValueError if fewer than two units have pictures with and without the feature.
    """
    gaps = unit_gaps(probes, logits, row, rows, attribute)
    has, place = probes.a[rows] == attribute, places(logits[rows], row)
    sides = place[~has], place[has]
    return Standing(
        head,
        float(gaps.mean()),
        float(gaps.min()),
        float(gaps.max()),
        (float(sides[0].median()), float(sides[1].median())),
        (_share(sides[0] == 1), _share(sides[1] == 1)),
    )


def standings(
    now: Probes, logits: Tensor, row: int, choose: Tensor, report: Tensor, attribute: int = 1
) -> tuple[Standing, ...]:
    """A class under a head of several classes, under its edit, and with only its bias shifted.

    now: with the head before the edit. logits: `[N, C]` after it. The shift takes away as much
    as the feature adds on the probes `choose`; it moves pictures with and without the feature
    alike, so that what the feature adds stays. Empty for two classes and for sigmoid heads,
    where there is no place among others.
    """
    if now.is_tagged or now.is_binary:
        return ()
    shifted = now.z.clone()
    shifted[:, row] -= unit_gaps(now, now.z, row, choose, attribute).mean()
    heads = {"before": now.z, "after": logits, "bias_only": shifted}
    return tuple(standing(head, now, z, row, report, attribute) for head, z in heads.items())


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())


def shortcut_gap(
    probes: Probes, logits: Tensor, row: int, rows: Tensor | None = None, attribute: int = 1
) -> float:
    """Mean logit of a class with the feature minus that without it, on the same pictures.

    logits: `[N, C]`, e.g. after an edit. Averaged within each unit, then over the units that
    have both. Raises ValueError if fewer than two units have both.
    """
    rows = torch.arange(len(probes)) if rows is None else rows
    return float(unit_gaps(probes, logits, row, rows, attribute).mean())


def unit_gaps(probes: Probes, logits: Tensor, row: int, rows: Tensor, attribute: int = 1) -> Tensor:
    """`shortcut_gap` of each unit that has both, `[units]` float64, in the units' order."""
    has, index, count = match_units(probes, rows, attribute)
    return mean_rise(logits[rows, row].double(), index, has, count)


def match_units(probes: Probes, rows: Tensor, attribute: int) -> tuple[Tensor, Tensor, int]:
    """Who has the attribute, the number of each probe's pair (-1 without one), how many."""
    has, unit = probes.a[rows] == attribute, probes.unit_numbers[rows]
    pairs = sorted(set(unit[has].tolist()) & set(unit[~has].tolist()))
    if len(pairs) < 2:
        raise ValueError(
            f"In this part of the probes {len(pairs)} photos or seeds have pictures both with and "
            f"without attribute {attribute}; 'paired' needs two at least, about eight in all parts "
            "together. Give both versions of a picture the same unit."
        )
    number = {name: i for i, name in enumerate(pairs)}
    return has, torch.tensor([number.get(name, -1) for name in unit.tolist()]), len(pairs)


def mean_rise(values: Tensor, index: Tensor, has: Tensor, units: int) -> Tensor:
    """Per unit, the mean of `values` `[n]` with the attribute minus that without it."""
    sides = []
    for side in (has, ~has):
        use = side & (index >= 0)
        total = torch.zeros(units, dtype=torch.float64).index_add_(0, index[use], values[use])
        sides.append(total / torch.bincount(index[use], minlength=units))
    return sides[0] - sides[1]
