"""`dev.py gpu`: exactness, cost and classifiers on a CUDA machine, within 8 minutes.

Each part runs in a process of its own with a deadline, so that a device that hangs or fails
costs that part alone; what it found until then is kept (`gpu_part`). This file needs
nothing but Python; `python -m tools.gpu PART FILE SECONDS [--small]` is one part.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .environment import write_json
from .failure import say
from .gpu_part import SITE, Report, read_lines
from .process import clean_environment, end_process, start_process

ROOT = Path(__file__).resolve().parent.parent
MINUTES = 8.0
PARTS = {"machine": 0.06, "exact": 0.26, "cost": 0.42, "edit": 0.18}
"""The parts and their shares of the time; the rest is for starting them."""
STOP_SECONDS, EARLIER_SECONDS = 2.0, 5.0
"""A part is told to be ready so much earlier than it is stopped."""


def minutes(text: str) -> float:
    """A number above 0, for argparse."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError
    return value


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `dev.py gpu`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--minutes", type=minutes, default=MINUTES, metavar="N", help="at most")
    names = [name for name in PARTS if name != "machine"]
    parser.add_argument("--part", choices=names, action="append", help="only this one")
    parser.add_argument("--small", action="store_true", help="tiny models, on the CPU: a rehearsal")
    where = parser.add_mutually_exclusive_group()
    told = "collect what a machine without network needs"
    where.add_argument("--pack", type=Path, metavar="FOLDER", help=told)
    told = "use such a folder, no network"
    where.add_argument("--from", type=Path, metavar="FOLDER", dest="source", help=told)


def empty() -> dict[str, Any]:
    """The figures before anything is known."""
    return {
        "device": "",
        "torch": "",
        "exact": {"passed": [], "failed": []},
        "cost": [],
        "syncs": {"outside": None, "inside": None},
        "recompiles": None,
        "edit": [],
        "science": {},
        "skipped": {},
    }


def merge(figures: dict[str, Any], lines: Sequence[tuple[str, Any]]) -> None:
    """Put the findings of a part in their places."""
    for kind, value in lines:
        if kind == "passed":
            figures["exact"]["passed"].append(value)
        elif kind == "failed":
            figures["exact"]["failed"].append(": ".join(value))
        elif kind == "skipped":
            figures["skipped"][value[0]] = value[1]
        elif kind in ("cost", "edit"):
            figures[kind].append(value)
        elif kind != "done":
            figures[kind] = value


def run_part(name: str, seconds: float, small: bool, environment: dict, python: Path) -> list:
    """The findings of one part, stopped at its deadline; what is missing is among them."""
    say(f"\n{name} (at most {seconds:.0f} s)")
    with tempfile.TemporaryDirectory(prefix="detour-gpu-") as folder:
        file = Path(folder) / "lines"
        command = [str(python), "-m", "tools.gpu", name, str(file), f"{seconds:g}"]
        command += ["--small"] if small else []
        process = start_process(command, STOP_SECONDS, cwd=ROOT, env=environment)
        end = f"stopped after {seconds:.0f} s"
        try:
            end = f"ended by itself (exit status {process.wait(timeout=seconds)})"
        except subprocess.TimeoutExpired:
            pass
        finally:
            end_process(process, STOP_SECONDS)
        lines = read_lines(file)
    if not any(kind == "done" for kind, _ in lines):
        lines.append(("skipped", [name, end]))
    return lines


def run(options: argparse.Namespace, python: Path, more: dict[str, str]) -> int:
    """All parts; the figures are printed, and written after each part. The exit status."""
    environment = clean_environment() | more
    environment |= {"DETOUR_DEVICE": "cpu" if options.small else "cuda:0"}
    figures = empty()
    for name in PARTS:
        if name not in ("machine", *(options.part or PARTS)):
            continue
        lines = [("skipped", [name, "there is no device to run it on"])]
        if name == "machine" or figures["device"]:
            seconds = 60 * options.minutes * PARTS[name]
            lines = run_part(name, seconds, options.small, environment, python)
        merge(figures, lines)
        if options.json:
            write_json(options.json, figures)
    say("")
    tell(figures)
    if not options.json:
        say(json.dumps(figures))
    return 0 if not figures["skipped"] and not figures["exact"]["failed"] else 1


def tell(figures: dict[str, Any]) -> None:
    """Print what was found, a line each, and what was not done."""
    say(f"{figures['device'] or 'no device'}, torch {figures['torch'] or 'unknown'}")
    exact = figures["exact"]
    say(f"exact: {len(exact['passed'])} passed, {len(exact['failed'])} failed")
    for failed in exact["failed"]:
        say(f"  FAILED {failed}")
    for row in figures["cost"]:
        model = f"{row['shape']} at {row['pixels']}, {row['mode']}"
        within = f"({row['low']:.3f} to {row['high']:.3f})"
        say(f"  {model}: {row['case']} takes {row['ratio']:.3f} {within} of a call without")
    if figures["syncs"]["outside"] is not None:
        waits = "{outside:g} outside the window, {inside:g} inside".format(**figures["syncs"])
        say(f"  waits for the device that the dial adds to a call: {waits}")
    for row in figures["edit"]:
        if "seconds" in row:
            shape = " x ".join(f"{size}" for size in row["shape"])
            pace = f"{row['seconds']:.3f} s, {row['cpu_seconds']:.3f} s on the processor"
            alike = "the same edit" if row["same"] else "ANOTHER EDIT"
            say(f"  {row['what']} of {shape}: {pace}, {alike}")
        else:
            within = f"({row['low']:.3f} to {row['high']:.3f})"
            say(f"  {row['what']}: {row['ratio']:.3f} {within} of a bare loop's pace")
    for what, reason in figures["skipped"].items():
        say(f"  NOT DONE {what}: {reason}")


def machine(report: Report, small: bool) -> None:
    """The device and torch; without a device nothing else can run."""
    import torch

    report.add("torch", torch.__version__)
    if small:
        report.add("device", "CPU (small models: a rehearsal, no figures)")
    elif torch.cuda.is_available():
        report.add("device", torch.cuda.get_device_name(0))
    else:
        report.add("skipped", ["machine", f"torch {torch.__version__} sees no CUDA device here"])


def part(name: str) -> Callable[[Report, bool], None]:
    """What a part runs; imports torch and, where needed, ComfyUI."""
    if name == "machine":
        return machine
    from . import gpu_part

    gpu_part.install()
    logging.getLogger("detour").setLevel(logging.ERROR)  # windows are missed on purpose
    return importlib.import_module(f".gpu_{name}", __package__).run


def main(arguments: Sequence[str]) -> int:
    """One part in this process; 0 if it came to its end."""
    name, file, seconds, *flags = arguments
    if os.environ.get(SITE):
        sys.path.append(os.environ[SITE])
    report = Report(Path(file), float(seconds) - EARLIER_SECONDS)
    small = "--small" in flags

    def work() -> None:
        run_it = part(name)
        import torch

        with torch.inference_mode():
            run_it(report, small)

    report.attempt(name, work, "skipped")
    report.add("done", name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
