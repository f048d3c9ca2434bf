"""The relief of guidance: its formula, the rows that it saves, and what it says."""

from __future__ import annotations

import logging

import pytest
import torch
from graph_parts import sample_custom

EARLY = {"end_percent": 0.6}


def falling(strength: float):
    """The lam of `ramp_down` over `EARLY`."""
    return lambda place: strength * (1 - place / 0.6) if place < 0.6 else 0.0


def constant(strength: float):
    """The lam of `constant` over `EARLY`."""
    return lambda place: strength if place < 0.6 else 0.0


# --- the formula -----------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m_sde"])
@pytest.mark.parametrize("strength", [1.0, 0.4, -0.5])
def test_the_scale_is_the_formulas_inside_the_window(lab, reliefs, strength, sampler):
    model = lab.tiny("small")
    got = reliefs.sampled(reliefs.guider(reliefs.relief(model, strength, **EARLY)), sampler=sampler)
    oracle = reliefs.by_hand(model, constant(strength))
    assert torch.equal(got, reliefs.sampled(oracle, sampler=sampler))
    assert set(oracle.scales) == {1 + 2 * (1 - strength), 3.0}, "in and out of the window"


def test_a_shape_gives_each_evaluation_a_scale_of_its_own(lab, reliefs):
    model = lab.tiny("small")
    got = reliefs.sampled(reliefs.guider(reliefs.relief(model, 0.8, shape="ramp_down", **EARLY)))
    oracle = reliefs.by_hand(model, falling(0.8))
    torch.testing.assert_close(got, reliefs.sampled(oracle), rtol=1e-5, atol=1e-5)
    assert len(set(oracle.scales)) == len(oracle.scales) == 3


def test_the_limits_are_the_plain_run_and_the_run_at_cfg_1(lab, reliefs):
    """Through KSampler; also at a scale below 1, and image to image by step."""
    model = lab.tiny("small")
    for cfg in (3.0, 7.1, 0.5):
        whole, none = reliefs.relief(model), reliefs.relief(model, 0.0)
        assert torch.equal(lab.sample(whole, cfg=cfg), lab.sample(model, cfg=1.0))
        assert torch.equal(lab.sample(none, cfg=cfg), lab.sample(model, cfg=cfg))
    late = {"denoise": 0.4, "start": lab.latent(model, seed=8)}
    by_step = reliefs.relief(model, end_percent=0.9, schedule_by="step")
    assert torch.equal(lab.sample(by_step, **late), lab.sample(model, cfg=1.0, **late))


def test_sampler_custom(lab, reliefs):
    model, samplers = lab.tiny("small"), lab.comfy.samplers
    given = {
        "sampler": samplers.sampler_object("euler"),
        "sigmas": samplers.calculate_sigmas(model.model.model_sampling, "normal", 3),
    }
    got = sample_custom(lab, reliefs.relief(model), **given)
    assert torch.equal(got, sample_custom(lab, model, cfg=1.0, **given))


# --- rows ------------------------------------------------------------------------------------


def one(lab, model):
    """A prompt and a negative prompt."""
    return {}


def parts(lab, model):
    """Two prompts against three negative ones, of which one is there early and one late."""
    early, late = {"end_percent": 0.2}, {"start_percent": 0.9}
    negative = lab.conditioning(model, 20, **early) + lab.conditioning(model, 21, **late)
    return {
        "positive": lab.conditioning(model, 10) + lab.conditioning(model, 11),
        "negative": negative + lab.conditioning(model, 22),
    }


def areas(lab, model):
    """Areas, each with a negative prompt of its own."""
    areas = ((4, 8, 0, 0), (4, 8, 4, 0))
    return {"positive": [lab.conditioning(model, 10 + i, area=a)[0] for i, a in enumerate(areas)]}


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("texts", [one, parts, areas])
def test_the_rows_that_are_told_are_those_that_did_not_come(
    lab, reliefs, texts, split, notices, monkeypatch
):
    model = lab.tiny("small")
    if split:
        monkeypatch.setattr(model.model, "memory_required", lambda *_, **__: 1e15)
    given = {"steps": 6, **texts(lab, model)}
    plain = reliefs.rows(model, lambda one: lab.sample(one, **given))
    relieved = reliefs.relief(model, end_percent=0.5, unique_id="7")
    computed = reliefs.rows(relieved, lambda one: lab.sample(one, **given))
    assert computed < plain
    saved = f"strength 1: relieved guidance in 3 of 6 evaluations; {plain - computed} of {plain}"
    assert notices == [("7", f"{saved} rows saved", False)]


def with_sag(lab, model):
    """Self-Attention Guidance."""
    sag = lab.extra_node("nodes_sag", "SelfAttentionGuidance")
    return sag.execute(model=model, scale=0.5, blur_sigma=2.0).result[0], "euler"


def as_it_is(lab, model):
    """A sampler that steps along the negative prompt."""
    return model, "euler_cfg_pp"


