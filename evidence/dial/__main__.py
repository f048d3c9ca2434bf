"""`python dev.py evidence dial`: the ways to variety and their rivals, on models trained for it.

Trains what is not trained yet, chooses settings on the shipped pair, measures on the others. It
can be stopped and goes on where it was. Runs next to a ComfyUI (`COMFYUI_PATH`).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tools.environment import write_json
from tools.failure import Failure, say

from . import quick
from .chart import chart
from .conclusion import more
from .conclusion import report as report_ranges
from .designs import TRANSFORMERS, UNETS, Design
from .host import Host
from .models import CELLS, Subject, sha256, shipped_pair, train, trained
from .results import compact, measured, over_models, report, sentences, swept
from .store import Store
from .study import CHOOSING_SEED, EMPTY, MAIN, PICTURES, QUESTIONS, REPORT_SEED, Question, Study
from .ways import Setting
from .workers import Crew, make_pool, measure_ahead

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run what the command line asks for; 0 if all of it was done."""
    options = parse(sys.argv[1:])
    began = time.monotonic()
    try:
        if options.report:
            tell(json.loads(options.report.read_text("utf-8")))
            return 0
        figures = measure_shipped(options) if options.quick else measure_all(options)
        if figures and options.json:
            write_json(options.json, {**figures, "seconds": time.monotonic() - began})
    except Failure as failure:
        say(f"Error: {failure}")
        return 1
    say(f"Done in {time.monotonic() - began:.0f} s{' (QUICK)' if options.quick else ''}.")
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py evidence dial", description="The ways to variety against their rivals."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="the shipped pair only, few pictures; minutes")
    add("--train", action="store_true", help="train the models, measure nothing")
    add("--trained", action="store_true", help="measure those that are trained, train none")
    add("--transformers", action="store_true", help="transformers and ranges of their blocks")
    add("--report", type=Path, metavar="FILE", help="print what a file of figures says; no more")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    told = "for weights, checkpoints, results so far and the chart"
    add("--output", type=Path, metavar="DIR", default=ROOT / "output" / "dial", help=told)
    told = f"times {len(CELLS)} models to report on"
    add("--blocks", type=int, metavar="N", help=told)
    add("--steps", type=int, metavar="N", help="of each training")
    add("--pictures", type=int, metavar="N", help=f"of each row (default {PICTURES})")
    told = "the same of those that settings are chosen by, where it is another number"
    add("--choosing", type=int, metavar="N", help=told)
    told = f"the first ones of: {'; '.join(question.label for question in QUESTIONS)}"
    add("--questions", type=int, metavar="N", default=len(QUESTIONS), help=told)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    add("--workers", type=int, metavar="N", default=1, help="processes that measure")
    told = "seconds after which nothing more is begun"
    add("--deadline", type=float, metavar="S", default=math.inf, help=told)
    add("--device", choices=("cpu", "cuda"), default=device, help=f"default here: {device}")
    return parser.parse_args(arguments)


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """The whole study; its figures, none where it only trains."""
    design = TRANSFORMERS if options.transformers else UNETS
    subjects = design.plan(options.blocks or design.blocks, options.steps or design.steps)
    if options.trained:
        subjects = [subject for subject in subjects if trained(subject, options.output)]
    deadline = time.monotonic() + options.deadline
    weights = train(subjects, options.output, options.device, deadline)
    subjects = [subject for subject in subjects if subject.name in weights]
    if options.train:
        return {}
    pair = design.pair(options.output)
    study = open_study(options, weights | {subject.name: path for subject, path in pair}, design)
    choosing = [subject for subject, _ in pair]
    questions = design.questions[: options.questions]
    chosen_on = "Choosing settings on the shipped pair, then measuring" if choosing else "Measuring"
    say(f"{chosen_on} on {len(subjects)} models ...")
    shipped = {} if design.rivals else {asked: quick.own_ways(asked) for asked in quick.ASKED}
    with make_pool(options.workers) as pool:
        crew = Crew(study, options.device, deadline, options.workers, pool)
        chosen, questions = measure_ahead(crew, subjects, choosing, questions, shipped)
    rows = measured(study, subjects, chosen, questions)
    means = over_models(study, rows, chosen, questions)
    sweep = swept(study, choosing)
    figures = {
        **study.facts(options.device),
        "choosing": study.facts(options.device, CHOOSING_SEED),
        "seeds": {"choosing": CHOOSING_SEED, "report": REPORT_SEED},
        "models": [facts(subject, weights[subject.name]) for subject in subjects],
        "chosen": {name: asdict(setting) for name, setting in chosen.items()},
        "floors": floors(study, subjects, questions),
        "rows": means,
        "sentences": sentences(means),
        "per_model": compact(rows),
        "swept": sweep if choosing else [],
    }
    if design.rivals:
        figures |= more(rows, subjects, means, design)
        draw(means, subjects, design, options)
    else:
        figures["shipped"] = quick.shipped_rows(study, pair, chosen) if questions else []
        draw(sweep, choosing, design, options)
    tell(figures)
    return figures


