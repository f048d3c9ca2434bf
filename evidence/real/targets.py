"""What is asked of the figures; what falls short is said as such."""

from __future__ import annotations

from collections.abc import Sequence

from ..targets import Target
from .summary import ALLOWED_WORSE, CLOSE, FLOORS, Row, worst_together

EDITS = ("one_weight", "one_weight_bias", "three_weights_bias", "auto")
FROM_MISTAKES = ("mistakes", "mistakes_keep_80")
OF_DFR = 0.9


def targets(rows: Sequence[Row]) -> list[Target]:
    """Every edit against both floors and the unedited head; several weights against DFR on four
    classes; `mistakes`, which has no labels of the attribute, against the search that has, as it
    comes and where fewer right pictures are to stay right."""
    found = []
    for method in (*EDITS, *FROM_MISTAKES):
        own = [row for row in rows if row["method"] == method]
        if not own:
            continue
        sure = sum(all((row[f"over_{f}"]["low"] or 0) > 0 for f in FLOORS) for row in own)
        name = f"{method}: share of blocks with a sure gain over both floors"
        found.append(Target(name, sure / len(own), 1.0, True))
        worse = max(row["worse_than_unedited"] / row["splits"] for row in own)
        name = f"{method}: splits not below the unedited head, as a share, worst block"
        found.append(Target(name, 1 - worse, 1 - ALLOWED_WORSE, True))
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        here = {
            row["method"]: row["worst"]
            for row in rows
            if row["question"] == "four_jobs"
            and row["backbone"] == backbone
            and row["probes"] == "balanced"
        }
        if {"three_weights_bias", "dfr"} <= here.keys():
            gains = [here[name] - here["erm"] for name in ("three_weights_bias", "dfr")]
            name = f"four_jobs, {backbone}: three_weights_bias, share of DFR's gain"
            found.append(Target(name, gains[0] / gains[1], OF_DFR, True))
    return found + [
        Target(
            f"{', '.join(_place(row))}: {row['method']} minus worst_group",
            _ahead(row, other),
            -CLOSE,
            True,
        )
        for row in rows
        if row["method"] in FROM_MISTAKES
        for other in rows
        if other["method"] == "one_weight_bias" and _place(other) == _place(row)
    ]


def _ahead(row: Row, other: Row) -> float:
    first, second = worst_together((row, other))
    return first - second


def _place(row: Row) -> tuple[str, str, str]:
    return row["question"], row["backbone"], row["probes"]
