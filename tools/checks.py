"""`dev.py lint` and `dev.py test`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import long
from .beside import (
    GENERATIONS,
    REGISTRY,
    prepare_beside,
    prepare_layer,
    prepare_old_torch,
    read_facts,
)
from .downloads import check_host, newest_version, prepare_all, prepare_browser
from .environment import TEMPORARY, cache_root, make_folder, prepare, scratch, write_json
from .failure import Failure, say
from .process import clean_environment

ROOT = Path(__file__).resolve().parent.parent
NO_TESTS = 5
"""pytest's exit status when it found nothing to run."""
WORKERS = min(4, 1 + (os.cpu_count() or 1))
"""Processes that share the whole suite, by the groups of tests/conftest.py: one more than there are
cores, since tests wait for servers and pages."""
BROWSER, WEBUI, ARCHIVE = "tests/browser", "tests/webui", "tests/registry"
IN_HOST = ("browser", "comfyui", "registry")
"""How the names of the folders begin whose tests run inside a ComfyUI."""
SLOW = ("browser", "comfyui_http", "comfyui", "tools", "long", "registry", "webui", "evidence")
"""Folders whose files take long: they come first, so that no process waits for one at the end."""
LINT_LEFT_OUT = "Lint: left out."
LEFT_OUT = "NOT RUN: the browser tests were left out (--no-browser)."
COUNTS = "DETOUR_COUNTS"
"""Names the file that tests/conftest.py writes the counts to."""
OUTCOMES = {
    "passed": ("passed", "xpassed"),
    "failed": ("failed", "error"),
    "skipped": ("skipped", "xfailed"),
}
"""What is counted, and pytest's words for it."""


def lint(python: Path) -> tuple[bool, str]:
    """Run ruff and pyright; whether both are content, and what they say."""
    steps = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "pyright": ["pyright", "--pythonpath", str(python), "detour"],
    }
    environment = clean_environment()
    # Node.js comes from the environment, never from this machine or a download.
    environment.update(PYRIGHT_PYTHON_GLOBAL_NODE="0", PYRIGHT_PYTHON_IGNORE_WARNINGS="1")
    good, said = True, ""
    for name, arguments in steps.items():
        command = [str(python), "-m", *arguments]
        told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
        result = subprocess.run(command, cwd=ROOT, env=environment, **told)
        said += f"Lint: {name}\n{result.stdout}"
        if result.returncode:
            said += f"Lint: {name} found something (see above)\n"
            good = False
    return good, said.rstrip()


def lint_command(_options: argparse.Namespace, _extra: Sequence[str]) -> int:
    """`dev.py lint`: the exit status."""
    good, said = lint(prepare(dev=True))
    say(said)
    say("Lint: all good" if good else "Lint: failed")
    return 0 if good else 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `dev.py test`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there")
    parser.add_argument("-k", metavar="EXPR", help="only tests whose names match, as in pytest")
    long.add_options(parser)
    parser.add_argument("--no-lint", action="store_true", help="leave ruff and pyright out")
    told = "leave out the tests that need Chromium"
    parser.add_argument("--no-browser", action="store_true", help=told)
    told = "only the tests that need a ComfyUI, in this one and what its requirements.txt names"
    parser.add_argument("--host", type=Path, metavar="FOLDER", help=told)
    told = "also read hostile files with a real torch 2.1.2 (670 MB, needs a C compiler)"
    parser.add_argument("--old-torch", action="store_true", help=told)
    told = "only try small changes of the source, of all files named for it or of this one, and "
    told += "say which of them no test notices"
    parser.add_argument("--mutants", nargs="?", const="", metavar="FILE[:LINE]", help=told)
    parser.epilog = "What follows -- goes to pytest: dev.py test -- tests/core -x"


def pytest_command(
    python: Path, expression: str | None, extra: Sequence[str], folders: Sequence[str]
) -> list[str]:
    """The pytest call; these folders unless `extra` names files or folders of its own."""
    command = [str(python), "-m", "pytest", "--import-mode=importlib", "-q"]
    # Without this the extension's own __init__.py would be collected as a test package.
    command += [f"--confcutdir={ROOT / 'tests'}", f"--rootdir={ROOT}"]
    if not named_tests(extra):
        command += [f"--numprocesses={WORKERS}", "--dist=loadscope", "--no-loadscope-reorder"]
    if expression:
        command += ["-k", expression]
    return [*command, *extra, *([] if named_tests(extra) else folders)]


def all_tests(in_host: bool = False) -> list[str]:
    """The folders below tests/ with tests in them, slow ones first; `in_host`: those whose
    tests run inside a ComfyUI."""
    base = ROOT / "tests"
    folders = {file.relative_to(base).parts[0] for file in base.rglob("test_*.py")}
    if in_host:
        folders = {name for name in folders if name.startswith(IN_HOST)}
    ordered = [name for name in SLOW if name in folders] + sorted(folders - set(SLOW))
    return [f"tests/{name}" for name in ordered]


def named_tests(extra: Sequence[str]) -> list[str]:
    """Those of pytest's arguments that are files or folders of ours."""
    return [word for word in extra if word[:1] != "-" and (ROOT / word.split("::")[0]).exists()]


