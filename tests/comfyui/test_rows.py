"""Rows of one batch with different bypasses: the halves of guidance, and different sigmas."""

from __future__ import annotations

import pytest
import torch

HALVES = {"cond": 0, "uncond": 1}


@pytest.fixture(params=["batched", "split_by_shape", "split_by_memory"])
def evaluation(lab, request, monkeypatch):
    """A model and the arguments of a run whose halves go together or one after the other."""
    model = lab.tiny("small")
    if request.param == "split_by_memory":
        monkeypatch.setattr(model.model, "memory_required", lambda *_, **__: 1e15)
    tokens = 77 if request.param == "split_by_shape" else 5
    arguments = {"negative": lab.conditioning(model, 20, tokens=tokens)}
    return model, arguments, 4 if request.param == "batched" else 8


@pytest.mark.parametrize(
    ("apply_to", "strength"), [("cond", 0.4), ("uncond", -0.4), ("uncond", 1.0)]
)
def test_only_that_half_is_bypassed(lab, evaluation, apply_to, strength):
    model, arguments, calls = evaluation
    with lab.watching(lab.bypass(model, strength, apply_to=apply_to)) as watch:
        got = lab.sample(watch.model, **arguments)
    assert len(watch.calls) == calls
    with lab.by_hand(model, lab.lerp_half(strength, HALVES[apply_to])):
        assert torch.equal(got, lab.sample(model, **arguments))
    assert not torch.equal(got, lab.sample(model, **arguments))
    assert not torch.equal(got, lab.sample(lab.bypass(model, strength), **arguments))


@pytest.mark.parametrize("apply_to", HALVES)
def test_a_split_half_at_strength_1_is_not_computed(lab, evaluation, apply_to):
    model, arguments, _ = evaluation
    with lab.watching(lab.bypass(model, apply_to=apply_to)) as watch:
        lab.sample(watch.model, **arguments)
    wanted = [call.cond_or_uncond == [HALVES[apply_to]] for call in watch.calls]
    assert watch.skipped == wanted


def test_without_guidance_cond_is_both_and_uncond_is_nothing(lab):
    model = lab.tiny("small")
    both = lab.sample(lab.bypass(model, 0.5), cfg=1.0)
    assert torch.equal(lab.sample(lab.bypass(model, 0.5, apply_to="cond"), cfg=1.0), both)
    uncond = lab.sample(lab.bypass(model, 0.5, apply_to="uncond"), cfg=1.0)
    assert torch.equal(uncond, lab.sample(model, cfg=1.0))


def test_several_prompts_in_one_batch_all_belong_to_the_prompt(lab):
    model = lab.tiny("small")
    positive = lab.conditioning(model, 10) + lab.conditioning(model, 11)
    patched = lab.bypass(model, 0.5, apply_to="cond")
    with lab.watching(patched) as watch:
        got = lab.sample(watch.model, positive=positive)
    assert sorted(watch.calls[0].cond_or_uncond) == [0, 0, 1]
    with lab.by_hand(model, lab.lerp_half(0.5, 0)):
        assert torch.equal(got, lab.sample(model, positive=positive))


def test_options_are_found_where_another_wrapper_puts_them(lab):
    """A wrapper of another pack may turn the options into a keyword."""
    model = lab.tiny("small")

    def by_keyword(executor, x, t, concat, context, control, options, **named):
        return executor(x, t, concat, context, control, transformer_options=options, **named)

    clone = model.clone()
    clone.add_wrapper_with_key(lab.WrappersMP.APPLY_MODEL, "first", by_keyword)
    got = lab.sample(lab.bypass(clone, 0.5, apply_to="cond", schedule_by="step"))
    with lab.by_hand(model, lab.lerp_half(0.5, 0)):
        assert torch.equal(got, lab.sample(model))


