"""Named schedules to begin with, from the one file that all hosts share.

They are starting points of ours, not findings: nobody has tried them on every checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..checks import require_choice
from ..schedule import Schedule

WAYS = ("bypass", "relief", "fade")


@dataclass(frozen=True)
class Preset:
    """A starting point: an id for programs, a name and one sentence for people, which of `WAYS` it
    is for, and a schedule."""

    id: str
    name: str
    way: str
    description: str
    schedule: Schedule

    def __post_init__(self) -> None:
        for field in ("id", "name", "description"):
            if not getattr(self, field).strip():
                raise ValueError(f"A preset needs {field}, and one has none.")
        require_choice("way", self.way, WAYS)


def parse_presets(text: str) -> tuple[Preset, ...]:
    """The presets in the text of `js/presets.json`, in its order.

    Raises ValueError with one sentence for text that is no such file, an id that occurs
    twice, or a schedule that cannot be used.
    """
    try:
        entries = json.loads(text)["presets"]
        presets = tuple(
            Preset(**{**entry, "schedule": Schedule(**entry["schedule"])}) for entry in entries
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"The presets cannot be read ({error}): each needs an id, a name, a way, a "
            "description and a schedule with the node's input names."
        ) from error
    ids = [preset.id for preset in presets]
    if len(set(ids)) != len(ids):
        raise ValueError(f"Every preset needs an id of its own, but they are {', '.join(ids)}.")
    return presets
