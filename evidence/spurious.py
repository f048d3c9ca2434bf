"""`python dev.py evidence spurious`: what the single-weight edit is worth against its rivals.

Prints tables, writes a chart; a target that is missed is printed and fails nothing. It can be
stopped and goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tools.environment import write_json
from tools.failure import Failure

from . import tables
from .chart import overview
from .dial.store import Store
from .digits import load_digits
from .features import mobilenet_digits
from .few_probes import CORRELATION, few_probes
from .methods import METHODS
from .removal import PRIVACY, removals
from .results import Result, differences, gap_closed, pick, run_methods, to_rows
from .rivals import GRID, SUBSETS
from .targets import method_targets, removal_targets, watermark_targets
from .tasks import PROBES, TESTS, Task, cnn_task, mobilenet_task
from .ten_digits import ten_digits
from .watermark import MISSING, add_watermark, measure_watermark, other_splits, photograph

ROOT = Path(__file__).resolve().parent.parent
CORRELATIONS = (0.8, 0.9, 0.95)
SEEDS = {"quick": (2, 1, 1), "full": (6, 5, 5)}
"""Seeds of the main table, of the few probes and of the ten digits."""
DATASETS = ("cnn", "mobilenet")
Make = Callable[..., Task]


def main() -> int:
    """Run everything; 0 if all of it was done."""
    options = parse(sys.argv[1:])
    began = time.monotonic()
    try:
        figures = measure(options)
        options.output.mkdir(parents=True, exist_ok=True)
        chart = options.output / "evidence spurious.png"
        overview(figures["rows"], CORRELATION).save(chart)
        figures["seconds"] = time.monotonic() - began
        if options.json:
            write_json(options.json, figures)
    except Failure as failure:
        tables.say(f"Error: {failure}")
        return 1
    tables.say()
    tables.say(f"Done in {figures['seconds']:.0f} s{' (QUICK)' if options.quick else ''}.")
    tables.say(f"Chart: {chart}")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py evidence spurious", description="The single-weight edit against its rivals."
    )
    parser.add_argument("--quick", action="store_true", help="few seeds; under ten minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        default=ROOT / "output",
        help="for the chart and results so far: what is there is not measured again",
    )
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All parts one after the other; each prints itself when it is done."""
    main_seeds, few_seeds, ten_seeds = SEEDS["quick" if options.quick else "full"]
    store = Store(options.output / "spurious.jsonl")
    introduce(options.quick)
    mark = watermark(store)
    digits = load_digits()
    table = mobilenet_digits(digits)

    def make(dataset: str, share: float, seed: int, classes: str = "low_high") -> Task:
        if dataset == "cnn":
            return cnn_task(digits, share, seed, classes)
        return mobilenet_task(digits, table, share, seed, classes)

    results, few = compare(make, main_seeds, few_seeds, store)
    figures = {**mark, **compared(results, few)}
    ten = to_rows(
        [
            found
            for seed in range(ten_seeds)
            for found in kept(
                store, {"part": "ten digits", "seed": seed}, lambda s=seed: ten_digits(digits, s)
            )
        ]
    )
    tables.say()
    tables.say("Ten digits, each with its own colour; at most one edit per class, stacked:")
    tables.print_rows(ten)
    removed = [
        row
        for name in DATASETS
        for row in store.get(
            {"part": "removal", "dataset": name},
            lambda n=name: {"rows": removals(make(n, 0.5, 0, "digits"))},
        )["rows"]
    ]
    tables.print_removal(removed)
    tables.say(PRIVACY)
    found = watermark_targets(mark["watermark"], mark["watermark_splits"])
    found += [*method_targets(results), *removal_targets(removed)]
    tables.say()
    tables.say("Targets:")
    for target in found:
        tables.say(target.line)
    figures["rows"] += ten
    targets = [target.as_dict() for target in found]
    return {**figures, "removal": removed, "targets": targets, "quick": options.quick}


def compared(results: list[Result], few: list[Result]) -> dict[str, Any]:
    """The two data sets with a colour shortcut, printed and for machines."""
    rows, few_rows = to_rows(results), to_rows(few)
    gaps, pairs = gaps_of(results), differences(results)
    tables.print_rows(rows)
    tables.print_gaps(gaps, pairs)
    tables.print_few(few_rows)
    return {"rows": rows, "few_probes": few_rows, "gap_closed": gaps, "differences": pairs}


def introduce(quick: bool) -> None:
    """What is compared, and on what."""
    tables.say(
        f"Every method gets the same {PROBES:,} probes and splits them itself; accuracies are of "
        f"{TESTS:,} digits that chose nothing."
    )
    grid = ", ".join(f"{c:g}" for c in GRID)
    tables.say(
        f"DFR: L1 logistic regression (scikit-learn, liblinear), C out of "
        f"{grid}, average of {SUBSETS} group-balanced subsets; torch has "
        f"{torch.get_num_threads()} thread(s), liblinear one."
    )
    if quick:
        tables.say("QUICK: too few seeds for a verdict; only shows that everything runs.")


def watermark(store: Store) -> dict[str, Any]:
    """ImageNet's own shortcut, printed; empty lists where its package is missing."""
    transform = add_watermark()
    tables.say()
    if transform is None:
        tables.say(MISSING)
        return {"watermark": [], "watermark_photos": [], "watermark_splits": None}

    def look() -> dict[str, Any]:
        data = photograph(transform)
        rows, photos, words = measure_watermark(data)
        return {
            "watermark": rows,
            "watermark_photos": photos,
            "watermark_edit": words,
            "watermark_splits": other_splits(data),
        }

    found = store.get({"part": "watermark"}, look)
    tables.print_watermark(found["watermark_edit"], found["watermark"], found["watermark_photos"])
    tables.print_splits(found["watermark_splits"])
    return found


def kept(store: Store, key: Mapping[str, Any], run: Callable[[], list[Result]]) -> list[Result]:
    """The results of a part: those that are in the store, else measured now."""
    found = store.get(key, lambda: {"results": [asdict(result) for result in run()]})
    return [Result(**each) for each in found["results"]]


def compare(
    make: Make, seeds: int, few_seeds: int, store: Store
) -> tuple[list[Result], list[Result]]:
    """Every method on every task; and with few probes, at 90 %, on the first seeds."""
    results: list[Result] = []
    few: list[Result] = []
    for dataset, share, seed in cases(seeds):
        tables.say(f"{dataset}, {share:.0%}, seed {seed} ...")
        place = {"dataset": dataset, "correlation": share, "seed": seed}
        task = cache(lambda d=dataset, c=share, s=seed: make(d, c, s))
        found = kept(store, {"part": "all probes", **place}, lambda t=task: run_methods(t()))
        results += found
        if share == CORRELATION and seed < few_seeds:
            less = kept(store, {"part": "few probes", **place}, lambda t=task: few_probes(t()))
            few += [*less, *found]
    return results, few


def cases(seeds: int) -> Iterator[tuple[str, float, int]]:
    """Data set, correlation and seed of every task."""
    for dataset in DATASETS:
        for share in CORRELATIONS:
            for seed in range(seeds):
                yield dataset, share, seed


def gaps_of(results: list[Result]) -> dict[str, dict[str, float]]:
    """Gap closed by every method, for each data set."""
    names = [name for name in METHODS if name not in ("erm", "dfr") and pick(results, method=name)]
    return {each: {name: gap_closed(results, each, name) for name in names} for each in DATASETS}


if __name__ == "__main__":
    sys.exit(main())
