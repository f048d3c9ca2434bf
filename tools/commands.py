"""The commands of dev.py: what each prepares, what it starts, how it fails."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from . import checks, gpu
from .checks import ROOT
from .downloads import check_host, prepare_all
from .environment import cache_root, prepare
from .failure import in_one_sentence, say
from .gpu_pack import check_pack, make_pack
from .process import clean_environment, end_process, start_process, stop_like_ctrl_c
from .server import ComfyServer, check_port

PORT = 8188
PACK = "detour"
TEMPLATE = "Extensions > detour > Tiny model first steps"
EXAMPLES = "evidence.example_files"
MODULES = {
    "demo": ("demo.run", "see the variety dial on a tiny model, in a real ComfyUI, on the CPU"),
    "bench": ("tools.bench", "how long things take"),
    "workflows": (
        "tools.workflows",
        "would the real editor save the example workflows as they are?",
    ),
    "train": ("demo.train", "train the tiny model again"),
    "train-classifiers": ("demo.train_classifiers", "train the demo's image classifiers again"),
}
"""Commands that hand all their options to a module of this repository, next to a ComfyUI."""
IN_A_BROWSER = ("workflows",)
"""Those of them that need the environment of the tests."""
SUBJECTS = {
    "spurious": "what the single-weight edit is worth, against its rivals, on held-out pictures",
    "real": "the same on features of real networks, several tasks and many splits",
    "architectures": "which networks of torchvision, timm and transformers can be edited",
    "dial": "the ways to variety against their rivals, on models trained for it; hours",
    "depth": "whether deeper models draw more of the majority, on models trained for it; hours",
}
BESIDE_A_HOST = {"dial": "evidence.dial", "depth": "evidence.dial.depth"}
"""The modules of those that run next to a ComfyUI; the others need more packages instead."""
PATH_OPTIONS = ("--json", "--output")
STOP_SECONDS = 15.0
EPILOG = """Everything is prepared on first use in a cache folder (DETOUR_CACHE puts it elsewhere).
COMFYUI_PATH puts another ComfyUI in the place of the one that is fetched."""
Command = Callable[[argparse.Namespace, Sequence[str]], int]


def make_parser() -> argparse.ArgumentParser:
    """Every command with its options; `run` is what it does, `hands_on` whether the options that
    are not its own go to a module."""
    parser = argparse.ArgumentParser(
        prog="dev.py", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")

    def add(name: str, run: Command, told: str, hands_on: bool = False) -> argparse.ArgumentParser:
        # A module that the options are handed to says by itself what they are.
        one = commands.add_parser(name, help=told, description=told, add_help=not hands_on)
        one.set_defaults(run=run, hands_on=hands_on)
        return one

    for name, (module, told) in MODULES.items():
        add(name, run_module, told, hands_on=True).set_defaults(module=module)
    serve = add("serve", serve_command, "open a real ComfyUI with Detour in it, until Ctrl-C")
    serve.add_argument("--port", type=int, default=PORT, metavar="N", help=f"default {PORT}")
    told = "put MobileNetV2 and marked photos there, for the templates that need them"
    serve.add_argument("--examples", action="store_true", help=told)
    told = "put MobileNetV2 (14 MB) and photos without and with a watermark (45 MB) into your "
    examples = add("examples", examples_command, told + "ComfyUI, for the templates with them")
    examples.add_argument("folder", type=Path, metavar="FOLDER", help="your ComfyUI folder")
    checks.add_options(add("test", checks.test_command, "lint and all tests, in a real ComfyUI"))
    add("lint", checks.lint_command, "ruff and pyright")
    told = "exactness, cost and classifiers on a CUDA device, within 8 minutes"
    gpu.add_options(add("gpu", gpu_command, told))
    evidence = add("evidence", evidence_command, "what is claimed, measured", hands_on=True)
    told = "; ".join(f"{name}: {what}" for name, what in SUBJECTS.items())
    evidence.add_argument("subject", choices=SUBJECTS, help=told)
    return parser


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options of the command, and what goes to pytest or to a module."""
    own, extra = list(arguments), []
    if own[:1] == ["test"] and "--" in own:
        cut = own.index("--")
        own, extra = own[:cut], own[cut + 1 :]
    parser = make_parser()
    options, others = parser.parse_known_args(["--help"] if own in ([], ["help"]) else own)
    if others and not options.hands_on:
        parser.error(f"{options.command} does not know {' '.join(others)}")
    return options, extra + others


