"""Strength 1: the mid-block is the identity, is not run, and nothing around it is disturbed."""

from __future__ import annotations

import pytest
import torch

SHAPES = ("sd15", "sd2", "sdxl", "refiner", "svd", "demo")
FREE_U = ("FreeU", "FreeU_V2")


@pytest.fixture
def net_class(lab):
    """A stand-in ControlNet whose only output is a residual for the mid-block."""
    from comfy.controlnet import ControlBase

    class MiddleNet(ControlBase):
        def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
            return {"input": [], "middle": [residual(lab, x_noisy.shape[0])], "output": []}

    return MiddleNet


def residual(lab, rows: int) -> torch.Tensor:
    """What a ControlNet adds after the mid-block of the sd15 model at 8x8."""
    return lab.randn(1, 64, 4, 4, seed=40).expand(rows, -1, -1, -1)


def free_u(lab, name: str, model):
    """The MODEL with the host's FreeU."""
    return lab.extra_node("nodes_freelunch", name)().patch(model, 1.3, 1.4, 0.9, 0.2)[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_run_equals_an_identity_mid_block(lab, shape):
    """Of which no module runs; computed all the same, it makes the same picture."""
    model = lab.build(shape)
    with lab.watching(lab.bypass(model)) as skipping:
        got = lab.sample(skipping.model)
    assert [call.modules_run for call in skipping.calls] == [0] * 4
    with lab.watching(lab.bypass(model, skip_compute=False)) as computing:
        assert torch.equal(lab.sample(computing.model), got)
    assert [call.modules_run > 10 for call in computing.calls] == [True] * 4
    with lab.by_hand(model, None):
        assert torch.equal(got, lab.sample(model))
    plain = lab.sample(model)
    assert plain.isfinite().all() and not torch.equal(got, plain)
    unreached = lab.bypass(model, start_percent=0.4, end_percent=0.6)
    assert torch.equal(lab.sample(unreached), plain)


def test_controlnet_residual_does_not_reach_the_skip_connection(lab):
    model = lab.tiny("sd15")
    x, sigmas = lab.latent(model), [5.0, 5.0]
    patched = lab.bypass(model)
    got = lab.call(patched, x, sigmas, control={"middle": [residual(lab, 2)]})
    with lab.by_hand(model, None):
        wanted = lab.call(model, x, sigmas, control={"middle": [residual(lab, 2)]})
    assert torch.equal(got, wanted)
    assert not torch.equal(got, lab.call(patched, x, sigmas))


@pytest.mark.parametrize("strength", [1.0, 0.5, -0.5])
def test_controlnet_residual_is_never_faded(lab, strength, net_class):
    """The residual is added after the blend, in a whole run with guidance."""
    model = lab.tiny("sd15")
    positive = lab.conditioning(model, 10, control=net_class(), control_apply_to_uncond=True)
    got = lab.sample(lab.bypass(model, strength), positive=positive)
    with lab.by_hand(model, None if strength == 1.0 else lab.lerp(strength)):
        wanted = lab.sample(model, positive=positive)
    assert torch.equal(got, wanted)
    assert not torch.equal(got, lab.sample(lab.bypass(model, strength)))


@pytest.mark.parametrize("first", ["dial", "freeu"])
@pytest.mark.parametrize("name", FREE_U)
def test_freeu_works_after_the_bypass(lab, name, first):
    model = lab.tiny("sd15")
    if first == "dial":
        got = lab.sample(free_u(lab, name, lab.bypass(model)))
    else:
        got = lab.sample(lab.bypass(free_u(lab, name, model)))
    with lab.by_hand(model, None):
        assert torch.equal(got, lab.sample(free_u(lab, name, model)))
    assert not torch.equal(got, lab.sample(lab.bypass(model)))


@pytest.mark.parametrize("name", FREE_U)
def test_freeu_and_controlnet_together(lab, name, net_class):
    model = lab.tiny("sd15")
    positive = lab.conditioning(model, 10, control=net_class(), control_apply_to_uncond=True)
    got = lab.sample(free_u(lab, name, lab.bypass(model)), positive=positive)
    with lab.by_hand(model, None):
        assert torch.equal(got, lab.sample(free_u(lab, name, model), positive=positive))


def indices(lab, model) -> dict:
    """For each block outside the mid-block the transformer indices that its patches see."""
    seen: dict = {}

    def note(n, context, value, options):
        if options["block"][0] != "middle":
            seen.setdefault(options["block"], []).append(options["transformer_index"])
        return n, context, value

    clone = model.clone()
    clone.set_model_attn2_patch(note)
    lab.sample(clone, steps=1, cfg=1.0)
    return seen


@pytest.mark.parametrize(
    ("shape", "strengths"),
    [
        *(("sd15", strengths) for strengths in [(1.0,), (0.5,), (1.0, 0.5), (0.5, 1.0)]),
        *((shape, (1.0,)) for shape in ("sdxl", "refiner", "svd")),
    ],
)
def test_transformer_index_keeps_counting(lab, shape, strengths):
    """GLIGEN picks its layers by this index."""
    model = lab.tiny(shape)
    patched = model
    for strength in strengths:
        patched = lab.bypass(patched, strength)
    wanted = indices(lab, model)
    assert any(block[0] == "output" for block in wanted)
    assert indices(lab, patched) == wanted


def test_a_mid_block_of_one_res_block_is_bypassed_with_a_warning(lab, caplog):
    """SSD-1B and Segmind-Vega are built like this."""
    model = lab.tiny("sdxl", transformer_depth_middle=-1)
    patched = lab.bypass(model)
    assert "no attention" in caplog.text
    got = lab.sample(patched)
    with lab.by_hand(model, None):
        assert torch.equal(got, lab.sample(model))