def draw(
    rows: Sequence[dict[str, Any]],
    subjects: Sequence[Subject],
    design: Design,
    options: argparse.Namespace,
) -> None:
    """The chart: of the settings that there were to choose from, or, where there were none, of the
    question with the most rows."""
    asked = [row.get("question", MAIN.label) for row in rows] or [MAIN.label]
    most = max(dict.fromkeys(asked), key=asked.count)
    shown = [row for row in rows if row.get("question", most) == most]
    picture = options.output / f"{design.name}.png"
    chart(shown, len(subjects), design.ways, most).save(picture)
    say(f"Chart: {picture}")


def tell(figures: dict[str, Any]) -> None:
    """Print what figures say."""
    if "signs" in figures:
        report_ranges(figures, say)
    else:
        report(figures["rows"], say)


def floors(
    study: Study, subjects: Sequence[Subject], questions: Sequence[Question]
) -> list[dict[str, Any]]:
    """What real pictures would get, for each model and prompt."""
    return [
        {"model": subject.name, "prompt": question.prompt, **study.floor(subject, question)}
        for subject in subjects
        for question in (MAIN, EMPTY)
        if question in questions
    ]


def facts(subject: Subject, weights: Path) -> dict[str, Any]:
    """What a model is, for the results."""
    return {
        "model": subject.name,
        "sha256": sha256(weights),
        "rare": subject.minority,
        "seed": subject.training.seed,
        "steps": subject.training.steps,
    }


def open_study(
    options: argparse.Namespace, weights: Mapping[str, Path], design: Design = UNETS
) -> Study:
    """A study with what was measured before."""
    count = options.pictures or (quick.PICTURES if options.quick else PICTURES)
    store = Store(options.output / "rows.jsonl")
    ways = design.ways, design.bypass, design.correct
    host = partial(Host, options.device)
    return Study(host, store, weights, count, say, *ways, choosing=options.choosing)


def measure_shipped(options: argparse.Namespace) -> dict[str, Any]:
    """The shipped pair again, beside the committed figures; a difference is printed and fails
    nothing."""
    before = quick.committed()
    pair = shipped_pair()
    chosen: dict[str, Setting] = quick.chosen_in(before)
    study = open_study(options, {subject.name: path for subject, path in pair})
    rows = quick.shipped_rows(study, pair, chosen)
    say("QUICK: the shipped pair alone, with few pictures; no finding.")
    agree = quick.compare(rows, before.get("shipped", ()), say)
    say("All shares agree with the committed ones." if agree and before else "")
    return {"quick": True, "chosen": {n: asdict(s) for n, s in chosen.items()}, "shipped": rows}


if __name__ == "__main__":
    sys.exit(main())
