"""Prompt Fade in runs of all kinds: guiders, windows, rows of several sigmas, other ways and packs,
errors; and what it refuses."""

from __future__ import annotations

import re

import pytest
import torch
from graph_parts import compiled, counted, with_pag

WHOLE = {"end_percent": 1.0}


@pytest.mark.parametrize("kind", ["dual", "perp_neg"])
def test_guiders_with_three_conditionings(lab, guided, fades, kind):
    """Only the prompt fades, and to the negative prompt, not to the third one."""
    model, make = lab.tiny("small"), getattr(guided, kind)
    text = guided.texts(model)
    got = guided.sampled(make(fades.fade(model, 0.4, **WHOLE)), model)
    mixed = fades.mixed(text["positive"], text["negative"], 0.4)
    assert torch.equal(got, guided.sampled(make(model, positive=mixed), model))


def test_basic_guider_can_fade_to_noise_only(lab, guided, fades):
    model = lab.tiny("small")
    text = guided.texts(model)["positive"]

    def run(patched):
        node = lab.extra_node("nodes_custom_sampler", "BasicGuider")
        return guided.sampled(node.execute(model=patched, conditioning=text).result[0], model)

    with pytest.raises(ValueError, match=r"no negative prompt to fade to.*or toward = noise"):
        run(fades.fade(model))
    assert not torch.equal(run(fades.fade(model, toward="noise")), run(model))


def test_a_guider_with_names_of_its_own_is_refused(lab, guided, fades):
    model = lab.tiny("small")
    guider = lab.comfy.samplers.CFGGuider(fades.fade(model, toward="noise"))
    guider.inner_set_conds({"left": guided.texts(model)["positive"]})
    with pytest.raises(ValueError, match="no conditioning that is called positive"):
        guided.sampled(guider, model)


# --- what it refuses -------------------------------------------------------------------------


def refused(lab, message, model, **conds):
    with pytest.raises(ValueError, match=message) as refusal:
        lab.sample(model, **conds)
    text = str(refusal.value)
    assert "\n" not in text
    assert text.endswith(".")


def test_several_negative_prompts_are_refused(lab, fades):
    model = lab.tiny("small")
    both = lab.conditioning(model, 20) + lab.conditioning(model, 21)
    refused(
        lab,
        "which of 2 parts of the negative prompt.*toward = noise",
        fades.fade(model),
        negative=both,
    )
    noisy = lab.sample(fades.fade(model, toward="noise"), negative=both)
    assert not torch.equal(noisy, lab.sample(model, negative=both))


def test_a_video_model_is_refused_by_what_it_is_given(lab, fades):
    refused(
        lab,
        "SVD_img2vid has parts that .* not know .*num_video_frames",
        fades.fade(lab.tiny("svd")),
    )


def test_texts_of_two_encoders_are_refused(lab, fades):
    model = lab.tiny("small")
    narrow = lab.conditioning(model, 20)
    narrow[0][0] = narrow[0][0][..., :8]
    refused(
        lab,
        r"\(1, 5, 16\).*\(1, 5, 8\): make both",
        fades.fade(model, 0.5),
        negative=narrow,
        cfg=1.0,
    )


def test_a_conditioning_without_text_is_refused(lab, transformers, fades):
    model = transformers.build("flux")
    positive = transformers.conditioning("flux", 10)
    positive[0][0] = None
    with pytest.raises(ValueError, match="of this Flux has no text"):
        transformers.sample(fades.fade(model), positive, transformers.conditioning("flux", 20))


