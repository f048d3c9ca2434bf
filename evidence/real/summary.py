"""What many splits say together: gains in pairs with intervals, and how often it got worse."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import product
from typing import Any

from scipy import stats

from .tasks import QUESTIONS

Row = dict[str, Any]
KINDS = ("balanced", "unbalanced")
FLOORS = ("random_weight", "bias_only")
ALLOWED_WORSE = 1 / 20
CLOSE = 0.05


def places(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Question, backbone and kind of probes of every block, in the order of the questions."""
    backbones = dict.fromkeys(row["backbone"] for row in rows)
    names = [question.name for question in QUESTIONS]
    return [
        place
        for place in product(names, backbones, KINDS)
        if any(_place(row) == place for row in rows)
    ]


def _place(row: Row) -> tuple[str, str, str]:
    return row["question"], row["backbone"], row["probes"]


def by_seed(rows: Sequence[Row], place: tuple[str, str, str], method: str) -> dict[int, Row]:
    """The rows of one method in one block, by split."""
    return {r["seed"]: r for r in rows if r["method"] == method and _place(r) == place}


def summarise(rows: Sequence[Row], fewest: int) -> list[Row]:
    """One row per block and method: means over the splits that all methods of the block were
    measured on; over all splits of its own the gains over the floors, in pairs, and how many of
    them left the worst group below the unedited head's. Methods that were stopped before
    `fewest` splits are left out."""
    found = []
    for place in places(rows):
        methods = dict.fromkeys(row["method"] for row in rows if _place(row) == place)
        sides = {name: by_seed(rows, place, name) for name in methods}
        enough = min(fewest, len(sides["erm"]))
        sides = {name: side for name, side in sides.items() if len(side) >= enough}
        common = set.intersection(*(set(side) for side in sides.values()))
        for name, own in sides.items():
            erm = sides["erm"]
            lower = sorted(s for s, row in own.items() if row["worst"] < erm[s]["worst"])
            found.append(
                {
                    **dict(zip(("question", "backbone", "probes"), place, strict=True)),
                    "method": name,
                    "splits": len(own),
                    "worst": statistics.fmean(own[seed]["worst"] for seed in common),
                    "mean": statistics.fmean(own[seed]["mean"] for seed in common),
                    "compared": len(common),
                    "numbers": statistics.median(row["numbers"] for row in own.values()),
                    "seconds": statistics.median(row["seconds"] for row in own.values()),
                    "worse_than_unedited": len(lower),
                    "worse_splits": lower,
                    "of_splits": {str(s): round(row["worst"], 4) for s, row in own.items()},
                    **{f"over_{floor}": gain(own, sides[floor]) for floor in FLOORS},
                }
            )
    return found


def worst_together(rows: Sequence[Row]) -> list[float]:
    """Mean worst-group accuracy of each of these rows of `summarise`, over the splits that all of
    them were measured on."""
    common = set.intersection(*(set(row["of_splits"]) for row in rows))
    return [statistics.fmean(row["of_splits"][split] for split in common) for row in rows]


def gain(first: dict[int, Row], second: dict[int, Row]) -> dict[str, float | None]:
    """Worst-group accuracy of first minus second on the splits that both have: mean and 95 % t
    interval, none from a single split."""
    values = [first[seed]["worst"] - second[seed]["worst"] for seed in first.keys() & second.keys()]
    mean, count = statistics.fmean(values), len(values)
    if count < 2:
        return {"mean": mean, "low": None, "high": None}
    reach = float(stats.t.ppf(0.975, count - 1)) * statistics.stdev(values) / math.sqrt(count)
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


def cliffs(rows: Sequence[Row]) -> list[Row]:
    """For each question and backbone with balanced probes: the mean curve against the degree, and
    the largest step of any split."""
    found = []
    for place in places(rows):
        if place[2] != "balanced":
            continue
        for method in dict.fromkeys(row["method"] for row in rows if "shown" in row):
            own = by_seed(rows, place, method).values()
            found.append(
                {
                    "question": place[0],
                    "backbone": place[1],
                    "method": method,
                    "splits": len(own),
                    "shown": [
                        statistics.fmean(v) for v in zip(*(r["shown"] for r in own), strict=True)
                    ],
                    "fall": max(row["fall"] for row in own),
                    "flips": max(row["flips"] for row in own),
                }
            )
    return found
