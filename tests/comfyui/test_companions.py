"""Beside the host's other patches of the same place: Perturbed-Attention Guidance, Deep Shrink."""

from __future__ import annotations

import pytest
import torch
from graph_parts import with_pag


def with_deep_shrink(lab, model):
    """The MODEL with Kohya's Deep Shrink in front of the mid-block, for the first half."""
    shrink = lab.extra_node("nodes_model_downscale", "PatchModelAddDownscale")
    return shrink.execute(
        model=model,
        block_number=3,
        downscale_factor=2.0,
        start_percent=0.0,
        end_percent=0.5,
        downscale_after_skip=True,
        downscale_method="bicubic",
        upscale_method="bicubic",
    ).result[0]


@pytest.mark.parametrize("order", ["dial_first", "pag_first"])
@pytest.mark.parametrize("strength", [0.5, -0.5])
def test_perturbed_attention_guidance(lab, strength, order):
    model = lab.tiny("small")
    if order == "dial_first":
        got = lab.sample(with_pag(lab.bypass(model, strength)))
    else:
        got = lab.sample(lab.bypass(with_pag(model), strength))
    with lab.by_hand(model, lab.lerp(strength)):
        assert torch.equal(got, lab.sample(with_pag(model)))
    assert not torch.equal(got, lab.sample(lab.bypass(model, strength)))


def test_perturbed_attention_guidance_is_zero_at_strength_1(lab):
    """What it perturbs is bypassed, in both of its passes."""
    model = lab.tiny("small")
    got = lab.sample(with_pag(lab.bypass(model)), cfg=1.0)
    assert torch.equal(got, lab.sample(lab.bypass(model), cfg=1.0))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_deep_shrink(lab, strength):
    """The mid-block's input is smaller than the last skip connection."""
    model = lab.tiny("sd15")
    got = lab.sample(with_deep_shrink(lab, lab.bypass(model, strength)))
    with lab.by_hand(model, None if strength == 1.0 else lab.lerp(strength)):
        assert torch.equal(got, lab.sample(with_deep_shrink(lab, model)))
    assert not torch.equal(got, lab.sample(lab.bypass(model, strength)))
