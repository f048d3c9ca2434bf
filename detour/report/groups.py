"""How a classifier does on each group: bars before and after, text, and numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from PIL import Image

from ..judge.compare import Comparison
from ..judge.groups import GroupMetrics, claimable
from .bars import AFTER, BEFORE, Bar, Colour, Row, draw_bars
from .sentences import LEARNED, claim, group_lines, percent, small_groups

MOST = 40
"""More groups than this make an unreadable picture: the worst are drawn, the rest counted."""
MOST_WITH_EMPTY = 24
"""Up to this many groups, those without probes are drawn too."""


def draw_group_bars(
    after: GroupMetrics, before: GroupMetrics | None = None, title: str = ""
) -> Image.Image:
    """One row per group: accuracy with its 95 % interval and the number of probes.

    before: the same groups of another classifier, drawn above each bar; both must have the
    same groups. The worst group of `after` is marked.
    """
    told, groups = _shown(after)
    if before is None:
        legend = [("accuracy", AFTER)]
    else:
        legend = [("before", BEFORE), ("after", AFTER)]
    rows = [_row(before, after, g) for g in groups]
    return draw_bars(
        title or "Accuracy of each group, with 95 % intervals", rows, legend, None, told
    )


def _shown(after: GroupMetrics) -> tuple[str, list[int]]:
    groups = list(range(len(after.names)))
    if len(groups) > MOST_WITH_EMPTY:
        groups = [g for g in groups if after.counts[g] or g in after.unmeasured]
    if len(groups) <= MOST:
        return "", groups
    known = [g for g in groups if after.counts[g]]
    worst = sorted(known, key=lambda g: after.accuracy[g] or 0.0)[:MOST]
    return f"The {MOST} worst of {len(groups)} groups; the report has them all.", sorted(worst)


def _row(before: GroupMetrics | None, after: GroupMetrics, g: int) -> Row:
    name, now = after.names[g], after.accuracy[g]
    if now is None:
        what = "not measured" if g in after.unmeasured else "no probes"
        return Row(name, (), what, "left out of worst and mean")
    marked = g == after.worst_group
    detail = f"n {after.counts[g]}" + (", worst group" if marked else "")
    bars = [_bar(after, g, AFTER)]
    numbers = percent(now)
    aside = ""
    if before is not None and before.accuracy[g] is not None:
        was = before.accuracy[g] or 0.0
        bars.insert(0, _bar(before, g, BEFORE))
        numbers = f"{100 * was:.1f} to {percent(now)}"
        aside = f"{100 * (now - was):+.1f} points"
    return Row(name, tuple(bars), numbers, detail, aside, marked)


def _bar(metrics: GroupMetrics, g: int, colour: Colour) -> Bar:
    return Bar(metrics.accuracy[g] or 0.0, colour, metrics.low[g], metrics.high[g])


IF_UNSEEN = "That holds only if these probes had no say in the edit."


def group_text(done: Comparison) -> str:
    """Accuracy of each group in plain words, beside the one before where there is one."""
    title = "Groups, accuracy with 95 % interval" + (", before -> after:" if done.before else ":")
    lines = [title, *group_lines(done.before, done.after), *_claim(done), "", "Notes:"]
    return "\n".join(lines + [f"- {note}" for note in _notes(done)])


def group_numbers(done: Comparison) -> dict[str, Any]:
    """The same as plain data for JSON."""
    return {
        "before": None if done.before is None else done.before.as_dict(),
        "after": done.after.as_dict(),
        "notes": _notes(done),
        "gain": None if (gain := claimable(done.gain, done.learned)) is None else asdict(gain),
        "unseen": done.unseen and not done.learned,
    }


def _claim(done: Comparison) -> list[str]:
    gain = claimable(done.gain, done.learned)
    if gain is None:
        return []
    told = claim(gain, done.after)
    shown = gain.verdict in ("improved", "worse") and not done.unseen
    return [f"{told} {IF_UNSEEN}" if shown else told]


def _notes(done: Comparison) -> list[str]:
    learned = [LEARNED] if done.learned else []
    return [*done.notes, *learned, *small_groups(done.after)]
