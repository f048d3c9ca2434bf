"""How heads see one class on the same pictures without and with a feature."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .evidence import unit_gaps
from .probes import Probes


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
    head: str, probes: Probes, logits: Tensor, row: int, rows: Tensor, present: int = 1
) -> Standing:
    """Measure a class on the probes `rows` under one head, given its logits `[N, C]`.

    Raises ValueError if fewer than two units have pictures with and without the feature.
    """
    gaps = unit_gaps(probes, logits, row, rows, present)
    has, place = probes.a[rows] == present, places(logits[rows], row)
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
    now: Probes, logits: Tensor, row: int, choose: Tensor, report: Tensor, present: int = 1
) -> tuple[Standing, ...]:
    """A class under a head of several classes, under its edit, and with only its bias shifted.

    now: with the head before the edit. logits: `[N, C]` after it. The shift takes away as much
    as the feature adds on the probes `choose`; it moves pictures with and without the feature
    alike, so that what the feature adds stays. Empty for two classes and for sigmoid heads,
    where there is no place among others.
    """
    if now.threshold is not None or now.n_classes == 2:
        return ()
    shifted = now.z.clone()
    shifted[:, row] -= unit_gaps(now, now.z, row, choose, present).mean()
    heads = {"before": now.z, "after": logits, "bias_only": shifted}
    return tuple(standing(head, now, z, row, report, present) for head, z in heads.items())


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())
