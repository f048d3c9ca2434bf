"""Count what pytest did, from its junit file, altogether and per folder under tests/."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OUTCOMES = ("passed", "failed", "skipped")


def count_outcomes(junit: Path) -> dict[str, Any]:
    """`{"passed", "failed", "skipped", "parts": {folder: the same three}}`.

    Errors count as failed, expected failures as skipped. Raises OSError or
    ElementTree.ParseError when pytest wrote no whole file.
    """
    total: dict[str, Any] = dict.fromkeys(OUTCOMES, 0)
    parts: dict[str, dict[str, int]] = {}
    # The file was written a moment ago by our own pytest.
    for case in ElementTree.parse(junit).iter("testcase"):
        outcome = _outcome(case)
        part = parts.setdefault(_part(case), dict.fromkeys(OUTCOMES, 0))
        part[outcome] += 1
        total[outcome] += 1
    return {**total, "parts": dict(sorted(parts.items()))}


def _outcome(case: ElementTree.Element) -> str:
    """How one test ended."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def _part(case: ElementTree.Element) -> str:
    """The first folder under tests/; "other" for a test that lies in none.

    A file that could not be collected has its module in `name` and no `classname`.
    """
    module = (case.get("classname") or case.get("name") or "").replace("/", ".").split(".")
    if len(module) > 2 and module[0] == "tests" and not module[1].startswith("test_"):
        return module[1]
    return "other"


def summary_line(counts: Mapping[str, Any]) -> str:
    """The line that ends every test run, for people and for scripts."""
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
