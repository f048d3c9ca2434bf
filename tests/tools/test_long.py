"""`dev.py test --long`: what it plans, how it judges memory, and a process that dies in it."""

from __future__ import annotations

import collections
import random
from pathlib import Path

from tools import long, long_prompts, long_run
from tools.commands import parse


def test_the_plan_is_that_of_its_seed():
    plan = long_run.make_plan(5, 300)
    assert plan == long_run.make_plan(5, 300) != long_run.make_plan(6, 300)
    counts = collections.Counter(plan)
    assert plan[0] == plan[-1] == "plain" and counts["killed"] == long_run.KILLS
    assert set(counts) == {"plain", "killed", *long_run.SHARES}
    last = max(place for place, kind in enumerate(plan) if kind == "killed")
    assert len(plan) - last > long_run.WARM + 5 * long_run.ENDS  # memory is watched after it


def test_every_kind_of_the_plan_can_be_done():
    for kind in ("plain", "killed", *long_run.SHARES):
        assert callable(getattr(long_run.LongRun, kind))
    prompts = [make(random.Random(0)) for make in long_prompts.GOOD.values()]
    assert all(node["class_type"] for prompt in prompts for node in prompt.values())


def test_memory_that_grows_is_found(tmp_path):
    for slope, found in ((0.0, []), (0.5, ["the server's memory grew."])):
        run = long_run.LongRun(tmp_path, tmp_path, random.Random(0))
        run.memory = [800 + slope * step for step in range(200)]
        run.memory[60] = run.memory[150] = 2000.0  # single values do not move the trend
        long_run.judge(run)
        assert run.found == found


def test_a_generator_goes_on_behind_a_case_that_took_it_down(monkeypatch, capsys):
    begun = []

    def wait(_running, command, environment):
        seed, cases = int(command[4]), int(command[6])
        begun.append((seed, cases))
        if seed == 7:
            Path(environment[long.AT]).write_text("9")
            return -11
        return 0

    monkeypatch.setattr(long, "_wait", wait)
    assert not long._generate([], Path("python"), "edits", 7, 10, {})
    assert begun == [(7, 10), (10, 7)]
    assert "FAILED edits --seed 9 --cases 1: the process died" in capsys.readouterr().out


def test_what_is_asked_for():
    for words, wanted in (([], None), (["--long"], ""), (["--long", "edits"], "edits")):
        options, _ = parse(["test", *words, "--seed", "3"])
        assert (options.long, options.seed) == (wanted, 3)
