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
from functools import partial
from pathlib import Path

import torch

from demo.faces import Shares
from demo.together import train_together
from demo.train import Trainer, Training, checkpoint, shipped
from tools.failure import Failure, say

from . import depth, models, ranges

SMALL_STEPS = 8
"""Of a rehearsal: enough for a step to be captured."""
APART = 0.3
"""How far from one another weights may come on their way, for sums in another order and TF32."""


STUDIES = ("dial", "ranges", "depth")


def every(is_small: bool = False, study: str = "") -> list[Training]:
    """The transformers that ship, the U-Nets that are reported on, the transformers that are, and
    those of several depths.

    is_small: a few of each, with few steps, for a rehearsal. study: of one of `STUDIES` alone.
    """
    pairs = [training for training in shipped(1.0, 0) if training.network != "unet"]
    if is_small:
        pairs = [replace(training, steps=SMALL_STEPS) for training in pairs]
        unets, transformers = models.plan(1, SMALL_STEPS)[:2], ranges.plan(1, SMALL_STEPS)[:2]
        depths = depth.plan(1, SMALL_STEPS)
    else:
        unets, transformers, depths = models.plan(), ranges.plan(), depth.plan()
    parts = (
        ("ranges", pairs),
        ("dial", [subject.training for subject in unets]),
        ("ranges", [subject.training for subject in transformers]),
        ("depth", depths),
    )
    return [one for name, part in parts if study in ("", name) for one in part]


def check_graphs(folder: Path, device: str = "cuda") -> None:
    """Raise `Failure` unless trainings side by side come to where one comes by itself, so that no
    lent minute is spent on models that learn nothing, or learn slowly.

    folder: for what is thrown away again.
    """
    for network in ("unet", "transformer"):
        training = Training(f"trial-{network}", Shares(), 1, 12, network=network)
        found: dict[str, torch.Tensor] = {}
        told: list[str] = []
        keep = partial(lambda _training, average, into: into.update(average), into=found)
        train_together([training], folder, device, keep, say=told.append)
        checkpoint(folder, training.name).unlink(missing_ok=True)
        trainer = Trainer(training, folder, device)
        start = {name: value.cpu().clone() for name, value in trainer.average.items()}
        alone = {name: value.cpu() for name, value in trainer.run().items()}
        checkpoint(folder, training.name).unlink()
        if not found or any("graph" in line for line in told):
            raise Failure("Steps cannot be captured here: " + "; ".join(told))
        apart, way = (
            sum(float((one[n] - alone[n]).square().sum()) for n in alone) ** 0.5
            for one in (found, start)
        )
        say(f"{network}: side by side and alone are {apart / way:.1%} of the way apart")
        if not apart <= APART * way:
            raise Failure(f"{network}: trained side by side it comes to other weights.")


def main(arguments: Sequence[str]) -> int:
    """Train what is not trained yet, in the time that there is; 0 if all is trained."""
    parser = argparse.ArgumentParser(prog="python -m evidence.dial.train_all")
    add = parser.add_argument
    add("--output", type=Path, metavar="DIR", required=True, help="for weights and checkpoints")
    add("--device", choices=("cpu", "cuda"), default="cuda")
    add("--deadline", type=float, metavar="S", default=math.inf, help="seconds; then all is saved")
    add("--small", action="store_true", help="a few models and steps: a rehearsal")
    add("--study", choices=STUDIES, default="", help="the models of one of them alone")
    add("--anyway", action="store_true", help="also where steps cannot be captured")
    options = parser.parse_args(arguments)
    deadline, folder = time.monotonic() + options.deadline, options.output
    folder.mkdir(parents=True, exist_ok=True)
    missing = [
        training
        for training in every(options.small, options.study)
        if not (folder / f"{training.name}.safetensors").is_file()
    ]
    try:
        if missing and options.device == "cuda":
            check_graphs(folder)
    except Failure as failure:
        say(f"Error: {failure}")
        if not options.anyway:
            return 1
    keep = models.keep_in(folder, options.device)
    left = train_together(missing, folder, options.device, keep, deadline=deadline, say=say)
    say(f"Trained {len(missing) - len(left)} of {len(missing)} models.")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
