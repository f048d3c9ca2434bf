"""How much the tests notice: which small changes of the source survive them.

    python dev.py test --mutants [FILE[:LINE]]

The files of `SUITES` are changed, one small thing at a time, and the tests named for them run on
each result, in a copy below a temporary folder. A change that all of them pass has survived.
"""

from __future__ import annotations

import ast
import gc
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

from .failure import Failure, in_one_sentence, say, tail
from .mutations import Mutant, mutants

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("detour", "tests/core", "tests/golden", "tests/conftest.py", "pyproject.toml")
SUITES = {
    "detour/schedule.py": ["tests/core/test_schedule.py"],
    "detour/ways/bypass.py": ["tests/core/ways/test_bypass.py", "tests/core/test_schedule.py"],
    "detour/ways/stand_in.py": ["tests/core/ways/test_bypass.py"],
    "detour/edit/apply.py": ["tests/core/edit/test_apply.py", "tests/core/edit/test_precision.py"],
    "detour/search/one_weight.py": ["tests/core/search/test_one_weight.py"],
    "detour/judge/groups.py": [
        "tests/core/judge/test_claims.py",
        "tests/core/judge/test_groups.py",
    ],
}
"""What is changed, and what pytest is told to run on it: quick tests that need no host."""
FIRST = "one column more is read, and only the first is used"
STEP = "step = max(1, at_a_time(block.device) // max(1, len(whole.rows)))"
AT_A_TIME = "how many columns are scanned at a time changes no result"
EQUIVALENT = {
    ("z[:, part.row] -= t * probes.columns(everything, column, column + 1)[:, 0]", "1"): FIRST,
    ("keys, tau = scan(events(p, probes.columns(p.rows, column, column + 1)))", "1"): FIRST,
    ("keys, tau = scan(events(p, -torch.ones(len(p.rows), 1, dtype=torch.float64)))", "1"): FIRST,
    (
        "return len(p.rows) > 0 and bound_key(p) >= best",
        "len(p.rows) > 0 and bound_key(p) >= best",
    ): "rows that cannot be better are passed over to save time alone",
    (
        "return worst_of(bound_key(p)) > worst_of(start.key)",
        "worst_of(bound_key(p)) > worst_of(start.key)",
    ): "rows that cannot lift the worst group are bounded to save time alone",
    ("if len(parts) == 1:", "1"): "one part can be searched as several are",
    (
        "wholes, of_row = list(map(joined, lifting)), {own[0].row: own for own in lifting}",
        "0",
    ): "all parts have the same row of the head",
    (STEP, "1"): AT_A_TIME,
    (STEP, "at_a_time(block.device) // max(1, len(whole.rows))"): AT_A_TIME,
    (
        "if not _lifts(p, start) or not _may_reach(p, found[number][0]):",
        "not _lifts(p, start) or not _may_reach(p, found[number][0])",
    ): "parts that gain nothing are passed over to save time alone",
}
"""Changes that no test can notice, by the line and what is changed there, and why. They do not
count."""
MOST = 0.05
"""The share of survivors above which the command fails."""
SPARE_SECONDS = 10.0
SAID = "said.txt"
"""The file below the copied tree with what pytest said last."""
LIBRARIES = ("torch", "torchvision", "numpy", "pytest", "hypothesis.strategies")
"""Imported once for all mutants."""


class _Swap(SourceFileLoader):
    """Finds and loads one module, `name` at `path`, with another source."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        return spec_from_file_location(name, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> object:
        return compile(self.source, self.path, "exec")


def _try(tree: Path, file: str, source: str, tests: Sequence[str]) -> None:
    """In a process of its own: exit with pytest's status for a tree with one file's new source."""
    import hypothesis
    import pytest

    gc.freeze()  # what the libraries hold need not be looked through again and again
    os.chdir(tree)
    with open(SAID, "w", encoding="utf-8") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    name = file.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, _Swap(name, str(tree / file), source))
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = False  # of the copy's other files, for those that follow
    # The same examples each time, and no time for making a failing one smaller.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("m", derandomize=True, database=None, phases=phases)
    hypothesis.settings.load_profile("m")
    options = ["-xq", "-p", "no:cacheprovider", "--import-mode=importlib", "--confcutdir=tests"]
    sys.exit(pytest.main([*options, f"--basetemp={tree / str(os.getpid())}", *tests]))


def passes(tree: Path, file: str, source: str, tests: Sequence[str], limit: float) -> bool:
    """Whether all tests pass on a tree with this source as the file, within `limit` seconds."""
    # Where a process can be forked, a server has imported the libraries and forks it.
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    context.set_forkserver_preload(list(LIBRARIES))
    process = context.Process(target=_try, args=(tree, file, source, tests))
    process.start()
    process.join(limit)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode == 0


def survivors(
    tree: Path, file: str, tests: Sequence[str], tried: Sequence[Mutant], processes: int
) -> list[Mutant]:
    """The mutants that the tests do not notice. One that runs far longer than the source as it is
    runs for ever: it is ended, and counts as noticed.

    tree: a copy of what the tests need. Raises Failure if the tests fail without any change.
    """
    # As the mutants are: written anew from the syntax.
    source = ast.unparse(ast.parse((tree / file).read_text(encoding="utf-8")))
    begin = time.monotonic()
    if not passes(tree, file, source, tests, limit=600):
        raise Failure(f"The tests of {file} fail on it as it is.", tail(tree / SAID))
    limit = SPARE_SECONDS + 4 * (time.monotonic() - begin)
    with ThreadPoolExecutor(processes) as pool:
        passed = pool.map(lambda one: passes(tree, file, one.source, tests, limit), tried)
        return [one for one, survived in zip(tried, passed, strict=True) if survived]


def chosen(source: str, line: str = "") -> list[Mutant]:
    """The mutants of a file, or of one line of it, that count."""
    lines = source.splitlines()
    counted = [m for m in mutants(source) if (lines[m.line - 1].strip(), m.old) not in EQUIVALENT]
    return [mutant for mutant in counted if line in ("", str(mutant.line))]


@in_one_sentence
def main(arguments: Sequence[str]) -> int:
    """Try the mutants, of `FILE` or `FILE:LINE` alone if it is named; the exit status: 1 if more
    than `MOST` of them survive."""
    only, _, line = arguments[0].partition(":") if arguments else ("", "", "")
    if only not in ("", *SUITES):
        raise Failure(f"No tests are named for {only}; there are {', '.join(SUITES)}.")
    total = alive = 0
    with tempfile.TemporaryDirectory(prefix="detour-mutants-") as folder:
        tree = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, tree / name)
        for file in [only] if only else SUITES:
            tried = chosen((tree / file).read_text(encoding="utf-8"), line)
            found = survivors(tree, file, SUITES[file], tried, os.cpu_count() or 1)
            for one in found:
                say(f"{file}:{one.line}  {one.old}  ->  {one.new}")
            say(f"{file}: {len(found)} of {len(tried)} survive")
            total, alive = total + len(tried), alive + len(found)
    say(f"{alive} of {total} mutants survive ({alive / max(total, 1):.1%})")
    return 1 if alive > MOST * total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