@pytest.mark.parametrize("asks", [with_sag, as_it_is])
def test_what_needs_the_negative_prompt_gets_it_and_nothing_is_saved(lab, reliefs, asks, notices):
    model, sampler = asks(lab, lab.tiny("small"))
    patched = reliefs.relief(model, unique_id="7", **EARLY)
    got = reliefs.sampled(reliefs.guider(patched), sampler=sampler)
    assert torch.equal(got, reliefs.sampled(reliefs.by_hand(model, constant(1.0)), sampler=sampler))
    assert not torch.equal(got, reliefs.sampled(reliefs.guider(model), sampler=sampler))
    ((_, text, missed),) = notices
    assert not missed and text.endswith(
        "2 of 3 evaluations; 0 rows saved, since something needs the negative prompt all the same"
    )


def test_a_patch_that_mixes_gets_the_relieved_scale(lab, reliefs):
    """RescaleCFG, and one that writes down what it is given."""
    rescale = lab.extra_node("nodes_model_advanced", "RescaleCFG")
    model = lab.tiny("small")
    (rescaled,) = rescale().patch(model, 0.7)
    got = reliefs.sampled(reliefs.guider(reliefs.relief(rescaled, 0.5, **EARLY)))
    assert torch.equal(got, reliefs.sampled(reliefs.by_hand(rescaled, constant(0.5))))
    scales = []
    noted = reliefs.relief(model, 0.5, **EARLY)

    def note(args):
        scales.append(args["cond_scale"])
        return args["denoised"]

    noted.set_model_sampler_post_cfg_function(note)
    reliefs.sampled(reliefs.guider(noted))
    assert scales == [2.0, 2.0, 3.0]


def with_apg(lab, model):
    """Adaptive Projected Guidance, which changes what is mixed."""
    node = lab.extra_node("nodes_apg", "APG")
    return node.execute(model=model, eta=1.0, norm_threshold=5.0, momentum=0.0).result[0]


def with_linear_cfg(lab, model):
    """A scale for each frame, 2.5 for the first one, which mixes."""
    return lab.extra_node("nodes_video_model", "VideoLinearCFGGuidance")().patch(model, 2.5)[0]


@pytest.mark.parametrize("mixes", [with_apg, with_linear_cfg])
def test_a_patch_that_mixes_has_the_negative_prompt_at_scale_1_too(lab, reliefs, mixes, notices):
    """The host would give it zeros."""
    model = mixes(lab, lab.tiny("small"))
    got = reliefs.sampled(reliefs.guider(reliefs.relief(model, unique_id="7", **EARLY)))
    asks = model.clone()
    asks.model_options["disable_cfg1_optimization"] = True
    assert torch.equal(got, reliefs.sampled(reliefs.by_hand(asks, constant(1.0))))
    assert "0 rows saved, since something needs the negative prompt" in notices[0][1]


# --- what it says ----------------------------------------------------------------------------


def test_no_guidance_is_said(lab, reliefs, notices, caplog):
    model = lab.tiny("small")
    patched = reliefs.relief(model, unique_id="7")
    basic = lab.extra_node("nodes_custom_sampler", "BasicGuider")
    (guider,) = basic.execute(model=patched, conditioning=lab.conditioning(model, 10)).result
    with caplog.at_level(logging.WARNING, "detour"):
        reliefs.sampled(guider)
        lab.sample(patched, cfg=1.0)
    assert [missed for _, _, missed in notices] == [True, True]
    assert all("Nothing was relieved: CFG is 1" in text for _, text, _ in notices)
    assert caplog.text.count("Nothing was relieved") == 2


def test_a_window_that_was_never_reached_is_said(lab, reliefs, notices):
    model = lab.tiny("small")
    late = {"denoise": 0.3, "start": lab.latent(model, seed=8)}
    patched = reliefs.relief(model, end_percent=0.1, unique_id="7")
    assert torch.equal(lab.sample(patched, **late), lab.sample(model, **late))
    ((_, text, missed),) = notices
    assert missed and text.endswith("was never reached; use schedule_by = step.")


def guiders(lab, guided, model):
    """Guiders that do not mix as the host's CFGGuider does."""

    class Theirs(lab.comfy.samplers.CFGGuider):
        def predict_noise(self, *rest, **named):
            return super().predict_noise(*rest, **named)

    theirs, text = Theirs(model), guided.texts(model)
    theirs.set_conds(text["positive"], text["negative"])
    return [guided.dual(model), guided.perp_neg(model), theirs]


def test_a_guider_with_a_rule_of_its_own_is_refused_by_name(lab, guided, reliefs, notices):
    patched = reliefs.relief(lab.tiny("small"), unique_id="7")
    for guider in guiders(lab, guided, patched):
        with pytest.raises(ValueError, match=f"be used with {type(guider).__name__}, which mixes"):
            reliefs.sampled(guider)
    assert notices == []


def test_a_batch_at_several_sigmas_is_refused(lab, reliefs):
    """Guidance has one scale for it; nothing of the refused evaluation stays."""
    model = lab.tiny("small")
    guider = reliefs.guider(reliefs.relief(model, **EARLY))

    def uneven(denoiser, x, sigmas, extra_args, callback, disable):
        return denoiser(x, torch.stack([sigmas[0], sigmas[-2]]), **extra_args)

    sampler = lab.comfy.samplers.KSAMPLER(uneven)
    noise = lab.latent(model)
    sigmas = lab.comfy.samplers.calculate_sigmas(model.model.model_sampling, "normal", 3)
    with pytest.raises(ValueError, match="at different sigmas, and guidance has one scale"):
        guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True, seed=5)
    assert guider.cfg == 3.0
