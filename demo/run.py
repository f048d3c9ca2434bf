"""`python dev.py demo`: see the bypass turn the bias of a model, in a real ComfyUI.

Runs the example workflows of the tiny model, measures on fresh seeds what they draw, writes
contact sheets and prints a table. Started by dev.py, which sets `COMFYUI_PATH`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import safe_open

from tools.failure import Failure
from tools.process import stop_like_ctrl_c
from tools.server import ComfyServer
from tools.workflows import to_prompt

from .digits import training_share
from .frontier import (
    DEFAULT,
    GUIDED,
    NOISES,
    OPEN_WORD,
    READABLE_LOSS,
    Case,
    Laboratory,
    asked,
    choose_placebo,
    choose_window,
    describe,
    measure_row,
    reaches_goal,
    rival,
    table_cases,
    terminal_progress,
)
from .pictures import before_and_after, strengths_sheet
from .reader import WEIGHTS as READER_WEIGHTS

ROOT = Path(__file__).resolve().parent.parent
COUNTS = {"quick": (0, 250, 125), "usual": (500, 1000, 500), "full": (1000, 2000, 1000)}
"""Pictures for choosing, for the rows that answer the demo's question, for all others."""


def main() -> int:
    """Run the demo; 0 if everything it was asked to do was done."""
    options = parse(sys.argv[1:])
    began = time.monotonic()
    nodes = {"detour": ROOT, "detour_demo": ROOT / "demo" / "host_nodes"}
    say("Starting ComfyUI with Detour in it ...")
    try:
        host = Path(os.environ["COMFYUI_PATH"])
        with ComfyServer(host, nodes, environment={"DETOUR_ROOT": str(ROOT)}) as server:
            options.output.mkdir(parents=True, exist_ok=True)
            pictures = run_workflows(server, options.output)
            rows, sheets = measure(Laboratory(server, terminal_progress), options)
    except Failure as failure:
        if failure.details:
            say(failure.details)
        say(f"Error: {failure}")
        return 1
    except KeyboardInterrupt:
        return 1
    seconds = time.monotonic() - began
    paths = [*pictures, *sheets]
    say("")
    say(f"Done in {seconds:.0f} s. Look at these pictures first:")
    for path in reversed(paths):
        say(f"  {path}")
    if options.json:
        report = {"rows": rows, "pictures": [str(path) for path in paths], "seconds": seconds}
        partial = options.json.with_name(options.json.name + ".partial")
        partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        partial.replace(options.json)
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="dev.py demo", description="See the bypass at work.")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="fewer pictures, about 2 minutes")
    extent.add_argument("--full", action="store_true", help="more rows and more pictures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", default=ROOT / "output", help="for the pictures"
    )
    return parser.parse_args(arguments)


def run_workflows(server: ComfyServer, output: Path) -> list[Path]:
    """Run the tiny model's example workflows as they are, and keep the pictures they make."""
    object_info, made = server.get_json("/object_info"), []
    for path in sorted((ROOT / "example_workflows").glob("Tiny model*.json")):
        say(f"Running the example workflow: {path.stem}")
        workflow = json.loads(path.read_text(encoding="utf-8"))
        outputs = server.run(to_prompt(workflow, object_info), step_progress)
        terminal_progress("")
        for node_id, shown in outputs.items():
            for number, image in enumerate(shown.get("images", ())):
                target = output / f"{path.stem} - {node_id}-{number}.png"
                target.write_bytes(
                    server.view(image["filename"], image["subfolder"], image["type"])
                )
                made.append(target)
    return made


def step_progress(message: dict[str, Any]) -> None:
    """Show the sampler's step while a workflow runs."""
    if message.get("type") == "progress":
        data = message["data"]
        terminal_progress(f"step {data['value']} of {data['max']}")


