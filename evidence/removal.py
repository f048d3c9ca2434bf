"""Removing a class from heads that know ten digits; predictions change, nothing is unlearned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from detour.classifier.head import Head
from detour.edit.record import Change
from detour.judge.groups import wilson
from detour.probes.features import Probes
from detour.search.remove_class import find_removal

from .methods import with_change
from .tasks import Task

CHOOSING = 1000
"""So many of the 1,500 probes choose, the others compare."""
PRIVACY = "Removal changes what is predicted. It is no privacy unlearning: features keep the class."


def removals(task: Task) -> list[dict[str, Any]]:
    """For each digit: the weight (with the bias where one is not enough) and the bias alone."""
    rows = []
    for digit in range(10):
        count = torch.arange(len(task.probes))
        found = find_removal(task.probes, digit, count[:CHOOSING], count[CHOOSING:])
        edits = {"one_weight": found.change, "bias_only": found.bias_only}
        if found.with_bias is not None:
            edits["one_weight_bias"] = found.with_bias
        for method, change in edits.items():
            rows.append(
                {
                    "dataset": task.dataset,
                    "class": str(digit),
                    "method": method,
                    "feasible": found.feasible if method == "one_weight" else True,
                    "weights": len(change.weights),
                    **measure(task, digit, change),
                }
            )
    return rows


def measure(task: Task, digit: int, change: Change) -> dict[str, Any]:
    """What an edit does to the removed class and to the others.

    choosing_rate: share of the choosing probes that are still predicted as the class. rate,
    low, high: share of the class's unseen pictures still recognised, Wilson interval.
    worst_other: the largest fall in accuracy of another class on unseen pictures, 0 or below.
    """
    head = with_change(task.probes, change)
    left = predict(task.probes, head)[:CHOOSING] == digit
    before = predict(task.test, with_change(task.test, Change(digit)))
    after, labels = predict(task.test, head), task.test.y
    own = labels == digit
    hits = int((after[own] == digit).sum())
    low, high = wilson(hits, int(own.sum()))
    gain = (after == labels).double() - (before == labels).double()
    moves = [float(gain[labels == c].mean()) for c in range(10) if c != digit]
    return {
        "choosing_rate": float(left.double().mean()),
        "rate_before": float((before[own] == digit).double().mean()),
        "rate": hits / int(own.sum()),
        "low": low,
        "high": high,
        "n": int(own.sum()),
        "worst_other": min(0.0, *moves),
        "mean_other": sum(moves) / len(moves),
    }


def predict(probes: Probes, head: Head) -> Tensor:
    """Predicted classes `[N]` with this head."""
    return functional.linear(torch.as_tensor(probes.features), head.weight, head.bias).argmax(dim=1)