def serve_command(options: argparse.Namespace, _extra: Sequence[str]) -> int:
    """`dev.py serve`: a ComfyUI with the pack in it, until Ctrl-C or its own end."""
    check_port(options.port)
    python, host = prepare_all(evidence=options.examples)
    base = cache_root() / "serve" / str(options.port)
    if options.examples and _run(python, EXAMPLES, [str(base)], {}):
        return 1
    say("Starting ComfyUI ...")
    with ComfyServer(host, {PACK: ROOT}, python=python, port=options.port, base=base) as server:
        say(f"ComfyUI runs:  {server.url}")
        say(f"Open there:    Templates > {TEMPLATE}")
        say(f"Pictures:      {base / 'output'}")
        say(f"Log:           {server.log}")
        say("Ctrl-C stops it.")
        try:
            while True:
                server.check_alive()
                time.sleep(0.5)
        except KeyboardInterrupt:
            say("Stopping ComfyUI ...")
    say("Stopped.")
    return 0


def examples_command(options: argparse.Namespace, _extra: Sequence[str]) -> int:
    """`dev.py examples FOLDER`: what two templates need, into the user's own ComfyUI."""
    folder = check_host(options.folder.expanduser().resolve(), "FOLDER")
    return _run(prepare(evidence=True), EXAMPLES, [str(folder)], {})


def absolute_paths(arguments: Sequence[str], here: Path) -> list[str]:
    """The arguments with the files they name made absolute; the child runs elsewhere."""
    result: list[str] = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if result and result[-1] in PATH_OPTIONS and argument[:1] != "-":
            result.append(str(here / argument))
        elif equals and option in PATH_OPTIONS:
            result.append(f"{option}={here / value}")
        else:
            result.append(argument)
    return result


def run_module(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """Run a module of this repository in the environment, next to a ComfyUI."""
    python, host = prepare_all(dev=options.command in IN_A_BROWSER)
    return _run(python, options.module, extra, {"COMFYUI_PATH": str(host)})


def evidence_command(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """`dev.py evidence SUBJECT`: run that module of `evidence/`."""
    if options.subject in BESIDE_A_HOST:
        options.module = BESIDE_A_HOST[options.subject]
        return run_module(options, extra)
    return _run(prepare(evidence=True), f"evidence.{options.subject}", extra, {})


def gpu_command(options: argparse.Namespace, _extra: Sequence[str]) -> int:
    """`dev.py gpu`: in this Python with a pack, else in the environment of the other commands."""
    if options.source:
        host, packages = check_pack(options.source.expanduser().resolve())
        more = {gpu.SITE: str(packages), "COMFYUI_PATH": str(host)}
        return gpu.run(options, Path(sys.executable), more)
    python, host = prepare_all()
    if options.pack:
        make_pack(options.pack.expanduser().resolve(), host, python)
        return 0
    return gpu.run(options, python, {"COMFYUI_PATH": str(host)})


def _run(python: Path, module: str, arguments: Sequence[str], more: dict[str, str]) -> int:
    """Run a module in the environment with `more` variables; the exit status."""
    environment = clean_environment() | more
    command = [str(python), "-m", module, *absolute_paths(arguments, Path.cwd())]
    process = start_process(command, STOP_SECONDS, cwd=ROOT, env=environment)
    try:
        return 1 if process.wait() else 0
    finally:
        if sys.platform == "win32":  # it got the same Ctrl-C
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(timeout=STOP_SECONDS)
        end_process(process, STOP_SECONDS)


@in_one_sentence
def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit status."""
    options, extra = parse(arguments)
    stop_like_ctrl_c()
    return options.run(options, extra)
