"""The ways of the study in a real ComfyUI, and the parts of rivals that no host has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from evidence.dial.host import shifted
from evidence.dial.rivals import most_varied, noisy_prompt
from evidence.dial.ways import PLAIN, WAYS

ROWS = 2 * 3 * 4
"""Both sides of guidance, three pictures, four steps."""
SCRIPT = Path(__file__).with_name("dial_ways.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """What each way did; in a process of its own, since the host's settings are the process's."""
    folder, root = tmp_path_factory.mktemp("dial"), SCRIPT.parents[2]
    files = [str(folder / name) for name in ("random.safetensors", "found.json")]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, str(SCRIPT), *files]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(Path(files[1]).read_text("utf-8"))


def test_every_way_acts_and_nothing_stays(found):
    assert set(found["ways"]) == set(WAYS)
    for name, (apart, rows, count) in found["ways"].items():
        assert (apart > 1e-4) == (name != PLAIN), name
        assert count == 3
        saved = name in ("relief", "both")  # the negative prompt in the window
        assert (rows < ROWS) if saved else (rows == ROWS), name
    assert found["same"]


def test_a_shift_is_that_of_flow_matching():
    sigmas = torch.tensor([9.0, 3.0, 1.0, 0.25, 0.0])
    t = sigmas / (1 + sigmas)
    moved = 2 * t / (1 + t)
    assert torch.allclose(shifted(sigmas, 2)[1:], (moved / (1 - moved))[1:])
    assert shifted(sigmas, 5)[:2].tolist() == [9.0, 9.0]


def test_the_most_varied_are_kept():
    shades = torch.tensor([0.5, 0.51, 0.0, 0.49, 1.0])
    pictures = shades[:, None, None, None].expand(5, 3, 2, 2)
    assert most_varied(pictures, 3)[:, 0, 0, 0].tolist() == [0.5, 0.0, 1.0]


def test_noise_on_a_prompt_is_another_one_for_each_picture():
    prompt = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(0))
    noisy = noisy_prompt(prompt, 0.5, 7, 200)
    assert float((noisy - prompt).std() / prompt.std()) == pytest.approx(0.5, rel=0.02)
    assert torch.equal(noisy, noisy_prompt(prompt, 0.5, 7, 200))
    assert not torch.equal(noisy[0], noisy[1])
