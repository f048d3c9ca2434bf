"""`dev.py bench`: its statistics, when it stops, and what it writes; nothing is really timed."""

from __future__ import annotations

import gc
import json
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import scipy.stats

from tools import bench
from tools.bench import row_text
from tools.bench_stats import (
    CASES,
    MIN_PAIRS,
    OURS,
    SHAPES,
    TRANSFORMERS,
    Interval,
    Subject,
    at_most,
    calls_per_timing,
    measure,
    median_interval,
    verdicts,
)
from tools.failure import Failure


class FakeMachine:
    """A clock that only moves when something runs, by what that costs (and some noise)."""

    def __init__(self, noise: float = 0.0, seed: int = 0) -> None:
        self.now, self.speed, self.noise = 0.0, 1.0, noise
        self.random = random.Random(seed)
        self.log: list[str] = []

    def clock(self) -> float:
        return self.now

    def call(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.log.append(name)
            self.now += seconds * self.speed * (1 + self.random.gauss(0, self.noise))

        return run


def certain(value: float, half_width: float = 0.0) -> Interval:
    return Interval(value, value - half_width, value + half_width, MIN_PAIRS)


# --- the median and its interval -------------------------------------------------------------


@pytest.mark.parametrize("n", [6, 8, 9, 20, 21, 50, 100, 400])
def test_the_interval_is_that_of_scipy(n):
    source = random.Random(n)
    values = [source.gauss(1, 0.02) for _ in range(n)]
    theirs = scipy.stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    found = median_interval(values)
    assert (found.low, found.high) == (theirs.low, theirs.high)


def test_median_and_interval_by_hand():
    assert median_interval([9, 1, 8, 2, 7, 3, 6, 4, 5]) == Interval(5, 2, 8, 9)
    assert median_interval([6, 1, 5, 2, 4, 3]) == Interval(3.5, 1, 6, 6)
    assert median_interval([2, 1, 4]) == Interval(2, None, None, 3)


def test_conclusive_means_half_a_percent_on_both_sides_and_enough_pairs():
    assert Interval(2.0, 1.991, 2.009, MIN_PAIRS).conclusive
    assert not Interval(2.0, 1.989, 2.009, MIN_PAIRS).conclusive
    assert not Interval(2.0, 1.991, 2.011, MIN_PAIRS).conclusive
    assert not Interval(1.0, 1.0, 1.0, MIN_PAIRS - 1).conclusive
    assert not Interval(1.0, None, None, 3).conclusive


# --- pairs -----------------------------------------------------------------------------------


def test_pairs_begin_with_the_one_and_the_other_in_turn():
    machine = FakeMachine()
    calls = {"calls": 2, "clock": machine.clock}
    seen: list[float] = []

    def enough(known: Mapping[str, Interval]) -> None:
        seen.append(known["patched"].median)
        machine.now += 1e9 * (len(seen) == 3)

    patched = {"patched": machine.call("patched", 3.0)}
    measure(patched, machine.call("plain", 2.0), seconds=100.0, after_round=enough, **calls)
    one, other = ["patched"] * 2 + ["plain"] * 2, ["plain"] * 2 + ["patched"] * 2
    assert machine.log == one + other + one
    assert seen == [1.5, 1.5, 1.5]


def test_what_is_conclusive_gets_no_more_pairs():
    steady, source = FakeMachine(), random.Random(0)

    def shaken() -> None:
        steady.now += 0.1 * (1 + source.random())

    cases = {"steady": steady.call("steady", 0.1), "shaky": shaken}
    found = measure(cases, steady.call("plain", 0.1), calls=1, seconds=30.0, clock=steady.clock)
    assert found["steady"].conclusive and found["steady"].n == MIN_PAIRS
    assert not found["shaky"].conclusive and found["shaky"].n > MIN_PAIRS
    assert steady.now < 30.5


def test_a_machine_that_gets_slower_does_not_change_the_ratio():
    machine = FakeMachine(noise=0.004)

    def slower(_: object) -> None:
        machine.speed *= 1.1

    cases = {"a": machine.call("a", 0.9), "b": machine.call("b", 1.9)}
    found = measure(
        cases,
        machine.call("plain", 1.0),
        calls=1,
        seconds=1e9,
        clock=machine.clock,
        after_round=slower,
    )
    assert found["a"].median == pytest.approx(0.9, abs=0.005)
    assert found["b"].median == pytest.approx(1.9, abs=0.01)
    assert all(interval.conclusive for interval in found.values())


def test_no_time_at_all_still_gives_every_case_one_pair():
    machine = FakeMachine()
    cases = {name: machine.call(name, 1.0) for name in CASES}
    found = measure(cases, machine.call("plain", 1.0), calls=1, seconds=0.0, clock=machine.clock)
    assert [(name, interval.n) for name, interval in found.items()] == [(n, 1) for n in CASES]


def test_short_calls_are_timed_several_at_once():
    assert [calls_per_timing(seconds) for seconds in (0.2, 0.05, 0.02, 0.001)] == [1, 1, 3, 50]


# --- targets ---------------------------------------------------------------------------------


def test_targets_by_hand():
    found = {
        "lam0": certain(1.004),
        "lam0.5": certain(1.006),
        "lam1": certain(0.96),
        "freeu_v2": certain(1.005),
        "pag": certain(1.99),
    }
    met = {case: [item["met"] for item in items] for case, items in verdicts("sdxl", found).items()}
    assert met == {"lam0": [True, True], "lam0.5": [False, False], "lam1": [True, False]}
    assert [item["met"] for item in verdicts("sd15", found)["lam1"]] == [True]
    assert verdicts("sd15", {"lam1": certain(1.0)})["lam1"][0]["met"] is False


def test_what_is_not_conclusive_is_judged_only_if_it_is_clear():
    limits = {0.9: True, 1.0: None, 1.2: False}
    for value, expected in limits.items():
        (verdict,) = verdicts("sd15", {"lam0": certain(value, 0.1 - 1e-9)})["lam0"]
        assert not certain(value, 0.09).conclusive
        assert verdict["met"] is expected
    assert verdicts("sd15", {"lam0": Interval(0.5, None, None, 3)})["lam0"][0]["met"] is None
    wide = certain(1.1, 0.05)
    assert at_most(certain(1.0), wide) is True
    assert at_most(certain(1.1), wide) is None
    assert at_most(certain(1.2), wide) is False


# --- the whole command -----------------------------------------------------------------------


COSTS = {"lam0": 1.001, "strength0": 1.0, "lam0.5": 1.02, "lam1": 0.9, "freeu_v2": 1.03, "pag": 2}


def cases_of(shape: str) -> tuple[str, ...]:
    """What a family has: the nodes beside ours patch U-Nets alone."""
    return OURS if shape in TRANSFORMERS else CASES


def stub(machine: FakeMachine) -> bench.Bench:
    def subject(shape: str) -> Subject:
        facts = {
            **{"about": "", "channels": 64, "parameters": 1_000_000, "plain_peak_mib": 1.0},
            **{"gflops": 2.0, "mid_share": 0.1},
            "part": "blocks 4-7" if shape in TRANSFORMERS else "the mid-block",
        }
        return Subject(
            shape=shape,
            plain=machine.call("plain", 0.1),
            cases={name: machine.call(name, 0.1 * COSTS[name]) for name in cases_of(shape)},
            facts=facts,
            extra_peaks=dict.fromkeys(CASES, 0.5),
        )

    return bench.Bench(
        subject,
        lambda: 40.0,
        lambda: 5.0,
        {"torch": "0"},
        machine.clock,
        others={"search": lambda quick: [{"probes": 1 if quick else 2}]},
    )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMachine]:
    machine = FakeMachine(noise=0.001)
    monkeypatch.setattr(bench, "real_bench", lambda quick: stub(machine))
    yield machine


