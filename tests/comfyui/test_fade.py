"""Prompt Fade on the real host: inside the window the run is the one with the prompt replaced, or
mixed by its formula; outside, and afterwards, nothing has changed."""

from __future__ import annotations

import copy

import pytest
import torch
from graph_parts import lora_hook

STEPS = 4


def sigmas_of(lab, model, scheduler="normal") -> list[float]:
    sampling = model.get_model_object("model_sampling")
    return lab.comfy.samplers.calculate_sigmas(sampling, scheduler, STEPS).tolist()


def by_hand(lab, fades, model, positive, negative, lams, **settings) -> torch.Tensor:
    """The run with the prompt mixed at each step, by the host's own timestep ranges."""
    conds = [fades.mixed(positive, negative, lam) for lam in lams]
    ranged = fades.by_steps(model, sigmas_of(lab, model), conds)
    return lab.sample(model, positive=ranged, negative=negative, **settings)


@pytest.mark.parametrize(
    ("shape", "strength", "cfg"),
    [
        *(("small", strength, cfg) for strength in (1.0, 0.4) for cfg in (1.0, 3.0)),
        *((shape, 0.4, 3.0) for shape in ("sdxl", "refiner")),
    ],
)
def test_inside_the_window_the_prompt_is_replaced(lab, fades, shape, strength, cfg):
    """Also without guidance, where the host never evaluates the negative prompt; and of SDXL's
    vector the text alone: the refiner has other scores for prompt and negative prompt."""
    model = lab.tiny(shape)
    positive, negative = lab.conditioning(model, 10), lab.conditioning(model, 20)
    given = {"positive": positive, "negative": negative, "cfg": cfg}
    got = lab.sample(fades.fade(model, strength), **given)
    assert torch.equal(got, by_hand(lab, fades, model, lams=[strength] * 2 + [0.0] * 2, **given))
    assert not torch.equal(got, lab.sample(model, **given))


def test_a_ramp_is_another_mixture_at_each_step(lab, fades):
    model = lab.tiny("small")
    given = {"positive": lab.conditioning(model, 10), "negative": lab.conditioning(model, 20)}
    ramp = fades.fade(model, 0.8, shape="ramp_down", end_percent=1.0, schedule_by="sigma")
    places = [lab.progress_by_hand(model, sigma) for sigma in sigmas_of(lab, model)[:STEPS]]
    lams = [0.8 * (1.0 - place) for place in places]
    assert torch.equal(lab.sample(ramp, **given), by_hand(lab, fades, model, lams=lams, **given))


def test_strength_0_is_the_model_as_it_is(lab, fades):
    model = lab.tiny("small")
    for off in (fades.fade(model, 0.0), fades.fade(model, shape="curve", points="0:0, 1:0")):
        assert off.wrappers == model.wrappers
        assert torch.equal(lab.sample(off), lab.sample(model))


# --- all that a conditioning can hold --------------------------------------------------------


def several(lab, model):
    """Prompts combined, one of them weaker."""
    return lab.conditioning(model, 10) + lab.conditioning(model, 11, strength=0.5)


def masked(lab, model):
    """Two prompts for two halves, and one for all."""
    mask = torch.zeros(1, 8, 8)
    mask[:, :, :4] = 1.0
    return [
        *lab.conditioning(model, 10, mask=mask),
        *lab.conditioning(model, 11, mask=1.0 - mask),
        *lab.conditioning(model, 12),
    ]


def controlled(lab, model):
    """A ControlNet, which reads the text as well."""
    from comfy.controlnet import ControlBase

    class Net(ControlBase):
        def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
            added = cond["c_crossattn"].mean() + lab.randn(1, 64, 4, 4, seed=40)
            rows = added.expand(x_noisy.shape[0], -1, -1, -1)
            return {"input": [], "middle": [rows], "output": []}

    return lab.conditioning(model, 10, control=Net(), control_apply_to_uncond=True)


def hooked(lab, model):
    """A LoRA for the prompt alone."""
    return lab.conditioning(model, 10, hooks=lora_hook())


def with_gligen(lab, model):
    """GLIGEN: objects at places."""

    class Places(torch.nn.Module):
        def set_position(self, shape, params, device):
            return lambda x, _options: x * params

        def set_empty(self, shape, device):
            return lambda x, _options: x

    places = lab.comfy.model_patcher.ModelPatcher(Places(), lab.CPU, lab.CPU)
    return lab.conditioning(model, 10, gligen=("position", places, 1.1))


