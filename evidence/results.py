"""One result per method, task and seed, and what is computed from them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy import stats
from torch.nn import functional

from detour.classifier.head import Head
from detour.judge.groups import GroupMetrics, group_metrics
from detour.probes.features import Probes

from .methods import METHODS, Method
from .tasks import Task

GAP_CORRELATIONS = (0.8, 0.9)
"""Where the gap to DFR is measured, both together."""


@dataclass(frozen=True)
class Result:
    """A method on one task: worst-group and mean accuracy (0..1) on the test, and seconds
    of processor time."""

    dataset: str
    correlation: float
    method: str
    seed: int
    worst: float
    mean: float
    seconds: float
    probes: int


def judge(test: Probes, head: Head) -> GroupMetrics:
    """The metrics of a head on the test pictures."""
    logits = functional.linear(torch.as_tensor(test.features), head.weight, head.bias)
    return group_metrics(test, logits.argmax(dim=1) == test.y)


def run_methods(task: Task, methods: Mapping[str, Method] = METHODS) -> list[Result]:
    """Every method on the task's probes; each is shown the probes alone, then judged."""
    results = []
    for name, method in methods.items():
        began = time.process_time()  # others use the machine too
        head = method(task.probes, task.seed)
        seconds = time.process_time() - began
        found = judge(task.test, head)
        place = (task.dataset, task.correlation, name, task.seed)
        results.append(Result(*place, found.worst, found.mean, seconds, len(task.probes)))
    return results


def pick(results: Sequence[Result], **wanted: Any) -> list[Result]:
    """The results whose fields are as wanted, in the order of their seeds."""
    chosen = [r for r in results if all(getattr(r, key) == value for key, value in wanted.items())]
    return sorted(chosen, key=lambda r: (r.correlation, r.seed))


def to_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds, one row per data set, correlation, method."""
    cases = dict.fromkeys((r.dataset, r.correlation, r.probes, r.method) for r in results)
    rows = []
    for dataset, correlation, probes, method in cases:
        found = pick(
            results, dataset=dataset, correlation=correlation, method=method, probes=probes
        )
        worst, mean = [r.worst for r in found], [r.mean for r in found]
        rows.append(
            {
                "dataset": dataset,
                "correlation": correlation,
                "method": method,
                "worst_mean": statistics.fmean(worst),
                "worst_sd": spread(worst),
                "mean_mean": statistics.fmean(mean),
                "mean_sd": spread(mean),
                "seconds": statistics.median(r.seconds for r in found),
                "seeds": len(found),
                "probes": probes,
            }
        )
    return rows


def spread(values: Sequence[float]) -> float:
    """Standard deviation over the seeds; 0 for a single one."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def gap_closed(results: Sequence[Result], dataset: str, method: str) -> float:
    """sum(method - ERM) / sum(DFR - ERM) of worst-group accuracy at 80 and 90 %, all seeds."""
    found = [r for r in results if r.dataset == dataset and r.correlation in GAP_CORRELATIONS]
    total = {name: math.fsum(r.worst for r in found if r.method == name) for name in METHODS}
    return (total[method] - total["erm"]) / (total["dfr"] - total["erm"])


def difference(
    results: Sequence[Result], dataset: str, correlation: float, first: str, second: str
) -> dict[str, Any]:
    """Worst-group accuracy of first minus second, seed by seed: mean and 95 % t interval."""
    sides = [
        pick(results, dataset=dataset, correlation=correlation, method=name)
        for name in (first, second)
    ]
    gaps = [a.worst - b.worst for a, b in zip(*sides, strict=True)]
    mean, count = statistics.fmean(gaps), len(gaps)
    reach = math.inf
    if count > 1:
        reach = float(stats.t.ppf(0.975, count - 1)) * spread(gaps) / math.sqrt(count)
    return {
        "dataset": dataset,
        "correlation": correlation,
        "first": first,
        "second": second,
        "difference": mean,
        "low": mean - reach if count > 1 else None,
        "high": mean + reach if count > 1 else None,
        "seeds": count,
    }


def differences(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One weight against the bias shift and against a random weight, everywhere."""
    places = dict.fromkeys((r.dataset, r.correlation) for r in results)
    return [
        difference(results, dataset, correlation, "one_weight", rival)
        for dataset, correlation in places
        for rival in ("bias_only", "random_weight")
    ]