def test_json_and_exit_status(machine, tmp_path, capsys):
    target = tmp_path / "new" / "bench.json"
    assert bench.main(["--json", str(target)]) == 0, "a missed target is no failure"
    figures = json.loads(target.read_text(encoding="utf-8"))
    assert [(row["shape"], row["case"]) for row in figures["rows"]] == [
        (shape, case) for shape in (*SHAPES, *TRANSFORMERS) for case in cases_of(shape)
    ]
    for row in figures["rows"]:
        assert row["low"] <= row["median"] <= row["high"]
        assert row["median"] == pytest.approx(COSTS[row["case"]], rel=0.002)
        assert row["conclusive"] is True and row["n"] == MIN_PAIRS
        assert row["extra_peak_mib"] == 0.5
    assert (figures["import_ms"], figures["start_seconds"]) == (40.0, 5.0)
    assert figures["import_share"] == 0.008 and figures["import_met"] is True
    assert figures["quick"] is False and figures["torch"] == "0"
    assert figures["search"] == [{"probes": 2}]
    assert figures["shapes"]["sdxl"]["mid_share"] == 0.1
    printed = capsys.readouterr().out
    assert "MISSED" in printed and "10.0% of them in the mid-block" in printed
    assert "10.0% of them in blocks 4-7" in printed
    assert "QUICK" not in printed and "inconclusive" not in printed


