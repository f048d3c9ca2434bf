"""Group accuracies against the degree of an edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from .edit import EditStack
from .evaluate import correct, stack_logits
from .metrics import GroupMetrics, group_metrics
from .probes import Probes

DEGREES = tuple(step / 10 for step in range(21))
"""0 to 2; 0 = unedited, 1 = as found, beyond 1 = over-correction."""


@dataclass(frozen=True)
class CurvePoint:
    """The metrics at one degree of the last edit of a stack."""

    degree: float
    metrics: GroupMetrics


def degree_curve(
    probes: Probes,
    stack: EditStack,
    rows: Tensor | None = None,
    degrees: Sequence[float] = DEGREES,
) -> list[CurvePoint]:
    """Metrics on the probes `rows` at each degree of the last edit; edits below it stay.

    All numbers of the edit move together. Raises ValueError for an empty stack, a degree
    that is not finite, or probes of another head.
    """
    return [
        CurvePoint(
            degree,
            group_metrics(
                probes, correct(probes, stack_logits(probes, stack.with_degree(degree))), rows
            ),
        )
        for degree in degrees
    ]


def best_degree(curve: Sequence[CurvePoint]) -> float:
    """The degree with the best worst-group accuracy; ties: higher mean, then nearer to 0."""
    if not curve:
        raise ValueError("The curve has no points. Give at least one degree.")
    best = max(curve, key=lambda p: (p.metrics.worst, p.metrics.mean, -abs(p.degree)))
    return best.degree