def long(lab, model):
    """Twice as many tokens as the negative prompt has."""
    return lab.conditioning(model, 10, tokens=10)


KINDS = (several, masked, controlled, hooked, with_gligen, long)


@pytest.mark.parametrize("kind", KINDS)
def test_all_else_of_the_prompt_stays(lab, fades, kind):
    model = lab.tiny("small")
    given = {"positive": kind(lab, model), "negative": lab.conditioning(model, 20)}
    got = lab.sample(fades.fade(model), **given)
    assert torch.equal(got, by_hand(lab, fades, model, lams=[1.0, 1.0, 0.0, 0.0], **given))
    assert not torch.equal(got, lab.sample(model, **given))


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_areas_fade_to_the_negative_prompt_of_their_area(lab, fades, strength):
    """For the whole run: with ranges the host pairs areas with the first step's alone."""
    model = lab.tiny("small")
    positive = lab.conditioning(model, 10) + lab.conditioning(model, 11, area=(4, 8, 0, 0))
    area = lab.conditioning(model, 21, area=(4, 8, 0, 0))
    negative = lab.conditioning(model, 20)
    whole_run = fades.fade(model, strength, end_percent=1.0)
    got = lab.sample(whole_run, positive=positive, negative=negative)
    whole = fades.mixed(positive, negative, strength)
    assert torch.equal(got, lab.sample(model, positive=whole, negative=negative))
    both = negative + area
    got = lab.sample(whole_run, positive=positive, negative=both)
    mixed = [
        fades.mixed([one], [other], strength) for one, other in zip(positive, both, strict=True)
    ]
    paired = mixed[0] + mixed[1]
    assert torch.equal(got, lab.sample(model, positive=paired, negative=both))


def test_prompts_for_some_steps_fade_to_the_negative_prompt_that_is_there(lab, fades):
    model = lab.tiny("small")
    first, last = {"end_percent": 0.4}, {"start_percent": 0.4}
    positive = lab.conditioning(model, 10, **first) + lab.conditioning(model, 11, **last)
    negative = lab.conditioning(model, 20, **first) + lab.conditioning(model, 21, **last)
    got = lab.sample(fades.fade(model, end_percent=1.0), positive=positive, negative=negative)
    assert torch.equal(got, lab.sample(model, positive=negative, negative=negative))


def test_two_lengths_are_mixed_as_the_host_would_batch_them(lab, fades):
    model = lab.tiny("small")
    positive, negative = (
        lab.conditioning(model, 10, tokens=4),
        lab.conditioning(model, 20, tokens=6),
    )
    (text, extra), (other, _) = positive[0], negative[0]
    mixed = [[torch.lerp(text.repeat(1, 3, 1), other.repeat(1, 2, 1), 0.4), extra]]
    given = {"negative": negative, "cfg": 1.0}
    got = lab.sample(fades.fade(model, 0.4, end_percent=1.0), positive=positive, **given)
    assert torch.equal(got, lab.sample(model, positive=mixed, **given))


def test_nothing_that_was_given_is_written_to(lab, fades):
    model = lab.tiny("sdxl")
    given = {"positive": several(lab, model), "negative": lab.conditioning(model, 20)}
    before = copy.deepcopy(given)
    plain = lab.sample(model, **given)
    lab.sample(fades.fade(model, 0.4, toward="noise"), **given)
    lab.sample(fades.fade(model), **given)
    for name, cond in given.items():
        for (text, extra), (was, extra_was) in zip(cond, before[name], strict=True):
            assert torch.equal(text, was)
            assert torch.equal(extra["pooled_output"], extra_was["pooled_output"])
    assert torch.equal(lab.sample(model, **given), plain)


# --- noise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_each_picture_has_noise_of_its_own(lab, fades, strength):
    """The whole run is the one with a text for each row: the formula's, whose mean and spread are
    the prompt's."""
    model, fade = lab.tiny("sdxl"), lab.pack("detour.ways.fade")
    (text, extra), negative = lab.conditioning(model, 10)[0], lab.conditioning(model, 20)
    tokens, pooled = fade.draw(8, range(2), (5, 16), (1280,))
    noisy = fade.toward_noise(text, tokens, strength)
    vector = fade.toward_noise(extra["pooled_output"], pooled, strength)
    assert not torch.equal(noisy[0], noisy[1])
    patched = fades.fade(model, strength, toward="noise", seed=8, end_percent=1.0)
    got = lab.sample(patched, positive=[[text, extra]], negative=negative)
    wanted = [[noisy, {**extra, "pooled_output": vector}]]
    assert torch.equal(got, lab.sample(model, positive=wanted, negative=negative))


