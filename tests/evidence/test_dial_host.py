"""The ways of the study in a real ComfyUI, and the parts of rivals that no host has."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from evidence.dial.host import shifted
from evidence.dial.inside import structured, turned, white
from evidence.dial.ranges import RANGE_WAYS
from evidence.dial.rivals import most_varied, noisy_prompt
from evidence.dial.ways import PLAIN, WAYS

ROWS = 2 * 3 * 4
"""Both sides of guidance, three pictures, four steps."""
SCRIPT = Path(__file__).with_name("dial_ways.py")


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> dict:
    """What each way did; in a process of its own, since the host's settings are the process's."""
    folder, root = tmp_path_factory.mktemp("dial"), SCRIPT.parents[2]
    files = [str(folder / name) for name in ("random.safetensors", "found.json")]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, str(SCRIPT), *files]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(Path(files[1]).read_text("utf-8"))


@pytest.mark.long
@pytest.mark.parametrize("network", ["unet", "transformer"])
def test_every_way_acts_and_nothing_stays(everything, network):
    found, is_unet = everything[network], network == "unet"
    assert set(found["ways"]) == set(WAYS if is_unet else RANGE_WAYS)
    for name, (apart, rows, count) in found["ways"].items():
        assert (apart > 1e-4) == (name != PLAIN), name
        assert count == 3
        saved = name in ("relief", "both")  # the negative prompt in the window
        assert (rows < ROWS) if saved else (rows == ROWS), name
    assert found["same"]
    assert is_unet or found["host's skip"] < 1e-4  # as `ranges.NOTES` says
    assert set(found["depths"]) == ({"depth1", "depth2", "depth3"} if is_unet else set())
    assert all(apart > 1e-4 for apart in found["depths"].values())


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


def test_smooth_noise_is_the_same_in_all_calls_and_spares_the_prompt():
    draw = structured(7, 3, 8)
    h = torch.zeros(6, 4 + 64, 16)
    noise = draw(h, 0.9)
    assert torch.equal(noise, draw(h, 0.1)) and torch.equal(noise[:3], noise[3:])
    assert not noise[:, :4].any()
    field = noise[:3, 4:]
    assert torch.allclose(field.std(dim=(1, 2)), torch.ones(3), atol=0.01)
    grid = field.view(3, 8, 8, 16)
    ramp = torch.linspace(0, 1, 8)[:, None, None]
    corners = [grid[:, y, x] for y in (0, -1) for x in (0, -1)]
    left, right = (
        corners[i][:, None] * (1 - ramp[:, 0]) + corners[2 + i][:, None] * ramp[:, 0]
        for i in (0, 1)
    )
    assert torch.allclose(grid[:, :, 0], left, atol=1e-5)
    assert torch.allclose(grid[:, :, -1], right, atol=1e-5)
    rough = white(7)(h, 0.9)
    assert not torch.equal(rough, white(7)(h, 0.1)) and not torch.equal(rough[:3], rough[3:])


def test_phases_turn_and_the_spectrum_stays():
    """Against a literal sum over all frequencies of a small picture."""
    draw = torch.Generator().manual_seed(0)
    pictures = torch.randn(2, 3, 8, 8, generator=draw, dtype=torch.float64)
    noise = torch.randn(2, 1, 8, 8, generator=draw, dtype=torch.float64)
    found = turned(pictures, noise, 1.0)
    before, after, angles = (torch.fft.fft2(each) for each in (pictures, found, noise))
    for v in range(8):
        for u in range(8):
            across, up = (min(u, 8 - u), min(v, 8 - v))
            if (across in (0, 4)) and (up in (0, 4)):
                continue  # real by themselves
            low = 1 / (1 + ((across**2 + up**2) ** 0.5 / 2) ** 12)
            most = math.pi / 2
            angle = most * torch.tanh(angles[:, :, v, u].angle() / most) * low
            wanted = before[:, :, v, u] * torch.polar(torch.ones_like(angle), angle)
            assert torch.allclose(after[:, :, v, u], wanted, atol=1e-6)
    assert torch.allclose(found.mean(dim=(2, 3)), pictures.mean(dim=(2, 3)))
    assert not torch.allclose(found, pictures, atol=0.1)
