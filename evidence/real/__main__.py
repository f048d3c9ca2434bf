"""`python dev.py evidence real`: the edits on real networks, on several tasks and many splits.

Features are computed once and kept in the cache folder. It can be stopped and goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.environment import write_json
from tools.failure import Failure, say

from ..dial.store import Store
from . import tables
from .backbones import BACKBONES, sha256
from .chart import overview
from .checker import measure_checker
from .pools import digits, faces
from .study import Study, passes
from .summary import cliffs, summarise
from .targets import targets
from .tasks import PROBED, QUESTIONS, TRAINED, UNBALANCED

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY = 5, 20
"""Splits for every method, and for the edits that are offered and their floors."""


def main() -> int:
    """Run everything; 0 if all of it was done."""
    options = parse(sys.argv[1:])
    began = time.monotonic()
    try:
        figures = measure(options)
        tables.print_all(figures)
        chart = options.output / "evidence real.png"
        overview(figures["rows"]).save(chart)
        if options.json:
            write_json(options.json, figures)
    except Failure as failure:
        say(f"Error: {failure}")
        return 1
    say(f"Chart: {chart}")
    quick = " (QUICK: too few splits for a verdict)" if options.quick else ""
    say(f"Done in {time.monotonic() - began:.0f} s{quick}.")
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py evidence real", description="The edits on real networks against their rivals."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="one split, MobileNetV2 alone, no slow method")
    add("--stored", action="store_true", help="tables of what was measured, measure no more")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    told = "for results so far and the chart"
    add("--output", type=Path, metavar="DIR", default=ROOT / "output" / "real", help=told)
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of all questions, and of the checker."""
    backbones = BACKBONES[:1] if options.quick else BACKBONES
    pools = {pool.name: pool for pool in (faces(), digits())}
    store = Store(options.output / "rows.jsonl")
    plan = passes(1, 1)[:1] if options.quick else passes(FEW, MANY)
    found = Study(backbones, pools, store, options.stored).run(plan)
    rows = summarise(found, FEW)
    return {
        "rows": rows,
        "cliffs": cliffs(found),
        "checker": measure_checker(),
        "targets": [target.line for target in targets(rows)],
        "questions": [vars(question) for question in QUESTIONS],
        "parts": {"trained": TRAINED, "probed": PROBED, "unbalanced": UNBALANCED},
        "backbones": {each.name: sha256(each.file()) for each in backbones},
        "pools": {name: pool.sha256 for name, pool in pools.items()},
        "quick": options.quick,
    }


if __name__ == "__main__":
    sys.exit(main())
