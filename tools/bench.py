"""`dev.py bench`: what a bypass costs, in a real ComfyUI on this machine's CPU."""

from __future__ import annotations

import argparse
import gc
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bench_classify import run_classify
from .bench_report import LEGEND, Progress, met, print_shape
from .bench_search import run_search
from .bench_shapes import SHAPES
from .bench_stats import Clock, Interval, Subject, calls_per_timing, measure, timed, verdicts
from .checks import write_json
from .failure import Failure, say
from .process import stop_like_ctrl_c

MINUTES, QUICK_MINUTES = 8.0, 0.2
IMPORT_LIMIT_MS = 150.0


@dataclass(frozen=True)
class Bench:
    """What a run is made of, so that a test can put its own parts in."""

    subject: Callable[[str], Subject]
    import_ms: Callable[[], float]
    start_seconds: Callable[[], float]
    facts: Mapping[str, Any]
    clock: Clock = time.perf_counter
    search: Callable[[bool], list[dict[str, Any]]] = run_search
    classify: Callable[[bool], list[dict[str, Any]]] = run_classify


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the command line, `minutes` and `shapes` filled in."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench",
        description="Time a model call with and without the bypass, FreeU_V2 and PAG.",
    )
    parser.add_argument("--quick", action="store_true", help="a minute or two; only to try it out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--shape", choices=SHAPES, help="only this shape, nothing else")
    parser.add_argument(
        "--minutes", type=float, metavar="N", help=f"at most so long a shape; default {MINUTES:g}"
    )
    options = parser.parse_args(arguments)
    if options.minutes is None:
        options.minutes = QUICK_MINUTES if options.quick else MINUTES
    if not (math.isfinite(options.minutes) and options.minutes > 0):
        parser.error("--minutes must be a number above 0")
    options.shapes = (options.shape,) if options.shape else SHAPES
    return options


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Python's garbage collector is off inside, so that it falls into nobody's time."""
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()


def run_shape(bench: Bench, shape: str, seconds: float) -> dict[str, Any]:
    """Build, count and time one shape: its facts, and a row for each case."""
    begin = bench.clock()
    say(f"{shape}: building the model ...")
    subject = bench.subject(shape)
    timed(subject.plain, 1, bench.clock)
    call_seconds = min(timed(subject.plain, 1, bench.clock) for _ in range(3))
    calls = calls_per_timing(call_seconds)
    left = max(0.0, seconds - (bench.clock() - begin))
    progress = Progress(shape, left, bench.clock)
    with quiet_gc():
        found = measure(
            subject.cases,
            subject.plain,
            calls=calls,
            seconds=left,
            clock=bench.clock,
            after_round=progress.show,
        )
    progress.end()
    facts = {
        "channels": subject.channels,
        "parameters": subject.parameters,
        "gflops": subject.flops / 1e9,
        "mid_share": subject.mid_share,
        "call_ms": call_seconds * 1000,
        "calls_per_timing": calls,
        "plain_peak_mib": subject.plain_peak / 2**20,
        "seconds": bench.clock() - begin,
    }
    return {"facts": facts, "rows": [row_of(subject, case, found) for case in found]}


def row_of(subject: Subject, case: str, found: Mapping[str, Interval]) -> dict[str, Any]:
    """One case of one shape, for machines."""
    interval = found[case]
    targets = verdicts(subject.shape, found)
    return {
        "shape": subject.shape,
        "case": case,
        "median": interval.median,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "conclusive": interval.conclusive,
        "extra_peak_mib": (subject.peaks[case] - subject.plain_peak) / 2**20,
        "targets": [{"text": item.text, "met": item.met} for item in targets.get(case, [])],
    }


def run_start(bench: Bench) -> dict[str, Any]:
    """How long ComfyUI starts and how much of it is the pack; printed and returned."""
    say("Starting ComfyUI, and loading the pack ...")
    start, pack_ms = bench.start_seconds(), bench.import_ms()
    share, good = pack_ms / 1000 / start, pack_ms < IMPORT_LIMIT_MS
    say(
        f"ComfyUI starts in {start:.1f} s; the import of the pack takes {pack_ms:.0f} ms of it "
        f"({share:.1%}); target under {IMPORT_LIMIT_MS:.0f} ms: {met(good)}"
    )
    return {
        "import_ms": pack_ms,
        "import_met": good,
        "start_seconds": start,
        "import_share": share,
    }


def run(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """The whole command: print everything for people, return it for machines."""
    started = bench.clock()
    say(", ".join(f"{name} {value}" for name, value in bench.facts.items()))
    if options.quick:
        say("QUICK: far too few pairs for a verdict; only shows that everything runs.")
    of_start = run_start(bench)
    results = {}
    for shape in options.shapes:
        results[shape] = run_shape(bench, shape, options.minutes * 60)
        print_shape(shape, results[shape])
    say(LEGEND.rstrip())
    others = {"search": [], "classify": []}
    if not options.shape:
        others = {"search": bench.search(options.quick), "classify": bench.classify(options.quick)}
    seconds = bench.clock() - started
    say(f"Done in {seconds:.0f} s{' (QUICK)' if options.quick else ''}.")
    return {
        "rows": [row for result in results.values() for row in result["rows"]],
        **of_start,
        **others,
        "shapes": {shape: result["facts"] for shape, result in results.items()},
        "quick": options.quick,
        "seconds": seconds,
        **bench.facts,
    }


def real_bench(quick: bool) -> Bench:
    """The parts of a real run; imports ComfyUI from COMFYUI_PATH."""
    folder = os.environ.get("COMFYUI_PATH", "")
    if not folder:
        raise Failure("COMFYUI_PATH does not name a ComfyUI: run this by `dev.py bench`.")
    host = Path(folder).resolve()
    from . import bench_models, bench_start

    times = 1 if quick else 3
    return Bench(
        subject=bench_models.subject,
        import_ms=lambda: bench_start.import_ms(host, times, warm_up=not quick),
        start_seconds=lambda: bench_start.start_seconds(host, times),
        facts=bench_models.facts(),
    )


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit status. A missed target is printed and is no failure."""
    options = parse(arguments)
    try:
        bench = real_bench(options.quick)
        import torch

        with torch.inference_mode():
            figures = run(bench, options)
        if options.json:
            write_json(options.json, figures)
        return 0
    except Failure as failure:
        if failure.details:
            say(failure.details)
        say(f"Error: {failure}")
    except KeyboardInterrupt:
        say("\nStopped.")
    return 1


if __name__ == "__main__":
    stop_like_ctrl_c()
    sys.exit(main(sys.argv[1:]))
