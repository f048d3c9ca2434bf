"""A removed class: how often each class is still recognised, as a chart, text and numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from PIL import Image

from ..edit.file import to_json
from ..judge.groups import share_interval
from ..search.remove_class import ClassRate, Removal
from .bars import AFTER, BEFORE, Bar, Row, draw_bars
from .canvas import ACCENT
from .sentences import edit_lines, interval, percent

MOST = 30
"""More classes than this make an unreadable picture; those that changed most are drawn."""


def draw_removal(done: Removal) -> Image.Image:
    """The removed class among unseen pictures, then the share of each class that is recognised.

    The orange bars are the rival, a bias shift alone.
    """
    legend = [("before", BEFORE), ("after", AFTER)]
    if done.unseen_bias is not None:
        at = "" if done.edit.degree == 1 else " (degree 1)"
        legend.append((f"bias shift alone{at}", ACCENT))
    counts = (done.unseen_before, done.unseen_after, done.unseen_bias)
    first = _row(
        f"predicted '{done.class_name}'",
        (done.sizes[2], done.units),
        counts,
        "unseen pictures",
        True,
    )
    told, rates = _shown(done)
    rows = [
        _row(
            f"{rate.name}, recognised",
            (rate.count, rate.units),
            (rate.before, rate.after, rate.bias_only),
        )
        for rate in rates
    ]
    title = f"Removal of '{done.class_name}' at degree {done.edit.degree:g}"
    return draw_bars(title, [first, *rows], legend, None, told)


def _shown(done: Removal) -> tuple[str, list[ClassRate]]:
    rates = list(done.rates)
    if len(rates) <= MOST:
        return "", rates
    moved = sorted(rates, key=lambda rate: -abs(rate.after - rate.before) / rate.count)[:MOST]
    told = f"The {MOST} classes that changed most, of {len(rates)}; the report has them all."
    return told, sorted(moved, key=lambda rate: rate.index)


def _row(
    label: str,
    sizes: tuple[int, int],
    counts: tuple[int, int, int | None],
    what: str = "",
    marked: bool = False,
) -> Row:
    """sizes: how many pictures, and of how many photos or seeds they are."""
    n, colours = sizes[0], (BEFORE, AFTER, ACCENT)
    bars = tuple(
        Bar(count / n, colour, *share_interval(count, sizes[0], sizes[1]))
        for count, colour in zip(counts, colours, strict=True)
        if count is not None
    )
    before, after = counts[0] / n, counts[1] / n
    numbers = f"{100 * before:.1f} to {percent(after)}"
    return Row(
        label,
        bars,
        numbers,
        f"n {n} {what}".rstrip(),
        f"{100 * (after - before):+.1f} points",
        marked,
    )


ONLY_PREDICTIONS = (
    "This changes predictions only. It is no privacy unlearning: the network still holds what it "
    "learned from that class."
)


def removal_text(done: Removal) -> str:
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


def removal_numbers(done: Removal) -> dict[str, Any]:
    """Every number of the report as plain data for JSON."""
    found = done.found
    low, high = done.interval
    return {
        "edits": to_json(done.stack),
        "class_name": done.class_name,
        "edit_size": done.search.size,
        "feasible": found.feasible,
        "predicted": found.predicted,
        "remaining": found.remaining,
        "rate_validate": found.rate_validate,
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


def _rival(done: Removal) -> str:
    if done.unseen_bias is None:
        return ""
    at = "" if done.edit.degree == 1 else ", at degree 1"
    return f" (a bias shift alone{at}: {percent(done.unseen_bias / done.sizes[2])})"
