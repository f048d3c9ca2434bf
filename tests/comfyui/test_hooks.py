"""Conditioning hooks of the host, carrying the bypass or standing beside it."""

from __future__ import annotations

import pytest
import torch
from graph_parts import hook_group, lora_hook


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_hook_for_all_conditionings_is_the_dial(lab, strength):
    model = lab.tiny("small")
    hooks = hook_group(lab.bypass(model, strength), "AllConditioning")
    hooked = {
        "positive": lab.conditioning(model, 10, hooks=hooks),
        "negative": lab.conditioning(model, 20, hooks=hooks),
    }
    got = lab.sample(model, **hooked)
    with lab.by_hand(model, lab.lerp(strength)):
        assert torch.equal(got, lab.sample(model))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_hook_for_one_conditioning_bypasses_that_one(lab, strength):
    model = lab.tiny("small")
    hooks = hook_group(lab.bypass(model, strength), "HookedOnly")
    positive = lab.conditioning(model, 10, hooks=hooks)
    with lab.watching(model) as watch:
        got = lab.sample(watch.model, positive=positive)
    assert len(watch.calls) == 8, "the host runs hooked conditionings on their own"
    split = lora_hook(0.0)  # changes nothing, but makes the host split in the same way
    with lab.by_hand(model, lab.lerp_half(strength, 0)):
        wanted = lab.sample(model, positive=lab.conditioning(model, 10, hooks=split))
    assert torch.equal(got, wanted)


@pytest.mark.parametrize("strength", [0.5, 1.0, -0.5])
def test_dial_beside_a_weight_hook(lab, strength):
    """Each call is blended once, with the hooked weights where the hook says so."""
    model = lab.tiny("small")
    plain = lab.sample(model)
    positive = lab.conditioning(model, 10, hooks=lora_hook(1.0))
    with lab.watching(lab.bypass(model, strength)) as watch:
        got = lab.sample(watch.model, positive=positive)
    assert len(watch.calls) == 8
    with lab.by_hand(model, None if strength == 1.0 else lab.lerp(strength)):
        assert torch.equal(got, lab.sample(model, positive=positive))
    assert torch.equal(lab.sample(model), plain)
