"""What people type into a node or a tab, read once for all hosts.

Every function returns what is meant, or raises ValueError with a sentence that names the value.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

STRONGEST_DEGREE = 4.0
"""How far an edit may be driven, in both directions; 1 neutralises."""
MOST_WEIGHTS = 16
LARGEST_SEED = 2**31 - 1
MOST_QUOTED = 80
LONGEST_SENTENCE = 600
"""Letters of a value in a sentence, and of a sentence: whoever writes a megabyte knows what."""


def quoted(value: object, most: int = MOST_QUOTED) -> str:
    """A value as a sentence names it: in quotation marks if it is text, in one line, its middle
    left out where it is long. Every sentence that repeats what somebody wrote goes through here."""
    if isinstance(value, str) and len(value) > most:
        value = f"{value[: most // 2]}…{value[-(most // 2) :]}"
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**most:
        return "a number of very many digits"
    return shortened(repr(value), most + 20)


def shortened(text: str, most: int = LONGEST_SENTENCE) -> str:
    """The text in one line of at most `most` letters that every host can write and show."""
    if len(text) > 2 * most:
        text = f"{text[:most]} … {text[-most:]}"
    line = "".join(
        sign if sign.isprintable() else _escaped(sign) for sign in " ".join(text.split())
    )
    return line if len(line) <= most else f"{line[: most // 2]}…{line[-(most - most // 2 - 1) :]}"


def _escaped(sign: str) -> str:
    """What cannot be seen, or is half a letter, as Python writes it."""
    return sign.encode("unicode_escape").decode()


def first_line(error: BaseException, most: int = 160) -> str:
    """How a library's error begins; its kind where it says nothing."""
    begin = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return shortened(begin[:most], most)


def listed(names: Sequence[object], most: int = 8) -> str:
    """The names, the first few of many, each shortened."""
    some = ", ".join(shortened(str(name), 40) for name in names[:most])
    return some + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(count: int, what: str) -> str:
    """`1 edit`, `2 edits`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def is_text(text: str) -> bool:
    """Whether every program can write it: halves of letters (surrogates) are no text."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def plain_name(name: str) -> str:
    """The name with one sign for each accented letter: macOS writes two into folder names."""
    return unicodedata.normalize("NFC", name)


def folded_name(name: str) -> str:
    """The name as it is compared: upper and lower case and spaces around it do not count."""
    return plain_name(name).strip().casefold()


def read_number(name: str, value: Any, low: float, high: float) -> float:
    """The number itself; refused are None, NaN (which hosts let through) and out of range."""
    if not isinstance(value, (int, float)) or not low <= value <= high:  # nor is NaN between them
        told = shortened(value, MOST_QUOTED) if isinstance(value, str) else quoted(value)
        raise ValueError(f"{name} is {told}; it must be a number from {low:.10g} to {high:.10g}.")
    return value


def read_whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number; some controls give 3.0 for 3."""
    return round(read_number(name, value, low, high))


def read_degree(value: Any) -> float:
    """The degree of an edit."""
    return float(read_number("degree", value, -STRONGEST_DEGREE, STRONGEST_DEGREE))


def is_number(text: str) -> bool:
    """Whether a text is a whole number from 0 that can be the place of something."""
    return text.isascii() and text.isdigit() and len(text) < 16


def require_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ValueError with one sentence unless `value` is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} is {quoted(value)}; it must be one of: {', '.join(choices)}.")


def require_between(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} is {value}; it must be a number from {low:g} to {high:g}.")
