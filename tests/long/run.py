"""Runs generators: `python run.py NAME ... --seed N --cases N`, as `dev.py test --long` does.

Case i of a generator has the seed N + i, so that the seed of a failure with `--cases 1` is that
case again. The exit status is 1 where a case failed.
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

from tools.failure import say  # noqa: E402
from tools.long import AT, GENERATORS  # noqa: E402

SHOWN = 20
"""Failures that are printed; all are counted."""


def run_cases(name: str, seed: int, cases: int, folder: Path) -> bool:
    """Try the cases of one generator and say what came out; whether none of them failed."""
    counts: collections.Counter[str] = collections.Counter()
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
                if counts[outcome] < SHOWN:
                    say(f"FAILED {name} --seed {number} --cases 1: {error}")
            counts[outcome] += 1
    told = ", ".join(f"{counts[key]} {key}" for key in ("worked", "refused", "failed"))
    seconds, slow = watch.slowest
    slowest = f"slowest {seconds:.2f} s of processor time (seed {slow})"
    say(f"{name}: {cases} cases from seed {seed}: {told}; {slowest}")
    return not counts["failed"]


def main(arguments: Sequence[str]) -> int:
    """Run generators, one after the other in this process; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=GENERATORS)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int)
    options = parser.parse_args(arguments)
    good = True
    for name in options.names:
        with tempfile.TemporaryDirectory(prefix="detour-fuzz-") as folder:
            cases = options.cases or GENERATORS[name]
            good = run_cases(name, options.seed, cases, Path(folder).resolve()) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
