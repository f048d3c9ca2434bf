"""`python dev.py evidence depth`: do deeper models draw more of the majority? Exploratory.

After the first figure of arXiv 2505.17560 v1: models without a prompt, of several depths, trained
on pictures in which one group has less than 1 % and another 42 %; and whether deeper ones draw
the majority from those seeds from which shallow ones draw the minority. The figure's caption is
all that we know of it. What depth is, is ours: how often a U-Net halves the picture before its
mid-block, all levels equally wide, the mid-block's layers the same. Ours too are the pictures. All
are counted as they are read: how many of them are clean, and how often noise like theirs makes the
reader err, is told besides.

Models of one training seed saw the same pictures with the same noise in the same order. It can be
stopped and goes on where it was. Runs next to a ComfyUI (`COMFYUI_PATH`).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from demo.faces import JOBS, Shares, draw_people
from demo.networks import DEPTHS
from demo.reader import read
from demo.tiny import read_tiny
from demo.together import train_together
from demo.train import Training, training_people
from tools.environment import write_json
from tools.failure import Failure, say

from .depth_chart import chart
from .depth_results import MINORITIES, Model, Pictures, figures, report
from .host import STEPS as DRAWING_STEPS
from .host import Host
from .measure import FLOOR_SEED, composed, fingerprints, share
from .models import HAS, keep_in, sha256
from .store import Store
from .study import REPORT_SEED
from .ways import BYPASS, PLAIN, WAYS, Setting
from .workers import make_pool

ROOT = Path(__file__).resolve().parents[2]
SHARES = Shares(dict.fromkeys(JOBS, 0.42), dark=0.5, glasses=0.008)
"""The figure's two minorities: less than 1 % have glasses, 42 % long hair, independently."""
SEEDS, STEPS, PICTURES = 3, 2000, 2000
"""Of so many pictures about sixteen have the glasses that are rare. So few steps leave noise in the
pictures; who is in them can be read all the same, which `misread` counts."""
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {PLAIN: WAYS[PLAIN].settings[0], BYPASS: Setting(1.0, 0.3)}
)
"""The bypass as the node has it by itself: fixed before anything was measured."""
MEASURE = 1
"""To be raised when a figure comes to mean something else: then nothing that is kept counts."""


def plan(seeds: int = SEEDS, steps: int = STEPS) -> list[Training]:
    """The models: for each seed all depths, so that what is trained first can be compared."""
    return [training(depth, seed, steps) for seed in range(1, seeds + 1) for depth in DEPTHS]


def training(depth: int, seed: int, steps: int = STEPS) -> Training:
    """Of one model; by its seed the pictures, the same for all depths."""
    return Training(f"depth{depth}-{seed}-{steps}", SHARES, seed, steps, "", f"depth{depth}")


@dataclass(frozen=True)
class Task:
    """A row that is to be measured: a model's file, a way, and how many pictures."""

    depth: int
    seed: int
    weights: Path
    way: str
    pictures: int
    device: str

    @property
    def key(self) -> dict[str, Any]:
        """By what it is kept."""
        return {
            "weights": sha256(self.weights),
            "way": self.way,
            **asdict(SETTINGS[self.way]),
            "seed": REPORT_SEED,
            "pictures": self.pictures,
            "steps": DRAWING_STEPS,
            "measure": MEASURE,
        }


@cache
def host_of(device: str) -> Host:
    """The host of this process."""
    return Host(device)


@cache
def known_to(seed: int) -> frozenset[bytes]:
    """What the training pictures of a seed look like."""
    return frozenset(fingerprints(composed(training_people(training(DEPTHS[0], seed)))))


def measure(task: Task, deadline: float = math.inf) -> dict[str, Any] | None:
    """Draw a row's pictures and say what is seen in each; None where time is over before."""
    if time.monotonic() >= deadline:
        return None
    host, setting = host_of(task.device), SETTINGS[task.way]
    run = host.run_of(task.weights, "", 1.0)
    drawn = host.draw_all(run, WAYS[task.way].apply, setting, REPORT_SEED, task.pictures)
    return {
        "seen": seen_in(drawn.pictures, task.seed).text,
        "misread": misread(drawn.pictures, task.seed),
        "seconds": drawn.seconds,
        "facts": host.facts(task.device),
    }


def seen_in(pictures: torch.Tensor, seed: int) -> Pictures:
    """What is seen in pictures `[N, 3, 16, 16]` of a model of that seed."""
    reading = read(pictures)
    looks, known = fingerprints(composed(reading.people)), known_to(seed)
    copies = torch.tensor([look in known for look in looks], dtype=torch.bool)
    return Pictures.of(reading.people, reading.clean, copies)


def misread(pictures: torch.Tensor, seed: int) -> dict[str, int]:
    """Of how many new portraits each minority is read wrongly, once the portraits have on them what
    is left of pictures `[N, 3, 16, 16]` without their nearest portraits; as many portraits, each
    with another picture's rest."""
    people = new_people(seed, len(pictures))
    rest = pictures.float().cpu() - composed(read(pictures).people)
    found = read((composed(people) + rest.roll(1, dims=0)).clamp(0, 1)).people
    return {name: int((HAS[name](found) != HAS[name](people)).sum()) for name in MINORITIES}


