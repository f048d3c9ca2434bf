"""The report of a removed class: as text and as numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..spurious import Removed, to_json
from .words import edit_lines, interval, percent

ONLY_PREDICTIONS = (
    "This changes predictions only. It is no privacy unlearning: the network still holds what it "
    "learned from that class."
)


def removal_text(done: Removed) -> str:
    """The whole report in plain words."""
    lines = [f"Removal of class '{done.class_name}' at degree {done.edit.degree:g}."]
    lines += [ONLY_PREDICTIONS, "", *edit_lines(done.stack), ""]
    choose, _, report = done.sizes
    lines.append(
        f"On the {choose} probes to choose on: predicted {done.chosen_before} times before, "
        f"{done.chosen_after} after."
    )
    unseen = done.unseen_after / report
    lines.append(
        f"On {report} other probes: {percent(done.unseen_before / report)} before, "
        f"{percent(unseen)} {interval(*done.interval)} after{_rival(done)}."
    )
    if done.rates:
        lines += ["", "Recognised in each class of those (before -> after):"]
    for rate in done.rates:
        before, after = rate.before / rate.count, rate.after / rate.count
        span = interval(*rate.interval)
        rival = ""
        if rate.bias_only is not None:
            rival = f", bias shift alone {percent(rate.bias_only / rate.count)}"
        lines.append(
            f"  {rate.name}: {percent(before)} -> {percent(after)} {span}, n {rate.count}{rival}"
        )
    if done.notes:
        lines += ["", "Notes:", *(f"- {note}" for note in done.notes)]
    return "\n".join(lines)


def removal_numbers(done: Removed) -> dict[str, Any]:
    """Every number of the report as plain data for JSON."""
    removal = done.removal
    low, high = done.interval
    return {
        "edits": to_json(done.stack),
        "class_name": done.class_name,
        "edit_size": done.edit_size,
        "feasible": removal.feasible,
        "predicted": removal.predicted,
        "remaining": removal.remaining,
        "rate_validate": removal.rate_validate,
        "degree": done.edit.degree,
        "search_degree": 1,
        "sizes": dict(zip(("choose", "validate", "report"), done.sizes, strict=True)),
        "choose": {"before": done.chosen_before, "after": done.chosen_after},
        "report": {
            "before": done.unseen_before,
            "after": done.unseen_after,
            "bias_only": done.unseen_bias,
            "low": low,
            "high": high,
        },
        "classes": [asdict(rate) for rate in done.rates],
        "notes": list(done.notes),
    }


def _rival(done: Removed) -> str:
    if done.unseen_bias is None:
        return ""
    at = "" if done.edit.degree == 1 else ", at degree 1"
    return f" (a bias shift alone{at}: {percent(done.unseen_bias / done.sizes[2])})"
