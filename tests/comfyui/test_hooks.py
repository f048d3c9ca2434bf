"""Conditioning hooks of the host, carrying the bypass or standing beside it."""

from __future__ import annotations

import pytest
import torch


def hook_group(lab, model, scope: str):
    """A hook for conditionings that carries the wrappers of a MODEL."""
    import comfy.hooks

    carried = {
        kind: {key: list(functions) for key, functions in by_key.items()}
        for kind, by_key in model.wrappers.items()
    }
    group = comfy.hooks.HookGroup()
    group.add(
        comfy.hooks.TransformerOptionsHook(
            {"wrappers": carried}, getattr(comfy.hooks.EnumHookScope, scope)
        )
    )
    return group


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_hook_for_all_conditionings_is_the_dial(lab, strength):
    model = lab.tiny("sd15")
    hooks = hook_group(lab, lab.bypass(model, strength), "AllConditioning")
    hooked = {
        "positive": lab.conditioning(model, 10, hooks=hooks),
        "negative": lab.conditioning(model, 20, hooks=hooks),
    }
    got = lab.sample(model, **hooked)
    with lab.by_hand(model, lab.lerp(strength)):
        assert torch.equal(got, lab.sample(model))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_hook_for_one_conditioning_bypasses_that_one(lab, strength):
    model = lab.tiny("sd15")
    hooks = hook_group(lab, lab.bypass(model, strength), "HookedOnly")
    positive = lab.conditioning(model, 10, hooks=hooks)
    with lab.watching(model) as watch:
        got = lab.sample(watch.model, positive=positive)
    assert len(watch.calls) == 8, "the host runs hooked conditionings on their own"
    split = lora_hook(lab, 0.0)  # changes nothing, but makes the host split in the same way
    with lab.by_hand(model, lab.lerp_half(strength, 0)):
        wanted = lab.sample(model, positive=lab.conditioning(model, 10, hooks=split))
    assert torch.equal(got, wanted)


def lora_hook(lab, strength: float):
    """A hook that patches weights of the mid-block for one conditioning."""
    import comfy.hooks

    name = "diffusion_model.middle_block.0.in_layers.2"
    lora = {
        f"{name}.lora_up.weight": lab.randn(64, 4, 1, 1, seed=61) * 0.2,
        f"{name}.lora_down.weight": lab.randn(4, 64, 3, 3, seed=62) * 0.2,
    }
    return comfy.hooks.create_hook_lora(lora, strength, 0.0)


@pytest.mark.parametrize("strength", [0.5, 1.0, -0.5])
def test_dial_beside_a_weight_hook(lab, strength):
    """Each call is blended once, with the hooked weights where the hook says so."""
    model = lab.tiny("sd15")
    plain = lab.sample(model)
    positive = lab.conditioning(model, 10, hooks=lora_hook(lab, 1.0))
    with lab.watching(lab.bypass(model, strength)) as watch:
        got = lab.sample(watch.model, positive=positive)
    assert len(watch.calls) == 8
    with lab.by_hand(model, None if strength == 1.0 else lab.lerp(strength)):
        assert torch.equal(got, lab.sample(model, positive=positive))
    assert torch.equal(lab.sample(model), plain)
