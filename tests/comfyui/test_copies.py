"""Several dials on one model, branches of one graph, and patches of the mid-block's weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

WEIGHT = "diffusion_model.middle_block.0.in_layers.2.weight"


@pytest.mark.parametrize(
    "strengths",
    [(0.3, 0.5), (0.5, -0.4), (0.0, 0.4), (0.4, 0.0), (0.4, 1.0), (1.0, 0.5, 0.25)],
)
def test_stacked_dials_blend_one_after_the_other(lab, strengths):
    model = lab.tiny("small")
    patched = model
    for strength in strengths:
        patched = lab.bypass(patched, strength)
    got = lab.sample(patched)
    with lab.by_hand(model, lab.lerp(*strengths)):
        assert torch.equal(got, lab.sample(model))


@pytest.mark.parametrize("shape", ["sd15", "svd", "demo"])
def test_two_dials_act_as_one_of_their_product(lab, shape):
    """Effective bypass: 1 - (1 - a)(1 - b)."""
    model = lab.build(shape)
    two = lab.sample(lab.bypass(lab.bypass(model, 0.3), 0.5), steps=2)
    one = lab.sample(lab.bypass(model, 1 - 0.7 * 0.5), steps=2)
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-2)
    assert not torch.allclose(two, lab.sample(lab.bypass(model, 0.5), steps=2), rtol=1e-2)


def test_two_dials_with_windows_of_their_own(lab):
    model = lab.tiny("small")
    two = lab.bypass(lab.bypass(model, 0.6, end_percent=0.5), -0.3, start_percent=0.5)
    got = lab.sample(two)
    with lab.by_hand(model, lab.lerp_each([0.6, 0.6, -0.3, -0.3])):
        assert torch.equal(got, lab.sample(model))


def test_the_given_model_is_not_touched(lab):
    model = lab.tiny("small")
    before = (repr(model.model_options), repr(model.wrappers), dict(model.object_patches))
    lab.sample(lab.bypass(model))
    assert (repr(model.model_options), repr(model.wrappers), dict(model.object_patches)) == before
    assert not any(model.wrappers.values())


def test_branches_of_one_graph_interleaved_call_by_call(lab):
    model = lab.tiny("small")
    branches = [model, lab.bypass(model), lab.bypass(model, 0.5), model.clone()]
    x = lab.latent(model)
    alone = [lab.call(branch, x, [4.0, 4.0]) for branch in branches]
    for _ in range(2):
        for branch, wanted in zip(branches, alone, strict=True):
            assert torch.equal(lab.call(branch, x, [4.0, 4.0]), wanted)
    assert torch.equal(alone[0], alone[3])


def test_a_run_of_one_branch_inside_a_call_of_the_other(lab):
    """A wrapper may sample with the plain model while the patched one is under way."""
    model = lab.tiny("small")
    x = lab.latent(model)
    plain = lab.call(model, x, [4.0, 4.0])
    inner = []

    def nested(executor, *given, **named):
        inner.append(lab.call(model, x, [4.0, 4.0]))
        return executor(*given, **named)

    patched = model.clone()
    patched.add_wrapper_with_key(lab.WrappersMP.APPLY_MODEL, "first", nested)
    patched = lab.bypass(patched)
    got = lab.call(patched, x, [4.0, 4.0])
    assert torch.equal(inner[0], plain)
    assert torch.equal(got, lab.call(lab.bypass(model), x, [4.0, 4.0]))


def test_a_clone_of_the_patched_model_is_patched_once(lab):
    model = lab.tiny("small")
    patched = lab.bypass(model, 0.5)
    assert torch.equal(lab.sample(patched.clone().clone()), lab.sample(patched))


def with_lora(lab, model):
    """The MODEL with a patch of a weight of the mid-block, as LoRA loaders add it."""
    clone = model.clone()
    size = model.model.state_dict()[WEIGHT].shape
    assert clone.add_patches({WEIGHT: (lab.randn(*size, seed=60) * 0.1,)}, 1.0) == [WEIGHT]
    return clone


ORDERS: dict[str, Callable] = {
    "lora_first": lambda lab, model: lab.bypass(with_lora(lab, model), 0.5),
    "dial_first": lambda lab, model: with_lora(lab, lab.bypass(model, 0.5)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_lora_on_the_mid_block(lab, order):
    model = lab.tiny("small")
    plain = lab.sample(model)
    got = lab.sample(ORDERS[order](lab, model))
    with lab.by_hand(model, lab.lerp(0.5)):
        assert torch.equal(got, lab.sample(with_lora(lab, model)))
        assert not torch.equal(got, lab.sample(model))
    assert torch.equal(lab.sample(model), plain)