BAD = {
    "strength": ({"strength": -0.5}, "would go down to -0.5"),
    "toward": ({"toward": "nothing"}, "toward is 'nothing'; it must be one of: negative, noise."),
    "seed": ({"seed": -1}, "seed is -1; it must be a whole number from 0 to 18446744073709551615."),
    "window": ({"start_percent": 0.5}, "start_percent (0.5) must be smaller than end_percent"),
    "points": ({"shape": "curve", "points": "0:-1"}, "would go down to -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_value_is_one_sentence(lab, fades, case):
    inputs, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        fades.fade(lab.tiny("small"), **inputs)


# --- rows ------------------------------------------------------------------------------------


def batched(lab, seeds):
    """One CONDITIONING with several texts; the host takes as many as there are rows, in turn."""
    rows = [lab.randn(1, 5, 16, seed=seed) for seed in seeds]
    return [[torch.cat(rows), {"pooled_output": None}]]


def test_texts_of_a_batch_fade_row_by_row(lab, fades):
    model = lab.tiny("small")
    positive, negative = batched(lab, (10, 11, 12)), batched(lab, (20, 21))
    got = lab.sample(fades.fade(model, 0.4, **WHOLE), positive=positive, negative=negative)
    mixed = [[torch.lerp(positive[0][0][:2], negative[0][0], 0.4), {}]]
    assert torch.equal(got, lab.sample(model, positive=mixed, negative=negative))
    got = lab.sample(fades.fade(model, 0.4, toward="noise", **WHOLE), positive=positive)
    fade = lab.pack("detour.ways.fade")
    (z,) = fade.draw(0, range(2), (5, 16))
    noisy = [[fade.toward_noise(positive[0][0][:2], z, 0.4), {}]]
    assert torch.equal(got, lab.sample(model, positive=noisy))


def test_rows_with_sigmas_of_their_own(lab, guided, fades):
    """A sampler that gives each row another sigma: each fades as far as its own place wants."""
    model = lab.tiny("small")
    sampling = model.get_model_object("model_sampling")
    rows = torch.tensor([float(sampling.sigma_max), float(sampling.sigma_min)])

    def sampler(model, x, sigmas, extra_args=None, callback=None, disable=None):
        return model(x, rows, **extra_args)

    def run(patched, positive):
        guider = lab.comfy.samplers.CFGGuider(patched)
        guider.set_conds(positive, text["negative"])
        guider.set_cfg(3.0)
        noise, plan = lab.latent(model), lab.comfy.samplers.KSAMPLER(sampler)
        ends = torch.tensor([float(sampling.sigma_max), 0.0])
        return guider.sample(noise, torch.zeros_like(noise), plan, ends, seed=5)

    text = guided.texts(model)
    patched = fades.fade(model, 0.4, schedule_by="sigma")
    mixed = fades.mixed(text["positive"], text["negative"], 0.4)[0]
    wanted = [[torch.cat([mixed[0], text["positive"][0][0]]), mixed[1]]]
    assert torch.equal(run(patched, text["positive"]), run(model, wanted))
    noisy = run(fades.fade(model, toward="noise", schedule_by="sigma"), text["positive"])
    plain = run(model, text["positive"])
    assert torch.equal(noisy[1], plain[1])
    assert not torch.equal(noisy[0], plain[0])


def in_windows(lab, model):
    """A MODEL whose batch is a video of frames, evaluated in overlapping windows of two."""
    windows = lab.comfy.samplers.comfy.context_windows
    clone = model.clone()
    clone.model_options["context_handler"] = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule("standard_static"),
        fuse_method=windows.get_matching_fuse_method("pyramid"),
        context_length=2,
        context_overlap=1,
        dim=0,
    )
    return clone


@pytest.mark.parametrize("toward", ["negative", "noise"])
def test_context_windows(lab, fades, toward, monkeypatch):
    """All frames of a video share one noise: another one for each would flicker."""
    model = lab.tiny("small")
    # As many frames as sigmas: with other numbers this host's windows fail by themselves.
    monkeypatch.setattr(lab, "latent", lambda _model: lab.randn(5, 4, 8, 8, seed=3))
    positive, negative = lab.conditioning(model, 10), lab.conditioning(model, 20)
    got = lab.sample(in_windows(lab, fades.fade(model, toward=toward, seed=8, **WHOLE)))
    wanted = fades.mixed(positive, negative, 1.0)
    if toward == "noise":
        fade, (text, extra) = lab.pack("detour.ways.fade"), positive[0]
        (z,) = fade.draw(8, [0], (5, 16))
        wanted = [[fade.toward_noise(text, z, 1.0), extra]]
    assert torch.equal(got, lab.sample(in_windows(lab, model), positive=wanted))


# --- beside others ---------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["fade_first", "bypass_first"])
def test_together_with_the_bypass(lab, fades, order):
    model = lab.tiny("small")
    if order == "fade_first":
        both = lab.bypass(fades.fade(model, 0.4, **WHOLE), 0.5, apply_to="cond")
    else:
        both = fades.fade(lab.bypass(model, 0.5, apply_to="cond"), 0.4, **WHOLE)
    mixed = fades.mixed(lab.conditioning(model, 10), lab.conditioning(model, 20), 0.4)
    with lab.by_hand(model, lab.lerp_half(0.5, 0)):
        assert torch.equal(lab.sample(both), lab.sample(model, positive=mixed))


def test_two_fades_go_one_after_the_other(lab, fades):
    model = lab.tiny("small")
    positive, negative = lab.conditioning(model, 10), lab.conditioning(model, 20)
    got = lab.sample(fades.fade(fades.fade(model, 0.4, **WHOLE), 0.5, **WHOLE))
    mixed = fades.mixed(fades.mixed(positive, negative, 0.4), negative, 0.5)
    assert torch.equal(got, lab.sample(model, positive=mixed))


def test_patches_that_evaluate_the_prompt_again_see_it_faded(lab, fades):
    """Perturbed-Attention Guidance compares the prompt's own evaluation with a second one."""
    model = lab.tiny("small")
    mixed = fades.mixed(lab.conditioning(model, 10), lab.conditioning(model, 20), 0.4)
    got = lab.sample(with_pag(fades.fade(model, 0.4, **WHOLE)))
    assert torch.equal(got, lab.sample(with_pag(model), positive=mixed))


def test_compiled(lab, fades):
    """No graph more than without the fade."""
    model, graphs = lab.tiny("small"), []
    torch.compiler.reset()
    once = compiled(model, counted(graphs))
    lab.sample(once)
    before = len(graphs)
    ramp = {"shape": "ramp_down", **WHOLE}
    got = lab.sample(fades.fade(once, **ramp))
    torch.compiler.reset()
    assert torch.equal(got, lab.sample(fades.fade(model, **ramp)))
    assert len(graphs) == before


def test_nothing_stays_after_an_error_or_cancel(lab, fades):
    from comfy.model_management import InterruptProcessingException

    model = lab.tiny("small")
    plain, patched = lab.sample(model), fades.fade(model)
    faded = lab.sample(patched)

    def cancel(step, *_):
        raise InterruptProcessingException

    def fail(*_):
        raise RuntimeError("broken")

    with pytest.raises(InterruptProcessingException):
        lab.sample(patched, callback=cancel)
    handle = lab.unet_of(model).middle_block[1].register_forward_pre_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="broken"):
            lab.sample(patched)
    finally:
        handle.remove()
    assert torch.equal(lab.sample(model), plain)
    assert torch.equal(lab.sample(patched), faded)


def test_the_node_tells_what_was_done(lab, fades, notices):
    model = lab.tiny("small")
    lab.sample(fades.fade(model, unique_id="7"))
    lab.sample(fades.fade(model, schedule_by="sigma", unique_id="8"), denoise=0.3)
    (node, text, missed), (_, late, late_missed) = notices
    assert (node, missed, late_missed) == ("7", False, True)
    assert text == "strength 1: faded in 2 of 4 evaluations of the prompt"
    assert "use schedule_by = step" in late