def measure(lab: Laboratory, options: argparse.Namespace) -> tuple[list[dict], list[Path]]:
    """Choose on one set of seeds, report on another, draw the sheets."""
    extent = "quick" if options.quick else "full" if options.full else "usual"
    to_choose, many, few = COUNTS[extent]
    tell_about_reader()
    chosen, placebo = DEFAULT, replace(DEFAULT, case="placebo", strength=NOISES[2])
    if to_choose:
        say(f"Choosing a window and a placebo on {to_choose} pictures each ...")
        chosen = choose_window(lab, to_choose)
        placebo = choose_placebo(lab, chosen, to_choose)
        terminal_progress("")
        say(f"Chosen: {describe(chosen)}; {describe(placebo)}")
        if chosen != DEFAULT:
            say(f"The node's default is another: {describe(DEFAULT)}")
    say(f"Measuring on fresh seeds, {many} pictures for the rows that decide, {few} for others:")
    rows: list[dict[str, Any]] = []
    header = None
    table = table_cases(chosen, placebo, extent)
    for case in table:
        count = many if case == asked(case, case.model) else few
        row = measure_row(lab, case, rival(case, chosen, placebo, table), count)
        rows.append(row)
        terminal_progress("")
        if header != (case.model, case.prompt, case.cfg):
            header = (case.model, case.prompt, case.cfg)
            print_header(case)
        print_row(case, row)
    verdict(rows, chosen)
    if extent == "quick":
        say("  --quick draws too few pictures to decide this; the demo without it draws enough.")
    return rows, draw(lab, chosen, options.output)


def draw(lab: Laboratory, chosen: Case, output: Path) -> list[Path]:
    """Write the contact sheets."""
    sheets = {
        "strengths.png": strengths_sheet(lab, asked(chosen, "demo"), (-0.3, 0.0, 0.5, 1.0)),
        "before and after.png": before_and_after(lab, asked(chosen, "demo")),
    }
    for name, sheet in sheets.items():
        sheet.save(output / name)
    return [output / name for name in sheets]


def tell_about_reader() -> None:
    """Print how far the counting can be trusted."""
    with safe_open(READER_WEIGHTS, "pt") as file:
        accuracy = float(file.metadata()["held_out_accuracy"])
    say(
        f"A colour-blind reader counts the digits; it reads {accuracy:.1%} of real, held-out "
        "digits right."
    )
    say("Readable: it is surer than 80 %. Shares are among readable pictures only.")


def print_header(case: Case) -> None:
    """The lines over the rows of one model and prompt."""
    name = case.prompt or "(empty)"
    share = training_share(case.model, case.prompt)
    say("")
    say(f"Model {case.model}, prompt {name}, CFG {case.cfg:g}. In training: {share:.1%} minority")
    say(
        f"  {'':34} {'minority share':>14} {'95 % interval':>15} {'readable':>9} "
        f"{'to min / maj':>13} {'p':>8} {'p placebo':>10}"
    )


def print_row(case: Case, row: dict[str, Any]) -> None:
    """One row for people."""
    share = "-" if row["minority_share"] is None else f"{row['minority_share']:.1%}"
    p, beyond = ("-" if row[key] is None else f"{row[key]:.2g}" for key in ("p", "p_placebo"))
    moved = "-" if case.strength == 0 else f"{row['to_minority']} / {row['to_majority']}"
    interval = f"{row['low']:.1%} - {row['high']:.1%}"
    say(
        f"  {describe(case):34} {share:>14} {interval:>15} {row['readable']:>9.1%} "
        f"{moved:>13} {p:>8} {beyond:>10}"
    )


def verdict(rows: list[dict[str, Any]], chosen: Case) -> None:
    """Say for both twins whether the chosen setting does what it should."""
    say("")
    say(
        "Goal: clearly more minority (p < 0.01), beyond the placebo (p < 0.05), at most "
        f"{READABLE_LOSS:.0%} fewer readable pictures."
    )
    for model, word in OPEN_WORD.items():
        asked_rows = [row for row in rows if row["model"] == model and row["prompt"] == word]
        of_word = [row for row in asked_rows if row["cfg"] == GUIDED]
        plain = next(row for row in of_word if row["strength"] == 0)
        row = next(row for row in of_word if row["p_placebo"] is not None)
        met = "reached" if reaches_goal(row, plain) else "MISSED"
        loss = plain["readable"] - row["readable"]
        say(
            f"  {model:7} {word:5} {describe(chosen)}: {plain['minority_share']:.1%} -> "
            f"{row['minority_share']:.1%}, readable {-loss:+.1%}: {met}"
        )


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    stop_like_ctrl_c()
    sys.exit(main())
