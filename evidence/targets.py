"""What the issue asks of the figures, and whether they reach it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .results import GAP_CORRELATIONS, Result, difference, gap_closed, pick

OTHERS_MAY_FALL = 0.005
THREE = "three_weights_bias"


@dataclass(frozen=True)
class Target:
    """A figure with its bound; it must lie at or above it, or below it."""

    name: str
    value: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the figure reaches its bound."""
        return self.value >= self.bound if self.at_least else self.value < self.bound

    @property
    def line(self) -> str:
        """For people: the figure, the bound, met or missed by how much."""
        sign = ">=" if self.at_least else "<"
        verdict = "met" if self.met else f"MISSED by {abs(self.value - self.bound):.3f}"
        return f"  {self.name:70} {self.value:8.3f} {sign} {self.bound:<6.3f} {verdict}"

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "met": self.met}


def mean_gap(results: Sequence[Result], dataset: str, first: str, second: str, of: str) -> float:
    """Mean of first minus second over the seeds at 80 and 90 %, of `worst`, `mean`."""
    sides = [
        [
            getattr(result, of)
            for result in pick(results, dataset=dataset, method=name)
            if result.correlation in GAP_CORRELATIONS
        ]
        for name in (first, second)
    ]
    return (math.fsum(sides[0]) - math.fsum(sides[1])) / len(sides[0])


def times_of_dfr(results: Sequence[Result], dataset: str, method: str) -> float:
    """Seconds to choose against DFR's, both summed over all tasks."""
    own, dfr = (
        math.fsum(r.seconds for r in pick(results, dataset=dataset, method=name))
        for name in (method, "dfr")
    )
    return own / dfr


def method_targets(results: Sequence[Result]) -> list[Target]:
    """The targets for the two data sets with a colour shortcut."""
    found = []
    for dataset, pair, three in (("cnn", 0.65, 0.8), ("mobilenet", 0.9, None)):
        for rival in ("bias_only", "random_weight"):
            least = min(
                difference(results, dataset, share, "one_weight", rival)["difference"]
                for share in {r.correlation for r in results}
            )
            name = f"{dataset}: one_weight minus {rival}, worst correlation"
            found.append(Target(name, least, 0.0, True))
        for method, bound in (("one_weight", 0.1), ("one_weight_bias", pair)):
            closed = gap_closed(results, dataset, method)
            found.append(Target(f"{dataset}: gap closed by {method}", closed, bound, True))
        rise = mean_gap(results, dataset, "one_weight_bias", "erm", "mean")
        name = f"{dataset}: mean accuracy, one_weight_bias minus ERM (80 and 90 %)"
        found.append(Target(name, rise, 0.0, True))
        if three is not None:
            closed = gap_closed(results, dataset, THREE)
            name = f"{dataset}: gap closed by three_weights_bias"
            found.append(Target(name, closed, three, True))
    behind = mean_gap(results, "mobilenet", THREE, "dfr", "worst")
    name = "mobilenet: worst group, three_weights_bias minus DFR (80 and 90 %)"
    found.append(Target(name, behind, -0.01, True))
    for method, bound in (("one_weight", 0.1), ("one_weight_bias", 1.0)):
        ratio = times_of_dfr(results, "mobilenet", method)
        found.append(Target(f"mobilenet: seconds of {method} / DFR", ratio, bound, False))
    for dataset in ("cnn", "mobilenet"):
        name = f"{dataset}: seconds of three_weights_bias / DFR"
        alone = max(
            times_of_dfr([r for r in results if r.correlation == share], dataset, THREE)
            for share in {r.correlation for r in results}
        )
        found.append(Target(name, times_of_dfr(results, dataset, THREE), 1.0, False))
        found.append(Target(f"{name}, worst correlation", alone, 1.0, False))
    return found


def watermark_targets(
    rows: Sequence[dict[str, Any]], splits: dict[str, Any] | None
) -> list[Target]:
    """The targets for the watermark; none if it was not measured."""
    found = {row["method"]: row for row in rows}
    if not found or splits is None:
        return []
    left = abs(found["one_weight"]["gap"]) / abs(found["unedited"]["gap"])
    changed = found["one_weight"]["top1_changed_plain"]
    return [
        Target("watermark: effect that one_weight leaves, as a share", left, 0.1, False),
        Target("watermark: the same, median of random splits", splits["median"], 0.1, False),
        Target("watermark: plain pictures that keep their top-1 class", 1 - changed, 1.0, True),
    ]


def removal_targets(rows: Sequence[dict[str, Any]]) -> list[Target]:
    """The targets for removing a class: gone where it was chosen, others as they were.

    Where one weight is not enough, the weight with the bias counts.
    """
    found = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        own = [row for row in rows if row["dataset"] == dataset and row["method"] != "bias_only"]
        used = [row for row in own if row["method"] == "one_weight_bias" or row["feasible"]]
        left = max(row["choosing_rate"] for row in used)
        fall = max(0.0, *(-row["worst_other"] for row in used))
        name = f"removal, {dataset}: share of choosing pictures freed of the class"
        found.append(Target(name, 1 - left, 1.0, True))
        name = f"removal, {dataset}: largest fall of another class"
        found.append(Target(name, fall, OTHERS_MAY_FALL, False))
    return found
