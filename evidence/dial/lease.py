"""`python -m evidence.dial.lease`: all that needs a graphics card, on a machine lent for minutes.

Trains every model of the studies, measures what there is time for, and packs what comes back into
few files of limited size, the most important ones first. Each step is a process of its own with a
deadline, and what it has is kept when it fails. It goes on where it was: called again it trains
and measures what is missing, and brings the weights that did not fit before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.environment import write_json
from tools.failure import say
from tools.gpu_pack import check_pack
from tools.gpu_part import SITE
from tools.process import end_process, start_process

from .train_all import SMALL_STEPS, STUDIES, every

ROOT = Path(__file__).resolve().parents[2]
MOST_FILES, FILE_BYTES, ALL_BYTES = 8, 15 * 2**20, 60 * 2**20
"""What comes back of one call; a little less than the limits of such machines."""
RESULTS = "results.tar.gz"
RESULT_BYTES = 10 * 2**20
GRACE, STOP_SECONDS = 30.0, 5.0
"""How long after its deadline a step is ended, and how long that may take."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_DEVICE_MAX_CONNECTIONS": "32", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Step:
    """A command that measures, and its share of the time. small: what it is told in a rehearsal."""

    name: str
    command: tuple[str, ...]
    share: float
    small: tuple[str, ...]

    def arguments(self, options: argparse.Namespace, seconds: float) -> list[str]:
        """The whole command, of this Python."""
        device = "cpu" if options.small else "cuda"
        more = ["--trained", "--output", str(options.work), "--device", device]
        more += ["--json", str(options.work / f"{self.name}.json")]
        more += ["--workers", f"{options.workers}", "--deadline", f"{seconds:.0f}"]
        return [*self.command, *more, *(self.small if options.small else ())]


FEW = ("--steps", f"{SMALL_STEPS}", "--pictures", "4")
FEW_ROWS = (*FEW, "--blocks", "1", "--questions", "1")
STEPS = (
    Step("dial", ("-m", "evidence.dial"), 3.0, FEW_ROWS),
    Step("ranges", ("-m", "evidence.dial", "--transformers"), 2.0, FEW_ROWS),
    Step("depth", ("-m", "evidence.dial.depth"), 1.0, (*FEW, "--seeds", "1")),
)


def main(arguments: Sequence[str]) -> int:
    """Train, measure and pack; 0 if all was done."""
    options = parse(arguments)
    end = time.monotonic() + 60 * options.minutes
    for path in (options.work, options.out):
        path.mkdir(parents=True, exist_ok=True)
    if options.source:
        host, site = check_pack(options.source.resolve())
        os.environ |= {"COMFYUI_PATH": str(host), SITE: str(site)}
    os.environ |= ENVIRONMENT
    good = True
    if options.only in (None, "train"):
        device = ["--device", "cpu", "--small"] if options.small else ["--device", "cuda"]
        command = ["-m", "evidence.dial.train_all", "--output", str(options.work), *device]
        command += ["--study", options.study] if options.study else []
        seconds = min(options.train_seconds, end - time.monotonic())
        good &= run("train", [*command, "--deadline", f"{seconds:.0f}"], seconds, options.work)
    pack_weights(options.work, options.out, every(options.small, options.study))
    if not list(options.work.glob("*.safetensors")):
        say("No model is trained; there is nothing to measure.")
        return 1
    steps = [step for step in STEPS if options.study in ("", step.name)]
    for place, step in enumerate(steps if options.only in (None, "measure") else ()):
        left = end - time.monotonic() - (len(steps) - place) * GRACE / 2
        seconds = left * step.share / sum(each.share for each in steps[place:])
        good &= run(step.name, step.arguments(options, seconds), seconds, options.work)
        pack_results(options.work, options.out)
    pack_results(options.work, options.out)
    return 0 if good else 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m evidence.dial.lease", description=__doc__)
    add = parser.add_argument
    add(
        "--only",
        choices=("train", "measure", "pack"),
        help="one of its parts; pack comes by itself",
    )
    add("--study", choices=STUDIES, default="", help="one of them alone")
    add("--minutes", type=float, metavar="M", default=9.0, help="in all")
    add("--train-seconds", type=float, metavar="S", default=270.0, help="of them at most")
    add("--out", type=Path, metavar="DIR", required=True, help="for what comes back")
    told = "for everything; kept between calls"
    add("--work", type=Path, metavar="DIR", default=ROOT / "output" / "lease", help=told)
    add("--from", type=Path, metavar="FOLDER", dest="source", help="made by dev.py gpu --pack")
    add("--workers", type=int, metavar="N", default=14, help="processes that measure")
    add("--small", action="store_true", help="few models, steps and pictures, on the CPU")
    return parser.parse_args(arguments)


def run(name: str, command: Sequence[str], seconds: float, folder: Path) -> bool:
    """Run a step with a deadline, its words here and in a file; whether all of it was done."""
    say(f"\n{name} (at most {seconds:.0f} s): {' '.join(command)}")
    began = time.monotonic()
    with (folder / f"{name}.log").open("ab") as log:
        process = start_process(
            [sys.executable, *command], STOP_SECONDS, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            end = f"exit status {process.wait(timeout=max(1.0, seconds + GRACE))}"
        except subprocess.TimeoutExpired:
            end = "ended by force"
        finally:
            end_process(process, STOP_SECONDS)
    lines = (folder / f"{name}.log").read_text("utf-8", "replace").splitlines()
    say("\n".join(lines[-25:]))
    say(f"{name}: {end} after {time.monotonic() - began:.0f} s")
    return end == "exit status 0"


def pack_weights(folder: Path, out: Path, order: Sequence) -> None:
    """Pack the models that no call has brought yet, in this order, as many as may come back."""
    note = folder / "brought.json"
    brought = json.loads(note.read_text("utf-8")) if note.is_file() else []
    files = [folder / f"{training.name}.safetensors" for training in order]
    total = 0
    packs: list[list[Path]] = []
    for path in (one for one in files if one.is_file() and one.name not in brought):
        size = path.stat().st_size
        if total + size > ALL_BYTES - RESULT_BYTES:
            break
        if not packs or sum(one.stat().st_size for one in packs[-1]) + size > FILE_BYTES:
            if len(packs) == MOST_FILES - 1:
                break
            packs.append([])
        packs[-1].append(path)
        total += size
    for place, paths in enumerate(packs):
        with tarfile.open(out / f"weights-{len(brought)}-{place}.tar", "w") as tar:
            for path in paths:
                tar.add(path, path.name)
    named = [path.name for paths in packs for path in paths]
    write_json(note, [*brought, *named])
    left = [path.name for path in files if path.is_file() and path.name not in (*brought, *named)]
    say(f"Weights of {len(named)} models are packed; {len(left)} wait for another call.")


def pack_results(folder: Path, out: Path) -> None:
    """Pack all results, figures, charts and logs, also those of processes that were ended."""
    partial = out / f"{RESULTS}.partial"
    with tarfile.open(partial, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            if path.suffix in (".jsonl", ".json", ".log", ".png"):
                tar.add(path, path.name)
    partial.replace(out / RESULTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
