"""The eyes on hostile cases see what they are to see; and each generator still makes cases."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import watch as eyes
from watch import Case, Refused, Watch, Wrong

from detour.checks import read_number
from tools.long import AT, GENERATORS

ROOT = Path(__file__).resolve().parents[2]
ALONE = ("routes",)
"""Those that need another environment; `tests/webui/test_routes.py` asks the routes too."""


@pytest.fixture
def watch(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGPROF)
    monkeypatch.setattr(eyes, "CPU_SECONDS", 0.3)
    yield Watch(tmp_path)
    signal.signal(signal.SIGPROF, before)


def spin() -> None:
    while True:
        pass


def raises(error: Exception):
    def act() -> None:
        raise error

    return act


def refuse(sentence: str = "strength is 7; it must be a number from -1 to 1.") -> None:
    raise Refused(sentence)


WRONG = {
    "KeyError": raises(KeyError("x")),
    "MemoryError": raises(MemoryError()),
    "RecursionError": raises(RecursionError()),
    "not our own refusal": raises(ValueError("A sentence of somebody else.")),
    "no sentence": lambda: refuse("two\nlines."),
    "letters": lambda: refuse("a" * 5000 + "."),
    "Traceback": lambda: refuse("Traceback of it."),
    "processor time": spin,
    "os.system": lambda: os.system("true"),
    "pickle.find_class": lambda: pickle.loads(pickle.dumps(os.getpid)),
    "open ": lambda: Path(os.environ["DETOUR_ELSEWHERE"]).write_text("x"),
}


@pytest.mark.parametrize("told", WRONG)
def test_what_a_case_must_not_do(told, watch, tmp_path, monkeypatch):
    monkeypatch.setenv("DETOUR_ELSEWHERE", str(tmp_path.parent / "elsewhere"))
    with pytest.raises(Wrong, match=told):
        watch.try_case(lambda _draw, _place: Case("a case", WRONG[told]), 0)


@pytest.mark.parametrize(
    ("name", "told"), [("it_ran", "ran"), (".detour-a.part", "left"), ("x", "x")]
)
def test_what_a_case_must_not_leave(name, told, watch):
    def make(_draw, place):
        return Case("a case", lambda: (place / name).touch())

    with pytest.raises(Wrong, match=told):
        watch.try_case(make, 0)


def test_what_a_case_may_do(watch):
    def make(draw, place):
        number = draw.random()

        def act() -> None:
            (place / "b").write_text("whole")
            read_number("strength", 7 if number < 0.5 else 0.5, -1, 1)

        return Case("a case", act, writes=True)

    seeds = {watch_outcome(watch, make, seed): seed for seed in range(20)}
    assert set(seeds) == {"worked", "refused, but files changed: ['b']"}


def watch_outcome(watch, make, seed) -> str:
    try:
        return watch.try_case(make, seed)[0]
    except Wrong as error:
        return str(error).removeprefix("a case: ")


def test_a_slice_of_each_generator(tmp_path):
    """In one process beside this one, whose memory is limited for good."""
    names = [name for name in GENERATORS if name not in ALONE]
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests" / "long" / "run.py"), *names]
    environment = {**os.environ, AT: str(tmp_path / "at"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--seed", "14", "--cases", "25"],
        **{"env": environment, "capture_output": True, "text": True, "timeout": 500},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if " cases from seed 14: " in line]
    assert [line.partition(":")[0] for line in lines] == names
    for line in lines:
        assert " 0 worked" not in line and " 0 refused" not in line and " 0 failed" in line
