"""Bad input: one sentence on the node that says what to do, and nothing half done."""

from __future__ import annotations

import math
import re

import pytest
import torch

DIALS = ("DetourMidBlockBypass", "DetourBypassSweep")


def without_mid_block(lab):
    """KOALA-700M and SD-XS are built like this."""
    model = lab.tiny("sdxl", transformer_depth_middle=-2)
    assert lab.unet_of(model).middle_block is None
    return model


def hunyuan_video(lab):
    """Its lists are called as those of Flux, but it joins its streams the other way round."""
    from comfy.ldm.flux.layers import DoubleStreamBlock, SingleStreamBlock

    settings = {"mlp_ratio": 1.0, "operations": lab.comfy.ops.disable_weight_init}
    whole = type("HunyuanVideo", (torch.nn.Module,), {})()
    whole.txt_in = torch.nn.Module()  # a refiner there, a layer in Flux
    whole.double_blocks = torch.nn.ModuleList([DoubleStreamBlock(8, 2, **settings)])
    whole.single_blocks = torch.nn.ModuleList([SingleStreamBlock(8, 2, **settings)])
    return in_the_place_of_a_unet(lab, whole)


def ltx(lab):
    """A list that has the name of Qwen-Image's, with other blocks in it."""
    from comfy.ldm.lightricks.model import BasicTransformerBlock

    block = BasicTransformerBlock(8, 1, 8, operations=lab.comfy.ops.disable_weight_init)
    whole = type("LTXVModel", (torch.nn.Module,), {})()
    whole.transformer_blocks = torch.nn.ModuleList([block])
    return in_the_place_of_a_unet(lab, whole)


def foreign(lab):
    """A loader of another pack that puts something else in the U-Net's place."""
    return in_the_place_of_a_unet(lab, torch.nn.Linear(2, 2))


def in_the_place_of_a_unet(lab, whole):
    model = lab.tiny("small")
    model.model.diffusion_model = whole
    return model


MODELS = {
    "UNetModel": (
        without_mid_block,
        "neither a mid-block nor a list of blocks called layers or transformer_blocks or "
        "double_blocks or single_blocks or joint_blocks or blocks or single_transformer_blocks;",
    ),
    "Linear": (foreign, "neither a mid-block nor a list of blocks called layers or"),
    "HunyuanVideo": (
        hunyuan_video,
        "its double_blocks take (img, txt, vec, pe) and its single_blocks take (x, vec, pe, "
        "attn_mask), and no known family is like that;",
    ),
    "LTXVModel": (ltx, "its transformer_blocks take (x, context, attention_mask, timestep), and"),
}


@pytest.mark.parametrize("strength", [0.0, 1.0])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("dial", DIALS)
def test_what_cannot_be_bypassed_is_refused_by_name(lab, dial, kind, strength):
    own = {"strength": strength} if dial == "DetourMidBlockBypass" else {"strengths": "0, 1"}
    make, has = MODELS[kind]
    with pytest.raises(ValueError, match=re.escape(has)) as refusal:
        lab.run_node(dial, model=make(lab), **own)
    text = str(refusal.value)
    assert text.startswith(f"{kind} cannot be bypassed: ")
    assert text.endswith(
        "add a row to FAMILIES in detour/ways/targets.py with its list and what "
        "its blocks take and give."
    )


BLOCKS = {
    "2-1": "blocks is 2-1, which is reversed; Flux has 6 blocks, 0 to 5.",
    "3-6": "blocks is 3-6; Flux has 6 blocks, 0 to 5.",
    "9": "blocks is 9; Flux has 6 blocks, 0 to 5.",
    "0-5": "blocks is 0-5, which are all of them: Flux has 6 blocks, and some have to stay",
    "middle": "blocks is 'middle'; it must be auto, a block such as 8, or a range such as 8-15.",
    "": "blocks is ''; it must be auto",
    "1-2-3": "blocks is '1-2-3'; it must be auto",
}


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("dial", DIALS)
def test_a_range_that_the_model_has_not_is_refused_by_name(lab, ranges, dial, blocks):
    with pytest.raises(ValueError, match=re.escape(BLOCKS[blocks])) as refusal:
        lab.run_node(dial, model=ranges.build("flux"), blocks=blocks)
    assert "\n" not in str(refusal.value)


def test_a_unet_has_no_numbered_blocks(lab):
    said = "blocks is 1-2, and UNetModel is a U-Net, which has 1 mid-block and no numbered blocks"
    with pytest.raises(ValueError, match=said):
        lab.bypass(lab.tiny("small"), blocks="1-2")


def test_too_few_blocks_for_a_middle(lab, transformers):
    with pytest.raises(ValueError, match="which are all of them: NextDiT has 1 block"):
        lab.bypass(transformers.build("lumina"), blocks="auto")


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
        lab.bypass(lab.tiny("small"), **inputs)
    text = str(refusal.value)
    assert "\n" not in text
    assert text.endswith(".")


@pytest.mark.parametrize("case", [case for case in BAD if case != "apply_to"])
def test_plot_refuses_the_same_values(lab, case):
    inputs, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        lab.run_node("DetourPlotSchedule", **inputs)


def test_points_count_only_for_the_curve(lab):
    model = lab.tiny("small")
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
        lab.run_node("DetourBypassSweep", model=lab.tiny("small"), strengths=strengths)
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