def test_combined_prompts_each_have_noise_of_their_length(lab, fades):
    model, fade = lab.tiny("small"), lab.pack("detour.ways.fade")
    positive = lab.conditioning(model, 10) + lab.conditioning(model, 11, tokens=10)
    noisy = []
    for text, extra in positive:
        (z,) = fade.draw(8, range(2), text.shape[1:])
        noisy.append([fade.toward_noise(text, z, 1.0), extra])
    got = lab.sample(fades.fade(model, toward="noise", seed=8, end_percent=1.0), positive=positive)
    assert torch.equal(got, lab.sample(model, positive=noisy))


def test_noise_comes_again_with_its_seed_only(lab, fades):
    model = lab.tiny("small")
    runs = [lab.sample(fades.fade(model, toward="noise", seed=seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


# --- transformers ----------------------------------------------------------------------------


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("family", ["flux", "lumina", "z_image", "sd3"])
def test_transformers(transformers, fades, family, cfg):
    """Texts of two lengths: the negative prompt's own at strength 1, at less the prompt's length.
    Embedded guidance stays the prompt's."""
    model = transformers.build(family)
    positive = transformers.conditioning(family, 10, tokens=6)
    other = {"guidance": 1.0} if family == "flux" else {}
    negative = transformers.conditioning(family, 20, tokens=4, **other)
    given = {"negative": negative, "cfg": cfg}

    def run(model, positive):
        return transformers.sample(model, positive=positive, **given)

    whole = {"end_percent": 1.0}
    got = run(fades.fade(model, **whole), positive)
    assert torch.equal(got, run(model, fades.mixed(positive, negative, 1.0)))
    repeated = [[negative[0][0].repeat(1, 2, 1)[:, :6], negative[0][1]]]
    half = fades.mixed(positive, repeated, 0.4)
    assert torch.equal(run(fades.fade(model, 0.4, **whole), positive), run(model, half))
    assert not torch.equal(run(model, half), run(model, positive))
    noise = fades.fade(model, toward="noise", **whole)
    assert not torch.equal(run(noise, positive), run(model, positive))


def test_which_tokens_count_goes_with_the_text(lab, transformers):
    """A negative prompt with padding: at strength 1 its mask is in place of the prompt's, at less
    the prompt's stays, whose tokens they are."""
    model, prompt = transformers.build("z_image"), lab.pack("nodes.prompt")
    mask = torch.tensor([[1, 1, 1, 0, 0]])

    def part(seed, tokens, **extra):
        text = lab.randn(1, tokens, 24, seed=seed)
        given = {"cross_attn": text, **extra}
        return {**given, "model_conds": model.model.extra_conds(**given)}

    positive, negative = part(10, 7), part(20, 5, attention_mask=mask)
    replaced = prompt.faded_to(positive, negative, 1.0, 2)["model_conds"]
    assert replaced.keys() == negative["model_conds"].keys()
    assert all(replaced[name].cond is cond.cond for name, cond in negative["model_conds"].items())
    mixed = prompt.faded_to(positive, negative, 0.5, 2)["model_conds"]
    assert mixed.keys() == positive["model_conds"].keys()
    assert mixed["num_tokens"].cond == mixed["c_crossattn"].cond.shape[1] == 7


def test_a_pictures_embedding_in_the_pooled_ones_place_stays(lab):
    """unCLIP: the host then puts a picture's where the text's would be."""
    prompt, model = lab.pack("nodes.prompt"), lab.tiny("sdxl")
    given = {"cross_attn": lab.randn(1, 5, 16, seed=1), "pooled_output": lab.randn(1, 1280, seed=2)}
    part = {**given, "model_conds": model.model.extra_conds(device=lab.CPU, **given)}
    assert prompt.texts(part).keys() == {"c_crossattn", "y"}
    assert prompt.texts({**part, "unclip_conditioning": []}).keys() == {"c_crossattn"}
