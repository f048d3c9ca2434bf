"""Results in a file of JSON lines: written as they are found, never measured twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


class Store:
    """What was measured, by what it was measured with.

    path: the file; a last line that was cut off by a stop is left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for key, found in _entries(path):
            self.found[_name(key)] = found

    def look(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was found for a key; None if it was not measured yet."""
        return self.found.get(_name(key))

    def get(self, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was found for a key; measured now, and kept, if it was not yet."""
        name = _name(key)
        if name not in self.found:
            self._keep(key, measure())
        return self.found[name]

    def merge(self, other: Path) -> None:
        """Take over what another file holds and this one does not."""
        for key, found in _entries(other):
            if _name(key) not in self.found:
                self._keep(key, found)

    def _keep(self, key: Mapping[str, Any], found: dict[str, Any]) -> None:
        line = json.dumps({"key": dict(key), "found": found})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}")  # a line of its own, even after one that was cut off
        self.found[_name(key)] = found


def _entries(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        yield entry["key"], entry["found"]


def _name(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)
