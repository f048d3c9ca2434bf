"""How few probes are enough: every method at every size, at 90 % correlation."""

from __future__ import annotations

from dataclasses import replace

from detour.probes.features import Probes

from .results import Result, run_methods
from .tasks import Task

SIZES = (50, 100, 200, 500)
"""Beside the 1,500 of the main table."""
CORRELATION = 0.9


def first_probes(probes: Probes, count: int) -> Probes:
    """The first probes: they are dealt digit by digit, so every group keeps its share."""
    return replace(
        probes,
        features=probes.features[:count],
        attributes=probes.a[:count],
        classes=probes.y[:count],
        logits=probes.z[:count],
        units=probes.unit_numbers[:count],
    )


def few_probes(task: Task) -> list[Result]:
    """Every method on the first 50, 100, 200 and 500 probes of a task."""
    found = []
    for count in SIZES:
        found += run_methods(replace(task, probes=first_probes(task.probes, count)))
    return found
