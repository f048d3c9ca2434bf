"""Strengths in between, below zero, and shapes: the blend of the formula, once per call."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

SHAPES = ("sd15", "sd2", "sdxl", "refiner", "svd", "demo")
THIRDS = (0.0, 1 / 3, 2 / 3, 1.0)
"""The progress of the four calls of a run with the scheduler `normal`."""
HEIGHTS = {
    "ramp_up": lambda u: u,
    "ramp_down": lambda u: 1 - u,
    "bump": lambda u: math.sin(math.pi * u),
    "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
}


@pytest.mark.parametrize(("shape", "lam"), zip(SHAPES, (0.37, -0.4) * 3, strict=True))
def test_run_equals_the_lerp_by_hand(lab, shape, lam):
    model = lab.build(shape)
    got = lab.sample(lab.bypass(model, lam))
    with lab.by_hand(model, lab.lerp(lam)):
        assert torch.equal(got, lab.sample(model))


@pytest.mark.parametrize("lam", [1e-3, 0.25, 0.5, 0.51, 0.999, -0.01, -1.0])
def test_call_equals_the_lerp_by_hand(lab, lam):
    model = lab.tiny("sd15")
    x = lab.latent(model)
    got = lab.call(lab.bypass(model, lam), x, [3.0, 3.0])
    with lab.by_hand(model, lab.lerp(lam)):
        assert torch.equal(got, lab.call(model, x, [3.0, 3.0]))
    assert not torch.equal(got, lab.call(model, x, [3.0, 3.0]))


def test_a_curve_of_plateaus_is_followed_call_by_call(lab):
    model = lab.tiny("sd15")
    points = "0:1, 0.2:1, 0.2:0.5, 0.5:0.5, 0.5:-0.25, 1:-0.25"
    got = lab.sample(lab.bypass(model, shape="curve", points=points))
    with lab.by_hand(model, lab.lerp_each([1.0, 0.5, -0.25, -0.25])):
        assert torch.equal(got, lab.sample(model))


@pytest.mark.parametrize(
    ("shape", "schedule_by"), zip(HEIGHTS, ("sigma", "step", "step", "sigma"), strict=True)
)
def test_shapes_follow_their_formula(lab, shape, schedule_by):
    model = lab.demo_model()
    places = THIRDS if schedule_by == "sigma" else (0.0, 0.25, 0.5, 0.75)
    got = lab.sample(lab.bypass(model, 0.8, shape=shape, schedule_by=schedule_by))
    lams = [0.8 * HEIGHTS[shape](place) for place in places]
    with lab.by_hand(model, lab.lerp_each(lams)):
        torch.testing.assert_close(got, lab.sample(model), rtol=1e-3, atol=1e-3)
    with lab.by_hand(model, lab.lerp_each([lam + 0.02 for lam in lams])):
        assert (got - lab.sample(model)).abs().max() > 5e-3


def test_lams_are_those_of_the_golden_table(lab):
    """As in the web UIs' order and in diffusers (`tests/webui/test_golden.py`)."""
    file = Path(__file__).parents[1] / "golden" / "schedule.json"
    model, found = lab.tiny("small"), []
    unet = lab.unet_of(model)
    patched = lab.bypass(model, 0.8, shape="ramp_down", start_percent=0.05, end_percent=0.95)
    patched.add_wrapper_with_key(
        lab.WrappersMP.APPLY_MODEL,
        "test",
        lambda executor, *given, **named: (
            found.append(getattr(unet.middle_block, "lam", 0.0)),
            executor(*given, **named),
        )[1],
    )
    for sigma, place in json.loads(file.read_text(encoding="utf-8"))["by_sigma"]:
        lab.call(patched, lab.latent(model), [sigma] * 2)
        wanted = 0.8 * (1 - (place - 0.05) / 0.9) if 0.05 <= place < 0.95 else 0.0
        assert found[-1] == pytest.approx(wanted, abs=2e-5), sigma
    assert sum(lam > 0 for lam in found) == 7


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_one_stand_in_and_one_blend_for_each_call(lab, cfg, monkeypatch):
    model = lab.tiny("sd15")
    midblock = lab.pack("detour.ways.bypass")
    made, blends = [], []
    make, blend = midblock.BypassedMidBlock.__init__, midblock.blend
    monkeypatch.setattr(
        midblock.BypassedMidBlock,
        "__init__",
        lambda self, *given: (made.append(1), make(self, *given))[1],
    )
    monkeypatch.setattr(midblock, "blend", lambda *given: (blends.append(1), blend(*given))[1])
    with lab.watching(lab.bypass(model, 0.5)) as watch, lab.watching(model) as plain:
        lab.sample(watch.model, cfg=cfg)
        lab.sample(plain.model, cfg=cfg)
    assert len(watch.calls) == len(made) == len(blends) == 4
    assert watch.calls == plain.calls, "the mid-block has to run once, as without the node"


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("shape", ["sd15", "svd"])
def test_state_dict_is_the_same_during_a_call(lab, shape, strength):
    model = lab.tiny(shape)
    wanted = {name: value.data_ptr() for name, value in model.model.state_dict().items()}
    parameters = [name for name, _ in model.model.named_parameters()]
    seen = []

    def look(executor, *given, **named):
        base = executor.class_obj
        seen.append(type(base.diffusion_model.middle_block).__name__)
        during = {name: value.data_ptr() for name, value in base.state_dict().items()}
        assert list(during.items()) == list(wanted.items())
        assert [name for name, _ in base.named_parameters()] == parameters
        return executor(*given, **named)

    patched = lab.bypass(model, strength)
    patched.add_wrapper_with_key(lab.WrappersMP.APPLY_MODEL, "test", look)
    lab.sample(patched)
    assert seen == ["BypassedMidBlock"] * 4


def test_the_stand_in_answers_for_the_mid_block(lab):
    """Other packs reach into the mid-block: by index, by length, by attribute."""
    model = lab.tiny("sd15")
    unet = lab.unet_of(model)
    mid = unet.middle_block
    mid.note_of_another_pack = "kept"
    way = lab.pack("detour.ways.bypass")
    call = way.Dial(lab.pack("detour.schedule").Schedule(0.5)).call([0.0])
    with way.bypassed(unet, call):
        stand_in = unet.middle_block
        assert stand_in is not mid
        assert len(stand_in) == len(mid) == 3
        assert stand_in[1] is mid[1]
        assert stand_in[-1] is mid[-1]
        assert stand_in.note_of_another_pack == "kept"
        assert stand_in.training is mid.training
        assert dict(stand_in.named_children()) == dict(mid.named_children())
    assert unet.middle_block is mid
