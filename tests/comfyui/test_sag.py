"""Self-Attention Guidance records attention inside the mid-block, so that has to run."""

from __future__ import annotations

import pytest
import torch


def with_sag(lab, model):
    """The MODEL with the host's Self-Attention Guidance."""
    sag = lab.extra_node("nodes_sag", "SelfAttentionGuidance")
    return sag.execute(model=model, scale=0.5, blur_sigma=2.0).result[0]


def drop(_out: torch.Tensor, h: torch.Tensor, _options: dict) -> torch.Tensor:
    """The mid-block is computed and its result dropped."""
    return h


@pytest.mark.parametrize("order", ["dial_first", "sag_first"])
@pytest.mark.parametrize("skip_compute", [True, False])
def test_sag_works_at_strength_1_from_the_first_step(lab, skip_compute, order):
    model = lab.tiny("small")
    if order == "dial_first":
        both = with_sag(lab, lab.bypass(model, skip_compute=skip_compute))
    else:
        both = lab.bypass(with_sag(lab, model), skip_compute=skip_compute)
    with lab.watching(both) as watch:
        got = lab.sample(watch.model)
    assert not any(watch.skipped)
    with lab.by_hand(model, drop):
        assert torch.equal(got, lab.sample(with_sag(lab, model)))
    assert not torch.equal(got, lab.sample(lab.bypass(model)))


def test_attention_replaced_elsewhere_does_not_stop_the_skipping(lab):
    """Only what replaces attention inside the mid-block needs it to run."""
    from comfy.ldm.modules.attention import optimized_attention

    def replacement(q, k, v, options):
        return optimized_attention(q, k, v, heads=options["n_heads"])

    model = lab.tiny("small")
    patched = lab.bypass(model)
    patched.set_model_attn1_replace(replacement, "output", 0)
    with lab.watching(patched) as watch:
        got = lab.sample(watch.model)
    assert all(watch.skipped)
    assert torch.equal(got, lab.sample(lab.bypass(model)))