def test_quick_is_marked_and_inconclusive_is_said(machine, tmp_path, capsys):
    target = tmp_path / "bench.json"
    assert bench.main(["--quick", "--shape", "sdxl", "--json", str(target)]) == 0
    figures = json.loads(target.read_text(encoding="utf-8"))
    assert figures["quick"] is True
    assert {row["shape"] for row in figures["rows"]} == {"sdxl"}
    assert figures["search"] == []
    assert not any(row["conclusive"] for row in figures["rows"])
    printed = capsys.readouterr().out
    assert "QUICK" in printed and printed.count("inconclusive") == len(CASES)
    assert machine.now < 20


def test_no_interval_is_null_and_said(machine, tmp_path, capsys):
    target = tmp_path / "bench.json"
    assert bench.main(["--minutes", "0.001", "--json", str(target)]) == 0
    row = json.loads(target.read_text(encoding="utf-8"))["rows"][0]
    assert (row["low"], row["high"], row["n"], row["conclusive"]) == (None, None, 1, False)
    assert row["targets"][0]["met"] is None
    assert "too few pairs" in row_text(row) and "undecided" in row_text(row)


def test_the_time_for_a_shape_is_kept(machine):
    machine.noise = 0.3
    figures = bench.run(stub(machine), bench.parse(["--minutes", "1"]))
    for shape, facts in figures["shapes"].items():
        seconds = 15 if shape in TRANSFORMERS else 60
        assert seconds - 1 <= facts["seconds"] <= seconds + 1


def test_the_collector_is_off_while_timing_and_on_again_afterwards(machine):
    seen: list[bool] = []
    made = stub(machine)

    def subject(shape: str) -> Subject:
        one = made.subject(shape)
        return Subject(**{**vars(one), "cases": {"lam0": lambda: seen.append(gc.isenabled())}})

    machine.speed = 1.0
    bench.run(
        bench.Bench(subject, lambda: 1.0, lambda: 1.0, {}, machine.clock),
        bench.parse(["--shape", "sd15", "--minutes", "0.1"]),
    )
    assert seen and not any(seen)
    assert gc.isenabled()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "many"])
def test_minutes_that_are_none_are_refused(minutes):
    with pytest.raises(SystemExit) as caught:
        bench.parse([f"--minutes={minutes}"])
    assert caught.value.code == 2


def test_without_a_host_it_fails_in_one_sentence(monkeypatch, capsys):
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    assert bench.main([]) == 1
    assert capsys.readouterr().out.startswith("Error: COMFYUI_PATH does not name a ComfyUI")


# --- the import of the pack ------------------------------------------------------------------


def fake_host(folder: Path, answer: str) -> Path:
    """As much of a ComfyUI as the probe asks for."""
    files = {
        "comfy/cli_args.py": "class args: cpu = False",
        "utils/extra_config.py": "",
        "execution.py": "from comfy.cli_args import args\nassert args.cpu",
        "server.py": "",
        "nodes.py": (
            "ready = False\n"
            "async def init_builtin_extra_nodes():\n"
            "    global ready\n"
            "    ready = True\n"
            "async def load_custom_node(path):\n"
            "    print('the host talks', path)\n"
            f"    return ready and {answer}\n"
        ),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_import_is_timed_in_new_interpreters_and_failures_told(tmp_path):
    assert 0 <= bench.import_ms(fake_host(tmp_path, "True"), 1) < 1000
    for answer in ("False", "1 / 0"):
        with pytest.raises(Failure, match="could not load the pack"):
            bench.import_ms(fake_host(tmp_path, answer), 1)


def test_the_import_is_the_median_after_one_that_does_not_count(monkeypatch, tmp_path):
    values = iter([900.0, 30.0, 50.0, 40.0])
    monkeypatch.setattr(bench, "_import_once", lambda host: next(values))
    assert bench.import_ms(tmp_path, 3) == statistics.median([30.0, 50.0, 40.0])
