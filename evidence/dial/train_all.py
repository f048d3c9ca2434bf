"""`python -m evidence.dial.train_all`: every model of all studies, the most important ones first.

For a graphics card: one after another on a CPU they would take days. It goes on where it was
stopped.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from demo.together import train_together
from demo.train import Training, shipped
from tools.failure import say

from . import depth, models, ranges

SMALL_STEPS = 8
"""Of a rehearsal: enough for a step to be captured."""


def every(is_small: bool = False) -> list[Training]:
    """The transformers that ship, the U-Nets that are reported on, the transformers that are, and
    those of several depths.

    is_small: a few of each, with few steps, for a rehearsal.
    """
    pairs = [training for training in shipped(1.0, 0) if training.network != "unet"]
    if is_small:
        pairs = [replace(training, steps=SMALL_STEPS) for training in pairs]
        studied = [*models.plan(1, SMALL_STEPS)[:2], *ranges.plan(1, SMALL_STEPS)[:2]]
        depths = depth.plan(1, SMALL_STEPS)
    else:
        studied, depths = [*models.plan(), *ranges.plan()], depth.plan()
    return [*pairs, *(subject.training for subject in studied), *depths]


def main(arguments: Sequence[str]) -> int:
    """Train what is not trained yet, in the time that there is; 0 if all is trained."""
    parser = argparse.ArgumentParser(prog="python -m evidence.dial.train_all")
    add = parser.add_argument
    add("--output", type=Path, metavar="DIR", required=True, help="for weights and checkpoints")
    add("--device", choices=("cpu", "cuda"), default="cuda")
    add("--deadline", type=float, metavar="S", default=math.inf, help="seconds; then all is saved")
    add("--small", action="store_true", help="a few models and steps: a rehearsal")
    options = parser.parse_args(arguments)
    deadline, folder = time.monotonic() + options.deadline, options.output
    folder.mkdir(parents=True, exist_ok=True)
    missing = [
        training
        for training in every(options.small)
        if not (folder / f"{training.name}.safetensors").is_file()
    ]
    keep = models.keep_in(folder, options.device)
    left = train_together(missing, folder, options.device, keep, deadline=deadline, say=say)
    say(f"Trained {len(missing) - len(left)} of {len(missing)} models.")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
