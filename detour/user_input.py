"""What people type into a node or a tab, read once for all hosts.

Every function returns what is meant, or raises ValueError with a sentence that names the value.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a panel shows these limits without loading what classifiers need
    from .classifier import Description

STRONGEST_DEGREE = 4.0
"""How far an edit may be driven, in both directions; 1 neutralises."""
MOST_WEIGHTS = 16
LARGEST_SEED = 2**31 - 1


def plain_name(name: str) -> str:
    """The name with one sign for each accented letter: macOS writes two into folder names."""
    return unicodedata.normalize("NFC", name)


def folded_name(name: str) -> str:
    """The name as it is compared: upper and lower case and spaces around it do not count."""
    return plain_name(name).strip().casefold()


def read_number(name: str, value: Any, low: float, high: float) -> float:
    """The number itself; refused are None, NaN (which hosts let through) and out of range."""
    if not isinstance(value, (int, float)) or not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} is {value}; it must be a number from {low:.10g} to {high:.10g}.")
    return value


def read_whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number; some controls give 3.0 for 3."""
    return round(read_number(name, value, low, high))


def read_degree(value: Any) -> float:
    """The degree of an edit."""
    return float(read_number("degree", value, -STRONGEST_DEGREE, STRONGEST_DEGREE))


def read_class(description: Description, text: str | None) -> int | None:
    """The class with this label or number; None for an empty text."""
    wanted = (text or "").strip()
    return description.index_of(wanted) if wanted else None


def read_attribute(names: Sequence[str], text: str | None) -> int:
    """The attribute with this name or number: the spurious feature.

    names: those of the probes, in their order. Empty text: attribute 1, the one that is not
    "without".
    """
    wanted = (text or "").strip()
    if not wanted:
        return 1
    if wanted in names:
        return list(names).index(wanted)
    if wanted.isascii() and wanted.isdigit() and int(wanted) < len(names):
        return int(wanted)
    raise ValueError(
        f"attribute is {wanted!r}; the probes have {', '.join(names)} (or their numbers from 0)."
    )
