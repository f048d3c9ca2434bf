"""Runs one generator: `python run.py NAME --seed N --cases N`, as `dev.py test --long` does.

Case i of a run has the seed N + i, so that `--seed` with the seed of a failure and `--cases 1`
is that case again. The exit status is 1 where a case failed.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from watch import Watch, Wrong  # noqa: E402

GENERATORS = {
    "safetensors": 2500,
    "torch_files": 3000,
    "folders": 1000,
    "edits": 4000,
    "probes": 1500,
    "schedules": 4000,
    "settings": 3000,
    "workflows": 700,
    "routes": 800,
}
"""Each generator (`fuzz_NAME.py`) and how many cases a full run has."""
SHOWN = 20
"""Failures that are printed; all are counted."""
AT = "DETOUR_LONG_AT"
"""Names a file that always holds the seed of the case under way, should the process die."""


def run_cases(name: str, seed: int, cases: int, folder: Path) -> tuple[dict[str, int], list[str]]:
    """Try the cases; how many worked, were refused and failed, and what is to be said."""
    counts: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    at = Path(os.environ.get(AT) or folder / "at")
    watch = Watch(folder)
    logging.disable()  # what is said of hostile files would hide what is said here
    with importlib.import_module(f"fuzz_{name}").opened(folder) as make:
        watch.try_case(make, seed)  # what is imported on first use is no case's
        watch.limit_memory()
        for number in range(seed, seed + cases):
            at.write_text(str(number))
            try:
                outcome, _ = watch.try_case(make, number)
            except Wrong as error:
                outcome = "failed"
                failures.append(f"{name} --seed {number} --cases 1: {error}")
                if len(failures) <= SHOWN:
                    print(f"FAILED {failures[-1]}", flush=True)
            counts[outcome] += 1
    seconds, slow = watch.slowest
    failures.append(f"slowest {seconds:.2f} s of processor time (seed {slow})")
    return dict(counts), failures


def main(arguments: Sequence[str]) -> int:
    """Run one generator; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=GENERATORS)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int, default=None)
    options = parser.parse_args(arguments)
    cases = options.cases or GENERATORS[options.name]
    with tempfile.TemporaryDirectory(prefix="detour-fuzz-") as folder:
        counts, said = run_cases(options.name, options.seed, cases, Path(folder).resolve())
    told = ", ".join(f"{counts.get(key, 0)} {key}" for key in ("worked", "refused", "failed"))
    print(f"{options.name}: {cases} cases from seed {options.seed}: {told}; {said[-1]}", flush=True)
    return 1 if counts.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