def asks_for(folder: str, named: Sequence[str]) -> bool:
    """Whether tests of `folder` are among the named ones."""
    wanted = ROOT / folder
    places = [(ROOT / word.split("::")[0]).resolve() for word in named]
    return any(wanted in (place, *place.parents) or place in wanted.parents for place in places)


def test_command(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """`dev.py test`: lint, pytest, the counts; the exit status."""
    if options.mutants is not None:
        return try_mutants(prepare(dev=True), options.mutants)
    if options.long:
        python, host = prepare_all(dev=True)
        beside = prepare_beside(GENERATIONS)
        return long.run_parts(python, options, {**beside, "COMFYUI_PATH": str(host)})
    python, host = prepare_all(dev=True) if options.host is None else prepare_other(options.host)
    named = named_tests(extra) or all_tests(in_host=bool(options.host))
    words = [
        *extra,
        *([] if options.long is not None or named_tests(extra) else ["-m", "not long"]),
    ]
    if options.no_browser:
        words += [f"--ignore={ROOT / BROWSER}"]
    elif asks_for(BROWSER, named):
        prepare_browser(python)
    beside = prepare_beside(
        (GENERATIONS if asks_for(WEBUI, named) else {})
        | (REGISTRY if asks_for(ARCHIVE, named) else {})
    )
    if options.old_torch:
        beside |= prepare_old_torch()
    pictures = make_folder(cache_root() / "screenshots")
    environment = {**clean_environment(), **beside, "COMFYUI_PATH": str(host)}
    # The processes share the cores; threads of their own would only stand in the way.
    environment.update(OMP_NUM_THREADS="1", DETOUR_SCREENSHOTS=str(pictures))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # each would compile the host again
    command = pytest_command(python, options.k, words, named)
    with ThreadPoolExecutor() as pool:  # while servers and pages start
        linted = pool.submit(lint, python) if not (options.no_lint or options.host) else None
        status, counts = run_pytest(command, environment)
    lint_good, said = linted.result() if linted else (True, LINT_LEFT_OUT)
    say(said)
    if options.host is not None:
        counts["host"] = {**asdict(read_facts(host)), "newest_frontend": newest_version()}
    if options.json:
        write_json(options.json, counts)
    if status == NO_TESTS:
        say("Tests: nothing to run was found")
    if not lint_good:
        say("Lint: failed (see above)")
    if options.host is not None:
        text = "ComfyUI {version}, frontends {frontend} and {newest_frontend}"
        say(text.format(**counts["host"]))
    for part, outcome in counts["parts"].items():
        say(f"  {part}: {summary_line(outcome)}")
    say(LEFT_OUT if options.no_browser else f"Screenshots to look at: {pictures}")
    if options.long is not None and not named_tests(extra):
        status = long.run_parts(python, options, environment) or status
    say(summary_line(counts))
    return 1 if status or not lint_good else 0


def try_mutants(python: Path, only: str) -> int:
    """`dev.py test --mutants`: the exit status."""
    command = [str(python), "-m", "tools.mutants", *filter(None, [only])]
    environment = {**clean_environment(), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def prepare_other(folder: Path) -> tuple[Path, Path]:
    """The Python with what another ComfyUI names, and its folder, both made ready."""
    host = check_host(folder.expanduser().resolve(), "FOLDER")
    read_facts(host)  # says what is missing before minutes go into the environment
    return prepare_layer(host), host


def run_pytest(command: list[str], environment: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Run pytest with a temporary folder of its own; its exit status and the counts."""
    with scratch("test") as folder:
        file = folder / "counts.json"
        say("Tests: pytest")
        told = {**environment, **dict.fromkeys(TEMPORARY, str(folder)), COUNTS: str(file)}
        status = subprocess.run(command, cwd=ROOT, env=told).returncode
        if not file.is_file():
            raise Failure(f"pytest wrote no result (exit status {status}).")
        return status, json.loads(file.read_text(encoding="utf-8"))


def count_outcomes(stats: Mapping[str, Iterable[Any]]) -> dict[str, Any]:
    """`{"passed", "failed", "skipped", "parts": {folder: the same three}}` of pytest's reports.

    Errors count as failed, expected failures as skipped; what failed in its end did not pass.
    A test that lies in no folder below tests/ is in the part "other".
    """
    ended: dict[str, str] = {}
    for outcome, words in sorted(OUTCOMES.items(), key=lambda item: item[0] == "failed"):
        for word in words:
            ended |= {report.nodeid: outcome for report in stats.get(word, ())}
    counts: dict[str, Any] = {**dict.fromkeys(OUTCOMES, 0), "parts": {}}
    for test, outcome in sorted(ended.items()):
        place = test.split("::")[0].split("/")
        part = place[1] if len(place) > 2 else "other"
        counts["parts"].setdefault(part, dict.fromkeys(OUTCOMES, 0))[outcome] += 1
        counts[outcome] += 1
    return counts


def summary_line(counts: Mapping[str, Any]) -> str:
    """The line that ends every test run, for people and for scripts."""
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
