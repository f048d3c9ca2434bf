"""Image-to-image begins late: an early window by sigma is missed, and the user is told."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
STEPS = 20
EARLY = {"end_percent": 0.35}
BY_STEP = {"end_percent": 0.35, "schedule_by": "step"}


def run(lab, model, denoise: float) -> torch.Tensor:
    """The run of 20 steps on an image."""
    return lab.sample(model, steps=STEPS, denoise=denoise, start=lab.latent(model, seed=70))


@pytest.mark.parametrize("denoise", [0.3, 0.5])
def test_missed_window_changes_nothing_and_is_said_once(lab, denoise, notices, caplog):
    caplog.set_level(logging.INFO, "detour")
    model = lab.tiny("small")
    got = run(lab, lab.bypass(model, unique_id="7", **EARLY), denoise)
    assert torch.equal(got, run(lab, model, denoise))
    ((node, text, missed),) = notices
    (record,) = (record for record in caplog.records if record.name == "detour")
    assert node == "7"
    assert missed is True
    assert record.levelno == logging.WARNING
    assert text in record.getMessage()
    first = {0.3: "0.71", 0.5: "0.51"}[denoise]
    assert text == (
        f"This run covered progress {first} to 1, the window 0 to 0.35 was never reached; "
        "use schedule_by = step."
    )


def test_reached_window_is_no_missed_window(lab, notices, caplog):
    caplog.set_level(logging.INFO, "detour")
    model = lab.tiny("small")
    with lab.watching(lab.bypass(model, unique_id="7", **EARLY)) as watch:
        got = run(lab, watch.model, 0.7)
    reached = sum(lab.progress_by_hand(model, sigma) < 0.35 for sigma in watch.sigmas)
    assert 0 < reached < STEPS
    assert sum(watch.skipped) == reached
    assert not torch.equal(got, run(lab, model, 0.7))
    assert notices == [("7", f"strength 1: bypassed {reached} of 20 model calls", False)]
    levels = [record.levelno for record in caplog.records if record.name == "detour"]
    assert levels == [logging.INFO]


@pytest.mark.parametrize("denoise", [0.3, 0.5, 0.7, 1.0])
def test_by_step_the_window_lies_over_this_run(lab, denoise, notices):
    model = lab.tiny("small")
    with lab.watching(lab.bypass(model, unique_id="7", **BY_STEP)) as watch:
        got = run(lab, watch.model, denoise)
    assert watch.skipped == [True] * 7 + [False] * 13
    assert not torch.equal(got, run(lab, model, denoise))
    assert notices == [("7", "strength 1: bypassed 7 of 20 model calls", False)]


def test_missed_window_by_step_says_something_else(lab, notices):
    model = lab.tiny("small")
    inputs = {"start_percent": 0.96, "end_percent": 0.99, "schedule_by": "step"}
    run(lab, lab.bypass(model, unique_id="7", **inputs), 0.5)
    assert notices[0][1].endswith("was never reached; widen the window.")


def test_each_dial_speaks_on_its_own_node(lab, notices):
    model = lab.tiny("small")
    two = lab.bypass(lab.bypass(model, unique_id="7", **EARLY), unique_id="8", **BY_STEP)
    run(lab, two, 0.3)
    texts = {node: text for node, text, _ in notices}
    assert len(notices) == 2
    assert "never reached" in texts["7"]
    assert texts["8"] == "strength 1: bypassed 7 of 20 model calls"


def test_each_run_is_counted_afresh(lab, notices):
    model = lab.tiny("small")
    patched = lab.bypass(model, unique_id="7", **EARLY)
    run(lab, patched, 1.0)
    run(lab, patched, 0.3)
    run(lab, patched, 1.0)
    assert notices[0] == notices[2] == ("7", "strength 1: bypassed 7 of 20 model calls", False)
    assert "never reached" in notices[1][1]


def test_the_log_warns_once_a_prompt(lab, notices, caplog):
    """A detailer samples many times in one prompt; the page is told of each and counts them."""
    caplog.set_level(logging.INFO, "detour")
    server = sys.modules["server"].PromptServer.instance
    patched = lab.bypass(lab.tiny("small"), unique_id="7", **EARLY)
    for prompt, denoise in (("a", 0.3), ("a", 0.4), ("a", 1.0), ("a", 0.3), ("b", 0.3)):
        server.last_prompt_id = prompt
        run(lab, patched, denoise)
    assert [missed for _, _, missed in notices] == [True, True, False, True, True]
    levels = [record.levelno for record in caplog.records if record.name == "detour"]
    assert levels == [logging.WARNING, logging.INFO, logging.WARNING]


def test_the_starting_point_for_few_steps_takes_the_first_one_alone(lab, notices):
    presets = json.loads((ROOT / "js" / "presets.json").read_text(encoding="utf-8"))["presets"]
    (few,) = (preset["schedule"] for preset in presets if preset["id"] == "few_steps")
    model = lab.tiny("small")
    for steps in (2, 4, 10):
        with lab.watching(lab.bypass(model, unique_id="7", **few)) as watch:
            lab.sample(watch.model, steps=steps)
        assert watch.skipped == [True] + [False] * (steps - 1)


@pytest.mark.parametrize(
    "server",
    [None, SimpleNamespace(), SimpleNamespace(PromptServer=SimpleNamespace(instance=None))],
    ids=["none", "empty", "not_started"],
)
def test_without_a_server_only_the_log_speaks(lab, server, monkeypatch, caplog):
    """Scripts sample in process."""
    monkeypatch.setitem(sys.modules, "server", server)
    caplog.set_level(logging.INFO, "detour")
    model = lab.tiny("small")
    got = lab.sample(lab.bypass(model, unique_id="7"))
    assert not torch.equal(got, lab.sample(model))
    assert caplog.messages[-1].startswith("Detour: strength 1: bypassed ")
