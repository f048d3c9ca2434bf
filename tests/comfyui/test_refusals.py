"""Bad input: one sentence on the node that says what to do, and nothing half done."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest
import torch

REFUSAL = "This model has no mid-block. Works with SD 1.x, SD 2.x, SDXL, SVD."
DIALS = ("DetourMidBlockBypass", "DetourBypassSweep")


def flux(lab):
    """A tiny Flux: a DiT, which has no mid-block."""
    config = {
        "image_model": "flux",
        "in_channels": 16,
        "out_channels": 16,
        "patch_size": 2,
        "vec_in_dim": 32,
        "context_in_dim": 32,
        "hidden_size": 64,
        "mlp_ratio": 4.0,
        "num_heads": 2,
        "depth": 1,
        "depth_single_blocks": 1,
        "axes_dim": [8, 12, 12],
        "theta": 10000,
        "qkv_bias": True,
        "guidance_embed": False,
    }
    from comfy.ldm.flux.model import FluxParams

    if "txt_ids_dims" in {field.name for field in dataclasses.fields(FluxParams)}:
        config["txt_ids_dims"] = []  # needed since 0.4, unknown before
    model_config = lab.comfy.supported_models.Flux(config)
    model_config.unet_config = config
    model_config.set_inference_dtype(torch.float32, None)
    base = model_config.get_model({}, "", device=lab.CPU)
    return lab.comfy.model_patcher.ModelPatcher(base, lab.CPU, lab.CPU)


def without_mid_block(lab):
    """KOALA-700M and SD-XS are built like this."""
    model = lab.tiny("sdxl", transformer_depth_middle=-2)
    assert lab.unet_of(model).middle_block is None
    return model


def foreign(lab):
    """A loader of another pack that puts something else in the U-Net's place."""
    model = lab.tiny("sd15")
    model.model.diffusion_model = torch.nn.Linear(2, 2)
    return model


MODELS = {"Flux": flux, "UNetModel": without_mid_block, "Linear": foreign}


@pytest.mark.parametrize("strength", [0.0, 1.0])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("dial", DIALS)
def test_model_without_a_mid_block_is_refused_by_name(lab, dial, kind, strength):
    own = {"strength": strength} if dial == "DetourMidBlockBypass" else {"strengths": "0, 1"}
    with pytest.raises(ValueError, match=re.escape(REFUSAL)) as refusal:
        lab.run_node(dial, model=MODELS[kind](lab), **own)
    assert kind in str(refusal.value)


BAD = {
    "strength_nan": ({"strength": math.nan}, "strength is nan; it must be a number from -1 to 1."),
    "strength_inf": ({"strength": math.inf}, "strength is inf; it must be"),
    "strength_minus_inf": ({"strength": -math.inf}, "strength is -inf; it must be"),
    "strength_2": ({"strength": 2.0}, "strength is 2.0; it must be a number from -1 to 1."),
    "strength_-1.01": ({"strength": -1.01}, "strength is -1.01; it must be"),
    "start_nan": ({"start_percent": math.nan}, "start_percent is nan; it must be"),
    "start_below_0": ({"start_percent": -0.1}, "start_percent is -0.1; it must be"),
    "end_above_1": ({"end_percent": 1.5}, "end_percent is 1.5; it must be"),
    "start_is_end": (
        {"start_percent": 0.4, "end_percent": 0.4},
        "start_percent (0.4) must be smaller than end_percent (0.4)",
    ),
    "start_after_end": (
        {"start_percent": 0.5, "end_percent": 0.1},
        "start_percent (0.5) must be smaller than end_percent (0.1)",
    ),
    "shape": ({"shape": "zigzag"}, "shape is 'zigzag'; it must be one of: constant, ramp_up"),
    "apply_to": ({"apply_to": "all"}, "apply_to is 'all'; it must be one of: both, cond, uncond."),
    "schedule_by": ({"schedule_by": "time"}, "schedule_by is 'time'; it must be one of: sigma"),
    "points_word": ({"shape": "curve", "points": "0:1, high"}, "Cannot read the point 'high'"),
    "points_half": ({"shape": "curve", "points": "0:1, 0.5:"}, "Cannot read the point '0.5:'"),
    "points_two_colons": ({"shape": "curve", "points": "0:1:2"}, "Cannot read the point '0:1:2'"),
    "points_nan": ({"shape": "curve", "points": "0:nan"}, "value v of a point is nan; it must be"),
    "points_u_2": ({"shape": "curve", "points": "2:1"}, "place u of a point is 2.0; it must be"),
    "points_v_2": ({"shape": "curve", "points": "0:2"}, "value v of a point is 2.0; it must be"),
    "points_back": ({"shape": "curve", "points": "0.5:1, 0.2:0"}, "must go up from left to right"),
    "points_none": ({"shape": "curve", "points": " , "}, "The shape 'curve' needs points"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_value_is_one_sentence(lab, case):
    inputs, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)) as refusal:
        lab.bypass(lab.tiny("sd15", **lab.SMALL), **inputs)
    text = str(refusal.value)
    assert "\n" not in text
    assert text.endswith(".")


@pytest.mark.parametrize("case", [case for case in BAD if case != "apply_to"])
def test_plot_refuses_the_same_values(lab, case):
    inputs, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        lab.run_node("DetourPlotSchedule", **inputs)


def test_points_count_only_for_the_curve(lab):
    model = lab.tiny("sd15", **lab.SMALL)
    odd = lab.sample(lab.bypass(model, 0.5, points="nonsense"))
    assert torch.equal(odd, lab.sample(lab.bypass(model, 0.5)))


STRENGTHS = {
    "": "strengths is empty",
    " , ,": "strengths is empty",
    "0, half, 1": "Cannot read the strength 'half'",
    "0 0.5": "Cannot read the strength '0 0.5'",
    "0, 1.5": "strength is 1.5; it must be a number from -1 to 1.",
    "0, nan": "strength is nan; it must be",
    "inf": "strength is inf; it must be",
}


@pytest.mark.parametrize("strengths", STRENGTHS)
def test_bad_strengths_make_no_sweep(lab, strengths):
    with pytest.raises(ValueError, match=re.escape(STRENGTHS[strengths])) as refusal:
        lab.run_node("DetourBypassSweep", model=lab.tiny("sd15", **lab.SMALL), strengths=strengths)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("prompt", ["ten", "doctor", "nurse builder", "1"])
def test_an_unknown_word_names_the_known_ones(lab, prompt):
    with pytest.raises(ValueError, match=f"does not know the prompt '{prompt}'") as refusal:
        lab.run_node("DetourDemoModel", prompt=prompt)
    assert "nurse, builder, gardener, firefighter" in str(refusal.value)


def test_unknown_variant_is_refused(lab):
    with pytest.raises(ValueError, match="variant is 'twin'; it must be one of: demo, mirror"):
        lab.run_node("DetourDemoModel", variant="twin")


def test_missing_weights_say_what_to_do(lab, monkeypatch, tmp_path):
    tiny = lab.pack("demo.tiny")
    monkeypatch.setattr(tiny, "weights_file", lambda variant: tmp_path / f"{variant}.safetensors")
    with pytest.raises(FileNotFoundError, match=r"mirror\.safetensors.*install Detour again"):
        lab.run_node("DetourDemoModel", variant="mirror")
