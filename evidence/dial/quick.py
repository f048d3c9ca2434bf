"""The shipped pair: measured in the full study, and again, in minutes, by `--quick`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .models import HAS, Subject, sha256
from .study import EMPTY, MAIN, REPORT_SEED, Question, Study
from .ways import PLAIN, WAYS, Setting

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "results" / "dial.json"
ASKED = (MAIN, EMPTY)
PICTURES = 100
COMPARED = ("good", "minority", *HAS)
Row = dict[str, Any]


def shipped_rows(
    study: Study, pair: Sequence[tuple[Subject, Path]], chosen: Mapping[str, Setting]
) -> list[Row]:
    """What Detour's own ways do on the pair that ships; on the first seeds of the report, so that
    fewer pictures are the first of more."""
    rows = []
    for subject, path in pair:
        for question in ASKED:
            for name in own_ways(question):
                found = study.row(subject, question, name, chosen[name], REPORT_SEED)
                place = {"model": subject.name, "sha256": sha256(path), "way": name}
                asked = {"prompt": question.prompt, "cfg": question.cfg}
                rows.append({**place, **asked, "setting": asdict(chosen[name]), **found})
    return rows


def own_ways(question: Question) -> list[str]:
    """The plain row, and Detour's own that can act."""
    return [
        name
        for name, way in WAYS.items()
        if name == PLAIN or (way.is_ours and way.can_act(question.prompt, question.cfg))
    ]


def committed(path: Path = COMMITTED) -> Row:
    """The results in the repository; nothing where there are none yet."""
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def chosen_in(results: Row) -> dict[str, Setting]:
    """The settings that were chosen; where there are no results, the second gentlest of each."""
    gentle = {name: way.settings[:2][-1] for name, way in WAYS.items()}
    known = {name: Setting(**own) for name, own in results.get("chosen", {}).items()}
    return gentle | {name: own for name, own in known.items() if name in WAYS}


def compare(rows: Sequence[Row], before: Sequence[Row], say: Callable[[str], None]) -> bool:
    """Print each row with whether its shares agree with those before: their 95 % intervals meet.

    True if all do. Rows of other weights or settings are not compared.
    """
    known = {_name(row): row for row in before}
    agree = True
    for row in rows:
        other = known.get(_name(row))
        shares = ", ".join(f"{name} {_percent(row[name])}" for name in COMPARED)
        verdict = "nothing to compare with"
        if other is not None:
            apart = [name for name in COMPARED if not _meet(row[name], other[name])]
            verdict = f"DIFFERS in {', '.join(apart)}" if apart else "agrees"
            agree &= not apart
        question = Question(row["prompt"], row["cfg"]).label
        say(f"  {row['model']}, {question}, {WAYS[row['way']].label}: {shares}: {verdict}")
    return agree


def _name(row: Row) -> str:
    names = ("sha256", "prompt", "cfg", "way", "setting")
    return json.dumps([row[name] for name in names], sort_keys=True)


def _percent(share: Row) -> str:
    return "-" if share["share"] is None else f"{share['share']:.0%}"


def _meet(one: Row, other: Row) -> bool:
    """Whether two intervals have a point in common; that of no pictures meets everything."""
    if one["low"] is None or other["low"] is None:
        return True
    return one["low"] <= other["high"] and other["low"] <= one["high"]
