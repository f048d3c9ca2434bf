"""Which rows the demo measures, how a setting is chosen, and what a row says."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from detour.schedule import Schedule

from .digits import MINORITY
from .measure import Case, Laboratory
from .stats import mcnemar, moved, wilson

CHOOSING_SEED, REPORT_SEED = 1_000_000, 2_000_000
"""Where the seeds for choosing and for reporting begin; they never meet."""
OPEN_WORD = {"demo": "odd", "mirror": "even"}
"""For each twin the word that leaves most open: three of its five digits are the minority's.
With guidance a model answers it with the majority, as it answers "nurse" or "CEO"."""
GUIDED = 3.0
WINDOWS = (0.25, 0.3, 0.35, 0.4, 0.45)
"""Ends of the early windows that a setting is chosen from, at strength 1."""
READABLE_LOSS, CHOOSING_LOSS = 0.03, 0.02
"""The readable pictures that a setting may cost at most, as a share of all pictures: in the
report, and when choosing, where a margin is left since the best of several flatters itself."""
DEFAULT = Case(strength=Schedule.strength, end=Schedule.end_percent)
"""The node's own default, taken where nothing is chosen (`--quick`)."""
LONGER = Case(strength=1.0, end=0.45)
"""A longer early window, for the rows in which no prompt and no guidance have a part."""
NOISES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


def asked(case: Case, model: str) -> Case:
    """The same case with the twin's open word, under guidance: the question of the demo."""
    return replace(case, model=model, prompt=OPEN_WORD[model], cfg=GUIDED)


def choose_window(lab: Laboratory, count: int) -> Case:
    """The early window with the largest minority share among those that keep the pictures
    readable, on the choosing seeds of the demo model."""
    plain = lab.read(asked(Case(), "demo"), CHOOSING_SEED, count)
    best, best_share = Case(strength=1.0, end=WINDOWS[0]), -1.0
    for end in WINDOWS:
        case = Case(strength=1.0, end=end)
        reading = lab.read(asked(case, "demo"), CHOOSING_SEED, count)
        hits, seen = reading.share(MINORITY["demo"])
        keeps = plain.readable - reading.readable <= CHOOSING_LOSS
        if keeps and seen and hits / seen > best_share:
            best, best_share = case, hits / seen
    return best


def choose_placebo(lab: Laboratory, chosen: Case, count: int) -> Case:
    """The strongest noise in the same window that costs no more readable pictures than the
    bypass, on the choosing seeds: a bypass has to beat a placebo that is as strong as allowed."""
    goal = lab.read(asked(chosen, "demo"), CHOOSING_SEED, count).readable
    best = replace(chosen, case="placebo", strength=NOISES[0])
    for amount in NOISES:
        placebo = replace(chosen, case="placebo", strength=amount)
        if lab.read(asked(placebo, "demo"), CHOOSING_SEED, count).readable < goal:
            break
        best = placebo
    return best


def table_cases(chosen: Case, placebo: Case, extent: str) -> list[Case]:
    """The rows in the order of the table; `extent` is quick, usual or full."""
    trio = [Case(), chosen, placebo]
    unprompted = replace(chosen, case="unprompted")
    rows = [asked(case, model) for model in OPEN_WORD for case in (*trio, unprompted)]
    if extent == "quick":
        return [*rows, Case(), chosen, Case(strength=1.0)]
    empty = [Case(), replace(chosen, strength=0.5), chosen, Case(strength=0.3)]
    empty += [LONGER, Case(strength=1.0), Case(strength=-0.3), placebo]
    words = [("even", 3.0), ("odd", 7.0), ("even", 7.0)]
    if extent == "full":
        empty += [Case(strength=1.0, end=end) for end in (0.2, 0.5, 0.65)]
        empty += [Case(strength=1.0, start=0.3, end=0.65), Case(strength=1.0, start=0.5)]
        empty += [Case(strength=strength) for strength in (0.5, 0.7)]
        words += [("", 3.0), ("", 7.0), ("seven", 3.0), ("two", 3.0)]
    rows += empty
    for prompt, cfg in words:
        rows += [replace(case, prompt=prompt, cfg=cfg) for case in trio[:2]]
    rows += [replace(case, model="mirror") for case in (*trio[:2], LONGER, placebo)]
    return list(dict.fromkeys(rows))


def rival(case: Case, chosen: Case, placebo: Case, table: list[Case]) -> Case | None:
    """The table's placebo for the same question; None for rows without the chosen setting."""
    question = {"model": case.model, "prompt": case.prompt, "cfg": case.cfg}
    like = replace(placebo, **question)
    return like if case == replace(chosen, **question) and like in table else None


def measure_row(lab: Laboratory, case: Case, placebo: Case | None, count: int) -> dict[str, Any]:
    """One row of the table on fresh seeds, as design names its fields."""
    minority = MINORITY[case.model]
    reading = lab.read(case, REPORT_SEED, count)
    plain = lab.read(case.plain, REPORT_SEED, count)
    hits, seen = reading.share(minority)
    low, high = wilson(hits, seen)
    to_minority, to_majority = moved(plain, reading, minority)
    beyond = None
    if placebo is not None:
        beyond = moved(lab.read(placebo, REPORT_SEED, count), reading, minority)
    return {
        **asdict(case),
        "minority_share": hits / seen if seen else None,
        "low": low,
        "high": high,
        "readable": reading.readable,
        "n": count,
        "to_minority": to_minority,
        "to_majority": to_majority,
        "p": None if case.strength == 0 else mcnemar(to_minority, to_majority),
        "p_placebo": None if beyond is None else mcnemar(*beyond),
        "more_than_placebo": None if beyond is None else beyond[0] > beyond[1],
    }


def reaches_goal(row: dict[str, Any], plain: dict[str, Any]) -> bool:
    """Clearly more minority, beyond the placebo, at no more than 3 points fewer readable."""
    more = row["to_minority"] > row["to_majority"] and row["p"] < 0.01
    beyond = row["more_than_placebo"] and row["p_placebo"] < 0.05
    return bool(more and beyond) and plain["readable"] - row["readable"] <= READABLE_LOSS
