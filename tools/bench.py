"""`dev.py bench`: what a bypass costs, in a real ComfyUI on this machine's CPU."""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .bench_search import run_classify, run_largest, run_search
from .bench_stats import (
    SHAPES,
    TRANSFORMERS,
    Clock,
    Interval,
    Subject,
    calls_per_timing,
    measure,
    timed,
    verdicts,
)
from .environment import write_json
from .failure import Failure, in_one_sentence, say
from .gpu import minutes
from .process import clean_environment, stop_like_ctrl_c
from .server import ComfyServer

ROOT = Path(__file__).resolve().parent.parent
MINUTES, QUICK_MINUTES = 8.0, 0.2
IMPORT_LIMIT_MS = 150.0
IMPORT_TIMEOUT = 300
TICK_SECONDS = 30.0
LEGEND = """
ratio: time of a model call / time of the same call of the unpatched model; median of pairs
  lam0       the bypass is in place, the call lies outside of its window
  strength0  strength 0 puts nothing in place: how far this is from 1 is the measuring error
  lam0.5     half bypassed: the mid-block (of a transformer the middle third of its blocks) runs
             and is blended with its input
  lam1       fully bypassed: it does not run; its share of the operations stands above the table
  freeu_v2   ComfyUI's own FreeU_V2; pag: its own PerturbedAttentionGuidance (a second pass)
"""
MARK = "DETOUR_IMPORT_MS"
PROBE = f"""
import asyncio, sys, time
host, pack = sys.argv[1:3]
del sys.argv[1:]
sys.path.insert(0, host)
from comfy.cli_args import args
args.cpu = True
import utils.extra_config
import execution, server, nodes
asyncio.run(nodes.init_builtin_extra_nodes())
begin = time.perf_counter()
good = asyncio.run(nodes.load_custom_node(pack))
taken = time.perf_counter() - begin
print("{MARK}", taken * 1000 if good else "failed")
"""
"""Loads what ComfyUI's main.py loads before custom nodes, then the pack as main.py does."""
TRANSFORMER_SHARE = 0.25
"""Of the minutes of a shape: their calls are shorter, and there are many families."""
MET = {True: "met", False: "MISSED", None: "undecided"}


@dataclass(frozen=True)
class Bench:
    """What a run is made of, so that a test can put its own parts in.

    others: what is measured beside model calls; each is told whether it is to be quick.
    """

    subject: Callable[[str], Subject]
    import_ms: Callable[[], float]
    start_seconds: Callable[[], float]
    facts: Mapping[str, Any]
    clock: Clock = time.perf_counter
    others: Mapping[str, Callable[[bool], list[dict[str, Any]]]] = field(default_factory=dict)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the command line, `minutes` and `shapes` filled in."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench",
        description="Time a model call with and without the bypass, FreeU_V2 and PAG.",
    )
    parser.add_argument("--quick", action="store_true", help="a minute or two; only to try it out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--shape", choices=(*SHAPES, *TRANSFORMERS), help="only this shape, nothing else"
    )
    parser.add_argument(
        "--minutes", type=minutes, metavar="N", help=f"at most so long a shape; default {MINUTES:g}"
    )
    options = parser.parse_args(arguments)
    if options.minutes is None:
        options.minutes = QUICK_MINUTES if options.quick else MINUTES
    options.shapes = (options.shape,) if options.shape else (*SHAPES, *TRANSFORMERS)
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
    begin = told = bench.clock()
    say(f"{shape}: building the model ...")
    subject = bench.subject(shape)
    timed(subject.plain, 1, bench.clock)
    call_seconds = min(timed(subject.plain, 1, bench.clock) for _ in range(3))
    calls = calls_per_timing(call_seconds)

    def after_round(known: Mapping[str, Interval]) -> None:
        nonlocal told
        gc.collect()  # this is nobody's time
        if bench.clock() - told >= TICK_SECONDS:
            told = bench.clock()
            pairs = [f"{case} {'done' if one.conclusive else one.n}" for case, one in known.items()]
            spent = f"{told - begin:.0f} of at most {seconds:.0f} s"
            say(f"  {shape} {spent}; pairs: {', '.join(pairs)}")

    with quiet_gc():
        found = measure(
            subject.cases,
            subject.plain,
            calls=calls,
            seconds=max(0.0, seconds - (bench.clock() - begin)),
            clock=bench.clock,
            after_round=after_round,
        )
    timing = {
        "call_ms": call_seconds * 1000,
        "calls_per_timing": calls,
        "seconds": bench.clock() - begin,
    }
    rows = [row_of(subject, case, found) for case in found]
    return {"facts": {**subject.facts, **timing}, "rows": rows}


