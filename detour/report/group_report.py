"""The report of how a classifier does on each group: as text and as numbers."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from ..spurious import Compared, Gain
from .words import LEARNED, claim, group_lines, small_groups

IF_UNSEEN = "That holds only if these probes had no say in the edit."


def group_text(done: Compared) -> str:
    """Accuracy of each group in plain words, beside the one before where there is one."""
    title = "Groups, accuracy with 95 % interval" + (", before -> after:" if done.before else ":")
    lines = [title, *group_lines(done.before, done.after), *_claim(done), "", "Notes:"]
    return "\n".join(lines + [f"- {note}" for note in _notes(done)])


def group_numbers(done: Compared) -> dict[str, Any]:
    """The same as plain data for JSON."""
    return {
        "before": None if done.before is None else done.before.as_dict(),
        "after": done.after.as_dict(),
        "notes": _notes(done),
        "gain": None if (gain := _gain(done)) is None else asdict(gain),
        "unseen": done.unseen and not done.learned,
    }


def _gain(done: Compared) -> Gain | None:
    """What may be claimed; nothing where the classifier itself was fitted on these probes."""
    return replace(done.gain, verdict="seen") if done.gain and done.learned else done.gain


def _claim(done: Compared) -> list[str]:
    gain = _gain(done)
    if gain is None:
        return []
    told = claim(gain, done.after)
    shown = gain.verdict in ("improved", "worse") and not done.unseen
    return [f"{told} {IF_UNSEEN}" if shown else told]


def _notes(done: Compared) -> list[str]:
    learned = [LEARNED] if done.learned else []
    return [*done.notes, *learned, *small_groups(done.after)]
