"""`python dev.py demo`: see Detour turn the bias of a model, in a real ComfyUI.

Draws the same seeds without and with, at once; then counts what each way does and prints a table.
Started by dev.py, which sets `COMFYUI_PATH`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from PIL import Image

from tools.environment import write_json
from tools.failure import in_one_sentence, say
from tools.process import stop_like_ctrl_c
from tools.server import ComfyServer

from .faces import TWINS, VARIANTS
from .pictures import before_and_after, ways_sheet
from .rows import GUIDED, Case, Laboratory, describe, measure_row, table_cases, terminal_progress
from .tiny import weights_file

ROOT = Path(__file__).resolve().parent.parent
COUNTS = {"quick": 48, "usual": 144}
"""Pictures of each row."""
SHOWN = GUIDED[2]
"""What the first picture shows."""
DECIDES = 0.01
"""The p below which a row decides something; ours, for a table of so many rows."""


@in_one_sentence
def main() -> int:
    """Run the demo; 0 if everything it was asked to do was done."""
    options = parse(sys.argv[1:])
    began = time.monotonic()
    nodes = {"detour": ROOT, "detour_demo": ROOT / "demo" / "host_nodes"}
    say("Starting ComfyUI with Detour in it ...")
    host = Path(os.environ["COMFYUI_PATH"])
    with ComfyServer(host, nodes, environment={"DETOUR_ROOT": str(ROOT)}) as server:
        options.output.mkdir(parents=True, exist_ok=True)
        lab = Laboratory(server, terminal_progress)
        pictures = draw(lab, options.output, began)
        rows = measure(lab, COUNTS["quick" if options.quick else "usual"])
    seconds = time.monotonic() - began
    say("")
    say(f"Done in {seconds:.0f} s. Look at these pictures first:")
    for path in pictures:
        say(f"  {path}")
    if options.json:
        names = [path.name for path in pictures]
        report = {
            "weights": {path.name: sha256(path) for path in map(weights_file, VARIANTS)},
            "rows": rows,
            "pictures": names,
            "seconds": seconds,
        }
        write_json(options.json, report)
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="dev.py demo", description="See Detour at work.")
    parser.add_argument("--quick", action="store_true", help="fewer pictures, decides less")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", default=ROOT / "output", help="for the pictures"
    )
    return parser.parse_args(arguments)


def draw(lab: Laboratory, output: Path, began: float) -> list[Path]:
    """The pictures, each named as soon as it is there."""
    made = []
    for name, picture in sheets(lab):
        terminal_progress("")
        path = output / name
        picture.save(path)
        made.append(path)
        say(f"After {time.monotonic() - began:.0f} s: {path}")
    return made


def sheets(lab: Laboratory) -> Iterable[tuple[str, Image.Image]]:
    """Names and pictures, the first thing to see first."""
    yield "before and after.png", before_and_after(lab, SHOWN)
    yield "ways.png", ways_sheet(lab, GUIDED)


def measure(lab: Laboratory, count: int) -> list[dict[str, Any]]:
    """Draw, count and print the table."""
    say("")
    say(f"Counting {count} pictures for each row.")
    rows: list[dict[str, Any]] = []
    for case in table_cases():
        row = measure_row(lab, case, count)
        terminal_progress("")
        print_row(row, rows[-1] if rows else None)
        rows.append(row)
    verdict(rows)
    return rows


def print_row(row: dict[str, Any], before: dict[str, Any] | None) -> None:
    """One row for people, under a header where its model or prompt is another than `before`."""
    question = ("model", "prompt", "cfg")
    if before is None:
        say("Clean: differs little from a portrait composed of the training data's parts.")
        say("All other shares are of clean pictures. Unseen: hair that no training picture shows.")
    case = case_of(row)
    if before is None or any(row[name] != before[name] for name in question):
        print_header(case)
    share, clean, fits, unseen = (
        "-" if row[name] is None else f"{row[name]:.1%}"
        for name in ("share", "clean", "fits", "unseen")
    )
    moved = "-" if row["p"] is None else f"{row['to_rare']} / {row['to_usual']}"
    p = "-" if row["p"] is None else f"{row['p']:.2g}"
    interval = f"{row['low']:.1%} - {row['high']:.1%}"
    say(
        f"  {describe(case):27} {share:>10} {interval:>15} {clean:>7} {fits:>7} "
        f"{unseen:>7} {moved:>16} {p:>8}"
    )


def case_of(row: dict[str, Any]) -> Case:
    """The case that a row is about."""
    return Case(**{field.name: row[field.name] for field in fields(Case)})


def print_header(case: Case) -> None:
    """The lines over the rows of one model and prompt."""
    say("")
    say(
        f"Model {case.model}, prompt {case.prompt or '(empty)'}, CFG {case.cfg:g}. "
        f"In training: {case.trait.share:.0%} {case.trait.name}"
    )
    say(
        f"  {'':27} {case.trait.name:>10} {'95 % interval':>15} {'clean':>7} {'fits':>7} "
        f"{'unseen':>7} {'to rare / usual':>16} {'p':>8}"
    )


def verdict(rows: list[dict[str, Any]]) -> None:
    """Say for each way whether the twins agree, and what decides nothing."""
    say("")
    say("The twin's training pictures have all shares turned round: an effect counts where both")
    say(f"models move to what is rare in their own, each with p below {DECIDES:g}.")
    cases = {case_of(row): row for row in rows if row["p"] is not None}
    for case, row in cases.items():
        if case.model in TWINS:
            twins = [row, cases[replace(case, model=TWINS[case.model])]]
            of = f"{case.model}, prompt {case.prompt or '(empty)'}, {describe(case)}"
            say(f"  {of:55} {_said(twins)}")


def _said(twins: list[dict[str, Any]]) -> str:
    """What the rows of both twins say together."""
    sides = {
        "rare" if row["to_rare"] > row["to_usual"] else "usual"
        for row in twins
        if row["p"] < DECIDES
    }
    if len(sides) == 1 and all(row["p"] < DECIDES for row in twins):
        return f"both go to what is {sides.pop()}"
    if len(sides) == 2:
        return "the twins go opposite ways: an accident of shapes"
    if sides:
        return f"one goes to what is {sides.pop()}; the other decides nothing"
    return "decides nothing"


def sha256(path: Path) -> str:
    """The hash of a file: of which weights the figures are."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    stop_like_ctrl_c()
    sys.exit(main())
