"""The report of how a classifier does on each group: as text and as numbers."""

from __future__ import annotations

from typing import Any

from ..spurious import Compared
from .words import group_lines, small_groups


def group_text(done: Compared) -> str:
    """Accuracy of each group in plain words, beside the one before where there is one."""
    title = "Groups, accuracy with 95 % interval" + (", before -> after:" if done.before else ":")
    lines = [title, *group_lines(done.before, done.after), "", "Notes:"]
    return "\n".join(lines + [f"- {note}" for note in _notes(done)])


def group_numbers(done: Compared) -> dict[str, Any]:
    """The same as plain data for JSON."""
    return {
        "before": None if done.before is None else done.before.as_dict(),
        "after": done.after.as_dict(),
        "notes": _notes(done),
    }


def _notes(done: Compared) -> list[str]:
    return [*done.notes, *small_groups(done.after)]
