"""`dev.py test --long`: hostile cases by the ten thousand, and prompts by the hundred on a ComfyUI.

The generators lie in `tests/long/`, each a process of its own that nothing can take down with it;
the prompts are `tools/long_run.py`. All of it comes from one seed, which is printed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .failure import Failure, say
from .process import clean_environment, end_process, start_process

ROOT = Path(__file__).resolve().parent.parent
GENERATORS = {
    "safetensors": 2500,
    "torch_files": 3000,
    "folders": 1000,
    "edits": 4000,
    "probes": 1500,
    "schedules": 3000,
    "marks": 2000,
    "settings": 2500,
    "workflows": 700,
    "routes": 800,
}
"""The generators (`tests/long/fuzz_NAME.py`), and how many cases each has."""
FUZZ, RUN = "fuzz", "run"
PARTS = (FUZZ, RUN, *GENERATORS)
AT = "DETOUR_LONG_AT"
"""Names a file that always holds the seed of the case under way, should the process die."""
NEEDS = {"routes": "DETOUR_GRADIO4"}
"""Generators that need another environment, and the variable that names its Python."""
STOP_SECONDS = 15.0
SPREAD = 1_000_000
"""Seeds from which one is drawn where none is given."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `dev.py test` that are about its long parts."""
    told = "also what takes long: every pipeline and scheduler of diffusers, large networks, and "
    told += f"what is hostile or lasts; or only one of {', '.join(PARTS)}"
    parser.add_argument("--long", nargs="?", const="", choices=["", *PARTS], help=told)
    told = "where the hostile cases and the prompts begin; that of a failure is printed with it"
    parser.add_argument("--seed", type=int, metavar="N", help=told)
    parser.add_argument("--cases", type=int, metavar="N", help="so many of a part, not all")


def run_parts(python: Path, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Do one part, or all of them; the exit status: 1 where anything was wrong.

    environment: with `COMFYUI_PATH`, and the Pythons of `NEEDS` where there are any.
    """
    seed = secrets.randbelow(SPREAD) if options.seed is None else options.seed
    begin = time.monotonic()
    say(f"Long: seed {seed}")
    names = [name for name in GENERATORS if options.long in ("", FUZZ, name)]
    for name, variable in NEEDS.items():
        if name in names and variable not in environment:
            names.remove(name)
            say(f"NOT RUN: {name} (no {variable}).")
    good = _run_generators(python, names, seed, options.cases, environment)
    if options.long in ("", RUN):
        command = [str(python), "-m", "tools.long_run", "--seed", str(seed)]
        command += ["--cases", str(options.cases)] if options.cases else []
        good = _wait([], command, environment) == 0 and good
    say(f"Long: {'good' if good else 'FAILED'} in {time.monotonic() - begin:.0f} s (seed {seed})")
    return 0 if good else 1


def _run_generators(
    python: Path,
    names: Sequence[str],
    seed: int,
    cases: int | None,
    environment: Mapping[str, str],
) -> bool:
    """The generators, as many at a time as there are cores; whether nothing was found."""
    running: list[subprocess.Popen[bytes]] = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores or 1) as pool:
        done = [
            pool.submit(_generate, running, python, name, seed, cases, environment)
            for name in sorted(names, key=lambda name: name not in ("workflows", "routes"))
        ]
        try:
            return all([one.result() for one in done])
        except BaseException:
            for one in done:
                one.cancel()
            for process in running:
                end_process(process, STOP_SECONDS)
            raise


def _generate(
    running: list[subprocess.Popen[bytes]],
    python: Path,
    name: str,
    seed: int,
    cases: int | None,
    environment: Mapping[str, str],
) -> bool:
    """All cases of one generator, begun again behind each that took the process down."""
    end, good = seed + (cases or GENERATORS[name]), True
    with tempfile.TemporaryDirectory(prefix="detour-long-") as folder:
        at = Path(folder) / "at"
        while seed < end:
            command = [str(python), str(ROOT / "tests" / "long" / "run.py"), name]
            command += ["--seed", str(seed), "--cases", str(end - seed)]
            status = _wait(running, command, {**environment, AT: str(at)})
            if status in (0, 1):
                return good and status == 0
            if not at.is_file():
                raise Failure(f"The generator {name} ended by itself (exit status {status}).")
            died = int(at.read_text())
            say(f"FAILED {name} --seed {died} --cases 1: the process died (status {status})")
            seed, good = died + 1, False
            at.unlink()
    return good


def _wait(
    running: list[subprocess.Popen[bytes]], command: list[str], environment: Mapping[str, str]
) -> int:
    """A command's exit status; the process is in `running` meanwhile."""
    told = {**clean_environment(), "OMP_NUM_THREADS": "1", **environment}
    process = start_process(command, STOP_SECONDS, cwd=ROOT, env=told)
    running.append(process)
    try:
        return process.wait()
    finally:
        end_process(process, STOP_SECONDS)
        running.remove(process)
