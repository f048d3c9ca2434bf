"""The one kind of error that people get to read: a sentence, no traceback."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec

Arguments = ParamSpec("Arguments")

TAIL_LINES = 15
"""How many of a log's last lines an error shows."""


class Failure(Exception):
    """Something a person can act on.

    `str(failure)` is one clear sentence; `details` may hold log lines to show below it.
    """

    def __init__(self, sentence: str, details: str = "") -> None:
        super().__init__(sentence)
        self.details = details


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last non-empty lines of a log file; empty when it cannot be read."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def say(text: str) -> None:
    """Print one line for people, at once and whatever the console's character set is."""
    try:
        print(text, flush=True)
    except UnicodeEncodeError:
        print(text.encode("ascii", "replace").decode("ascii"), flush=True)


def in_one_sentence(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """The main of a command: where it fails it says one sentence, no traceback, and gives 1."""

    @functools.wraps(main)
    def ended(*arguments: Arguments.args, **options: Arguments.kwargs) -> int:
        try:
            return main(*arguments, **options)
        except Failure as failure:
            last = f"{failure.details}\nError: {failure}".lstrip("\n")
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            last = f"Error: {os.strerror(error.errno) if error.errno else error}{where}."
        except KeyboardInterrupt:
            last = "Stopped."
        with suppress(OSError):  # nobody hears it where the terminal was closed
            say(last)
        return 1

    return ended