@pytest.mark.parametrize("apply_to", HALVES)
def test_regional_prompts_of_several_sizes(lab, apply_to):
    """Areas of one size go together, each with a negative prompt of its own."""
    model = lab.tiny("small")
    positive = (
        lab.conditioning(model, 10)
        + lab.conditioning(model, 11, area=(4, 8, 0, 0))
        + lab.conditioning(model, 12, area=(4, 8, 4, 0))
    )
    with lab.watching(lab.bypass(model, 0.5, apply_to=apply_to)) as watch:
        got = lab.sample(watch.model, positive=positive)
    assert len({len(call.sigmas) for call in watch.calls}) == 2
    with lab.by_hand(model, lab.lerp_half(0.5, HALVES[apply_to])):
        assert torch.equal(got, lab.sample(model, positive=positive))


@pytest.mark.parametrize("chunks", [(), (0, 1, 0)])
def test_rows_that_cannot_be_told_are_refused(lab, chunks):
    model = lab.tiny("small")
    patched = lab.bypass(model, 0.5, apply_to="cond")
    with pytest.raises(ValueError, match="use apply_to = both"):
        lab.call(patched, lab.latent(model), [3.0, 3.0], cond_or_uncond=chunks)


def sigma_at(model, progress: float) -> float:
    """The entry of the model's own table nearest to a progress."""
    table = model.model.model_sampling.sigmas
    return float(table[round((1.0 - progress) * (len(table) - 1))])


@pytest.mark.parametrize("shape", ["sd15", "sdxl", "demo"])
def test_rows_with_different_sigmas(lab, shape):
    """Rows inside the window are blended, the others keep every bit, one at 1 is the identity."""
    model = lab.build(shape)
    points = "0:1, 0.3:1, 0.3:0.5, 0.6:0.5, 0.6:-0.5, 1:-0.5"
    patched = lab.bypass(model, shape="curve", points=points, end_percent=0.8)
    sigmas = [sigma_at(model, place) for place in (0.1, 0.4, 0.7, 0.9)]
    lams = [1.0, 0.5, -0.5, 0.0]
    x = lab.latent(model, batch=4) * torch.tensor(sigmas).view(-1, 1, 1, 1)
    width = model.model.adm_channels
    extra = {"y": lab.randn(4, width, seed=50)} if width else {}
    got = lab.call(patched, x, sigmas, **extra)
    plain = lab.call(model, x, sigmas, **extra)
    with lab.by_hand(model, lab.lerp_rows(lams)):
        assert torch.equal(got, lab.call(model, x, sigmas, **extra))
    with lab.by_hand(model, None):
        assert torch.equal(got[0], lab.call(model, x, sigmas, **extra)[0])
    assert torch.equal(got[3], plain[3])
    assert not torch.equal(got[:3], plain[:3])


def test_a_full_row_sees_nothing_of_the_mid_block(lab):
    """Among mixed rows it is computed for all, but infinities in it do not get out."""
    model = lab.tiny("small")
    patched = lab.bypass(model, end_percent=0.5)
    x, sigmas = lab.latent(model), [4.0, 0.3]
    whole = lab.call(patched, x, sigmas)

    def poison(_module, _given, out):
        return torch.cat([torch.full_like(out[:1], torch.inf), out[1:]])

    handle = lab.unet_of(model).middle_block[-1].register_forward_hook(poison)
    try:
        assert torch.equal(lab.call(patched, x, sigmas), whole)
        assert not lab.call(model, x, sigmas)[0].isfinite().all()
    finally:
        handle.remove()


def test_rows_with_different_sigmas_equal_runs_of_their_own(lab):
    model = lab.tiny("small")
    patched = lab.bypass(model, shape="ramp_down", end_percent=0.8)
    sigmas = [sigma_at(model, place) for place in (0.0, 0.3, 0.6, 0.9)]
    x, context = lab.latent(model, batch=4), lab.randn(4, 5, 16, seed=30)
    together = lab.call(patched, x, sigmas, context=context)
    for row, sigma in enumerate(sigmas):
        only = slice(row, row + 1)
        alone = lab.call(patched, x[only], [sigma], context=context[only])
        torch.testing.assert_close(together[only], alone, rtol=1e-4, atol=1e-3)
