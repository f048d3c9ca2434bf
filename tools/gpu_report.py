"""What a part of `dev.py gpu` hands back, line by line, so that nothing measured is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .failure import Failure, say

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    Failure,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What one check or figure may raise (torch's own errors are RuntimeErrors): it is told, and
the others still run."""
LONGEST = 300
"""Letters of an error's text that are kept."""


class Report:
    """The lines of one part: a file that is written to after each finding."""

    def __init__(self, file: Path, seconds: float) -> None:
        self.file, self.end = file, time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until the part is stopped."""
        return self.end - time.monotonic()

    def add(self, kind: str, value: Any) -> None:
        """One finding: appended and flushed, and printed."""
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([kind, value]) + "\n")
        say(f"  {kind}: {value if isinstance(value, str) else json.dumps(value)}")

    def attempt(self, name: str, run: Callable[[], None], kind: str, needs: float = 0.0) -> bool:
        """Run something; what goes wrong is a finding of this kind, with the reason.

        needs: seconds that must be left, else it is not begun and told as `skipped`.
        Returns whether it was done.
        """
        if self.left < needs:
            reason = f"{max(0.0, self.left):.0f} s were left of the time, {needs:.0f} s are needed"
            self.add("skipped", [name, reason])
            return False
        try:
            run()
        except FAULTS as error:
            self.add(kind, [name, f"{type(error).__name__}: {error}"[:LONGEST]])
            return False
        return True


def read_lines(file: Path) -> list[tuple[str, Any]]:
    """All findings of a file; a last line that was cut off is left out."""
    found: list[tuple[str, Any]] = []
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                kind, value = json.loads(line)
            except ValueError:
                break
            found.append((kind, value))
    return found