def new_people(seed: int, count: int) -> torch.Tensor:
    """Whom no model was trained on, `[count, fields]`, with the shares of training."""
    return draw_people(SHARES, count, torch.Generator().manual_seed(FLOOR_SEED + seed))


def real(seed: int, count: int) -> Pictures:
    """The same of new portraits: what a perfect model would draw."""
    return seen_in(composed(new_people(seed, count)), seed)


def measure_all(tasks: Sequence[Task], store: Store, pool: Executor | None, deadline: float) -> int:
    """Measure what is not in the store yet, and keep it as it comes; how many rows are missing.

    deadline: by `time.monotonic`; then no row is begun any more.
    """
    missing = [task for task in tasks if store.look(task.key) is None]
    left = len(missing)
    for task, found in measured(missing, pool, deadline):
        if found is not None:
            store.get(task.key, lambda found=found: found)
            left -= 1
            say(f"depth {task.depth}, seed {task.seed}, {task.way}: {found['seconds']:.0f} s")
    return left


def measured(
    tasks: Sequence[Task], pool: Executor | None, deadline: float
) -> Iterator[tuple[Task, dict[str, Any] | None]]:
    """What was found for each, as it comes; without a pool in this process."""
    if pool is None:
        yield from ((task, measure(task, deadline)) for task in tasks)
        return
    waiting = {pool.submit(measure, task, deadline): task for task in tasks}
    for future in as_completed(waiting):
        yield waiting[future], future.result()


def model_of(one: Training, weights: Path) -> Model:
    """What a trained model is, for the results."""
    people = training_people(one)
    return Model(
        depth=int(one.network.removeprefix("depth")),
        seed=one.seed,
        steps=one.steps,
        parameters=sum(value.numel() for value in read_tiny(weights).network.values()),
        sha256=sha256(weights),
        shares={name: share(HAS[name](people))["share"] for name in MINORITIES},
    )


def main() -> int:
    """Run what the command line asks for; 0 if all of it was done."""
    options = parse(sys.argv[1:])
    began = time.monotonic()
    try:
        left, found = study(options, began + options.deadline)
    except Failure as failure:
        say(f"Error: {failure}")
        return 1
    if options.json:
        write_json(options.json, {**found, "seconds": time.monotonic() - began})
    say(
        f"{left} models or rows are left." if left else f"Done in {time.monotonic() - began:.0f} s."
    )
    return 1 if left else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py evidence depth", description="Models of several depths; exploratory."
    )
    add = parser.add_argument
    add("--trained", action="store_true", help="measure the models that are trained, train none")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    told = "for weights, checkpoints, results so far and the chart"
    add("--output", type=Path, metavar="DIR", default=ROOT / "output" / "depth", help=told)
    add("--seeds", type=int, metavar="N", default=SEEDS, help="models of each depth")
    add("--steps", type=int, metavar="N", default=STEPS, help="of each training")
    add("--pictures", type=int, metavar="N", default=PICTURES, help="of each row")
    add("--workers", type=int, metavar="N", default=1, help="processes that measure")
    told = "seconds, after which nothing more is begun; the next run goes on"
    add("--deadline", type=float, metavar="S", default=math.inf, help=told)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    add("--device", choices=("cpu", "cuda"), default=device, help=f"default here: {device}")
    return parser.parse_args(arguments)


def study(options: argparse.Namespace, deadline: float) -> tuple[int, dict[str, Any]]:
    """Train, measure, tell: how much is left to do, and the figures of what there is."""
    planned = plan(options.seeds, options.steps)
    if not options.trained:
        train(planned, options.output, options.device, deadline)
    files = [(one, path) for one in planned if (path := path_of(one, options.output)).is_file()]
    models = [model_of(one, path) for one, path in files]
    tasks = [
        Task(model.depth, model.seed, path, way, options.pictures, options.device)
        for model, (_, path) in zip(models, files, strict=True)
        for way in SETTINGS
    ]
    store = Store(options.output / "depth.jsonl")
    with make_pool(options.workers) as pool:
        missing = measure_all(tasks, store, pool, deadline)
    known = [(task, row) for task in tasks if (row := store.look(task.key)) is not None]
    seen = {(task.seed, task.depth, task.way): Pictures.read(row["seen"]) for task, row in known}
    facts = known[0][1]["facts"] if known else {}
    seeds = dict.fromkeys(model.seed for model in models)
    reals = {seed: real(seed, options.pictures) for seed in seeds}
    errors = [row["misread"] for _, row in known]
    found = {
        **facts,
        "pictures": options.pictures,
        "misread": {name: sum(error[name] for error in errors) for name in MINORITIES},
        "misread_of": options.pictures * len(known),
        **figures(models, seen, reals),
    }
    report(found, say)
    picture = options.output / "evidence depth.png"
    chart(found).save(picture)
    say(f"Chart: {picture}")
    return len(planned) - len(models) + missing, found


def train(planned: Sequence[Training], folder: Path, device: str, deadline: float) -> None:
    """Train what is not trained yet."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [one for one in planned if not path_of(one, folder).is_file()]
    train_together(missing, folder, device, keep_in(folder, device), deadline=deadline, say=say)


def path_of(one: Training, folder: Path) -> Path:
    """The file with a model's weights."""
    return folder / f"{one.name}.safetensors"


if __name__ == "__main__":
    sys.exit(main())