def row_of(subject: Subject, case: str, found: Mapping[str, Interval]) -> dict[str, Any]:
    """One case of one shape, for machines."""
    return {
        "shape": subject.shape,
        "case": case,
        **asdict(found[case]),
        "conclusive": found[case].conclusive,
        "extra_peak_mib": subject.extra_peaks[case],
        "targets": verdicts(subject.shape, found).get(case, []),
    }


def run_start(bench: Bench) -> dict[str, Any]:
    """How long ComfyUI starts and how much of it is the pack; printed and returned."""
    say("Starting ComfyUI, and loading the pack ...")
    start, pack_ms = bench.start_seconds(), bench.import_ms()
    share, good = pack_ms / 1000 / start, pack_ms < IMPORT_LIMIT_MS
    say(
        f"ComfyUI starts in {start:.1f} s; the import of the pack takes {pack_ms:.0f} ms of it "
        f"({share:.1%}); target under {IMPORT_LIMIT_MS:.0f} ms: {MET[good]}"
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
        share = TRANSFORMER_SHARE if shape in TRANSFORMERS else 1.0
        results[shape] = run_shape(bench, shape, options.minutes * 60 * share)
        print_shape(shape, results[shape])
    say(LEGEND.rstrip())
    others = {
        name: [] if options.shape else measured(options.quick)
        for name, measured in bench.others.items()
    }
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
    from . import bench_blocks, bench_models

    def subject(shape: str) -> Subject:
        part = bench_blocks if shape in TRANSFORMERS else bench_models
        return part.subject(shape)

    times = 1 if quick else 3
    return Bench(
        subject=subject,
        import_ms=lambda: import_ms(host, times, warm_up=not quick),
        start_seconds=lambda: start_seconds(host, times),
        facts=bench_models.facts(),
        others={"search": run_search, "largest": run_largest, "classify": run_classify},
    )


@in_one_sentence
def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit status. A missed target is printed and is no failure."""
    options = parse(arguments)
    bench = real_bench(options.quick)
    import torch

    with torch.inference_mode():
        figures = run(bench, options)
    if options.json:
        write_json(options.json, figures)
    return 0


def print_shape(shape: str, result: Mapping[str, Any]) -> None:
    """The table of one shape, for people."""
    facts = result["facts"]
    say(f"\n{shape}: {facts['about']}, {facts['parameters'] / 1e6:.1f} million random weights")
    work = (
        f"{facts['gflops']:.1f} GFLOP a call, {facts['mid_share']:.1%} of them in {facts['part']}"
    )
    say(f"  latent 32x32, 1 row: {work}")
    say(
        f"  unpatched: {facts['call_ms']:.0f} ms a call, {facts['plain_peak_mib']:.1f} MiB of "
        f"activations at most; calls a timing: {facts['calls_per_timing']}"
    )
    say("  case        ratio   95 % interval    pairs  extra memory  target")
    for row in result["rows"]:
        say("  " + row_text(row))


def row_text(row: Mapping[str, Any]) -> str:
    """One line of the table."""
    interval = "too few pairs"
    if row["low"] is not None:
        interval = f"{row['low']:.4f}-{row['high']:.4f}"
    notes = [f"{item['text']}: {MET[item['met']]}" for item in row["targets"]]
    if not row["conclusive"]:
        notes.insert(0, "inconclusive")
    start = f"{row['case']:<10} {row['median']:.4f}  {interval:<14} {row['n']:>6}"
    return f"{start}  {row['extra_peak_mib']:+8.2f} MiB  {'; '.join(notes)}".rstrip()


def import_ms(host: Path, times: int, warm_up: bool = True) -> float:
    """Milliseconds that ComfyUI's own loader takes for the pack, each in a new interpreter.

    The median of `times`. warm_up: one more before them, which is not counted: the first one
    after an update also compiles the pack's files.
    """
    if warm_up:
        _import_once(host)
    return statistics.median([_import_once(host) for _ in range(times)])


def _import_once(host: Path) -> float:
    command = [sys.executable, "-c", PROBE, str(host), str(ROOT)]
    environment = clean_environment()
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as hosts start: what is compiled is kept
    with tempfile.TemporaryDirectory(prefix="detour-bench-") as folder:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=IMPORT_TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise Failure(f"ComfyUI did not load the pack within {IMPORT_TIMEOUT} s.") from error
    for line in done.stdout.splitlines():
        mark, _, value = line.partition(" ")
        if mark == MARK and value != "failed":
            return float(value)
    raise Failure("ComfyUI could not load the pack.", "\n".join(done.stderr.splitlines()[-15:]))


def start_seconds(host: Path, times: int) -> float:
    """Seconds from the launch of ComfyUI with the pack until it answers; the median."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        with ComfyServer(host, {"detour": ROOT}):
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


if __name__ == "__main__":
    stop_like_ctrl_c()
    sys.exit(main(sys.argv[1:]))
