"""The commands of dev.py: what each prepares, what it starts, how it fails."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from . import gpu
from .checks import ROOT, lint_command, test_command
from .downloads import check_host, prepare_all
from .environment import cache_root, prepare
from .failure import Failure, say
from .gpu_pack import check_pack, make_pack
from .process import clean_environment, end_process, start_process, stop_like_ctrl_c
from .server import ComfyServer, check_port

PORT = 8188
PACK = "detour"
TEMPLATE = "Extensions > detour > Tiny model first steps"
SUBJECTS = ("spurious", "architectures")
EXAMPLES = "evidence.example_files"
PATH_OPTIONS = ("--json", "--output")
STOP_SECONDS = 15.0
USAGE = """usage: python dev.py COMMAND [options]

  demo   [--quick | --full] [--json FILE] [--output DIR]
         see the variety dial work on a tiny model, in a real ComfyUI, on the CPU
  serve  [--port N] [--examples]
         open a real ComfyUI with this extension in it; stays until Ctrl-C; --examples puts
         there what the templates with MobileNetV2 need
  examples FOLDER
         the same files into your own ComfyUI folder
  test   [--json FILE] [-k EXPR] [--long] [--no-lint] [--no-browser] [--host FOLDER] [--old-torch]
         [-- pytest arguments]
         lint and all tests; --long adds those that take long, --no-browser leaves out those that
         need Chromium; --host runs those that need a ComfyUI in the one in FOLDER, with what its
         requirements.txt names;
         --old-torch also reads hostile files with a real torch 2.1.2
  lint   ruff and pyright
  bench  [--json FILE] [options]   how long things take
  evidence spurious [--quick] [--json FILE] [--output DIR]
         what the single-weight edit is worth, against its rivals, on held-out pictures
  evidence architectures [--quick] [--json FILE]
         which networks of torchvision, timm and transformers are read and can be edited
  gpu    [--small] [--json FILE] [--pack FOLDER | --from FOLDER]
         exactness, cost and classifiers on a CUDA device, within 8 minutes
  train  [options]                 train the tiny model again
  train-classifiers  [options]     train the demo's image classifiers again

Everything is prepared on first use in a cache folder (DETOUR_CACHE puts it elsewhere).
COMFYUI_PATH puts another ComfyUI in the place of the one that is fetched."""


def serve_command(arguments: Sequence[str]) -> int:
    """`dev.py serve`: a ComfyUI with the pack in it, until Ctrl-C or its own end."""
    parser = argparse.ArgumentParser(prog="dev.py serve", description="Open a real ComfyUI.")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"default {PORT}")
    told = "put MobileNetV2 and marked photos there, for the templates that need them"
    parser.add_argument("--examples", action="store_true", help=told)
    options = parser.parse_args(arguments)
    check_port(options.port)
    python, host = prepare_all(evidence=options.examples)
    base = cache_root() / "serve" / str(options.port)
    if options.examples and _run(python, EXAMPLES, [str(base)], {}):
        return 1
    say("Starting ComfyUI ...")
    with ComfyServer(host, {PACK: ROOT}, python=python, port=options.port, base=base) as server:
        say(f"ComfyUI runs:  {server.url}")
        say(f"Open there:    Workflow > Browse Templates > {TEMPLATE}")
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


def examples_command(arguments: Sequence[str]) -> int:
    """`dev.py examples FOLDER`: what two templates need, into the user's own ComfyUI."""
    parser = argparse.ArgumentParser(
        prog="dev.py examples",
        description="Put MobileNetV2 (14 MB) and photos without and with a watermark (45 MB) "
        "into your ComfyUI, for the templates that need them.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="your ComfyUI folder")
    named = parser.parse_args(arguments).folder.expanduser().resolve()
    folder = check_host(named, "FOLDER")
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


def run_module(module: str, arguments: Sequence[str]) -> int:
    """Run a module of this repository in the environment, next to a ComfyUI."""
    check_module(module)
    python, host = prepare_all()
    return _run(python, module, arguments, {"COMFYUI_PATH": str(host)})


def evidence_command(arguments: Sequence[str]) -> int:
    """`dev.py evidence SUBJECT`: run that module of `evidence/`; it needs no ComfyUI."""
    subject = arguments[0] if arguments else ""
    if subject not in SUBJECTS:
        raise Failure(f"Say what the evidence is about: dev.py evidence {' | '.join(SUBJECTS)}.")
    module = f"evidence.{subject}"
    check_module(module)
    return _run(prepare(evidence=True), module, arguments[1:], {})


def gpu_command(arguments: Sequence[str]) -> int:
    """`dev.py gpu`: in this Python with a pack, else in the environment of the other commands."""
    options = gpu.parse(arguments)
    if options.source:
        host, packages = check_pack(options.source.expanduser().resolve())
        more = {gpu.SITE: str(packages), "COMFYUI_PATH": str(host)}
        return gpu.run(options, Path(sys.executable), more)
    python, host = prepare_all()
    if options.pack:
        make_pack(options.pack.expanduser().resolve(), host, python)
        return 0
    return gpu.run(options, python, {"COMFYUI_PATH": str(host)})


def check_module(module: str) -> None:
    """A `Failure` for a module that this checkout does not have."""
    if not (ROOT / (module.replace(".", "/") + ".py")).is_file():
        raise Failure(f"This checkout has no {module.replace('.', '/')}.py.")


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


def _module(name: str) -> Callable[[Sequence[str]], int]:
    """The command that runs one module."""
    return lambda arguments: run_module(name, arguments)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "demo": _module("demo.run"),
    "serve": serve_command,
    "examples": examples_command,
    "bench": _module("tools.bench"),
    "test": test_command,
    "lint": lint_command,
    "evidence": evidence_command,
    "gpu": gpu_command,
    "train": _module("demo.train"),
    "train-classifiers": _module("demo.train_classifiers"),
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit status. What fails ends in one sentence, no traceback."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if arguments else 1
    name, rest = arguments[0], arguments[1:]
    command = COMMANDS.get(name)
    if command is None:
        say(f"Error: there is no command {name}; there are {', '.join(COMMANDS)}.")
        return 1
    stop_like_ctrl_c()
    try:
        return command(rest)
    except Failure as failure:
        _tell(*filter(None, [failure.details]), f"Error: {failure}")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _tell(f"Error: {os.strerror(error.errno) if error.errno else error}{where}.")
    except KeyboardInterrupt:
        _tell("Stopped.")
    return 1


def _tell(*lines: str) -> None:
    """The last words; nobody hears them where the terminal was closed."""
    with suppress(OSError):
        for line in lines:
            say(line)
