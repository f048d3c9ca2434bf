"""The same bypass at the same sigma in A1111's order and in diffusers: one table, which is that of
ComfyUI too (`tests/comfyui/test_partial_bypass.py`)."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from stand_in import ROOT, SHIM, modules_in_place, run_shim
from webui_models import A1111Model, ForgeModel, diffusers_unet, ldm_unet, looping_unet

from detour.diffusers import mid_block_bypass
from detour.schedule import Schedule

SCHEDULE = {"strength": 0.8, "shape": "ramp_down", "start_percent": 0.05, "end_percent": 0.95}


@pytest.fixture(scope="module")
def table():
    """(sigma, lam) by the golden progress and the definition of a falling ramp."""
    text = (ROOT / "tests/golden/schedule.json").read_text(encoding="utf-8")
    rows = json.loads(text)["by_sigma"]
    start, end = SCHEDULE["start_percent"], SCHEDULE["end_percent"]
    return [
        (sigma, 0.8 * (1 - (place - start) / (end - start)) if start <= place < end else 0.0)
        for sigma, place in rows
    ]


def assert_lams(found, table):
    for (sigma, expected), lam in zip(table, found, strict=True):
        assert lam == pytest.approx(expected, abs=2e-5), sigma
    assert sum(lam > 0 for lam in found) == 7


@pytest.mark.parametrize("kind", ["a1111", "forge"])
def test_in_the_order_of_a1111_and_forge(table, kind):
    with modules_in_place("a1111"):
        run_shim(SHIM)
        session = sys.modules["detour_webui.extension.session"].Session
        read = sys.modules["detour_webui.extension.settings"].read_arguments
        model = A1111Model(ldm_unet()) if kind == "a1111" else ForgeModel(looping_unet())
        p = SimpleNamespace(sd_model=model, refiner_checkpoint_info=None)
        under_way = session(p, read([SCHEDULE]))
        found, unet = [], sys.modules["detour_webui.extension.host"].find_unet(p)
        unet.forward = lambda _: found.append(float(getattr(unet.middle_block, "lam", 0.0)))
        for sigma, _ in table:
            params = SimpleNamespace(sigma=torch.tensor([sigma, sigma]), denoiser=SimpleNamespace())
            under_way.follow(params)
            unet(torch.zeros(2, 4, 8, 8))
        under_way.close()
    assert_lams(found, table)


def test_in_diffusers(table):
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    unet, found = diffusers_unet(), []
    inner = unet.conv_in.forward

    def note(x):
        found.append(float(getattr(unet.mid_block, "lam", 0.0)))
        return inner(x)

    unet.conv_in.forward = note
    rows = json.loads((ROOT / "tests/golden/schedule.json").read_text(encoding="utf-8"))
    with torch.no_grad(), mid_block_bypass(unet, Schedule(**SCHEDULE), scheduler=scheduler):
        for sigma, place in rows["by_sigma"]:
            scheduler.sigmas = torch.tensor([sigma, 0.0])
            time = torch.tensor((1 - place) * 999)
            unet(torch.zeros(1, 4, 8, 8), time, encoder_hidden_states=torch.zeros(1, 3, 8))
    assert_lams(found, table)
