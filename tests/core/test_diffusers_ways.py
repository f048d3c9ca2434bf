"""Guidance Relief and Prompt Fade in real pipelines of diffusers, against the loops written out."""

import logging
from contextlib import ExitStack, contextmanager
from itertools import permutations

import diffusers_zoo as zoo
import pytest
import torch
from diffusers_parts import WORDS

from detour.diffusers import guidance_relief, mid_block_bypass, prompt_fade
from detour.schedule import Schedule
from detour.ways.fade import draw, toward_noise

WHOLE = {"start_percent": 0.0, "end_percent": 1.0}
HALF = {"start_percent": 0.0, "end_percent": 0.6, "schedule_by": "step"}
"""Of the zoo's runs of four steps the first three."""


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def words(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


P, N = words(1, 4, WORDS, seed=1), words(1, 4, WORDS, seed=2)
POOLED, NPOOLED = words(1, WORDS, seed=3), words(1, WORDS, seed=4)


def made(name="StableDiffusionPipeline"):
    """A pipeline and its run with a prompt and a negative prompt that are told apart."""
    pipe, run = zoo.make(name)
    texts = {"prompt_embeds": P, "negative_prompt_embeds": N}
    if "XL" in name:
        texts |= {"pooled_prompt_embeds": POOLED, "negative_pooled_prompt_embeds": NPOOLED}

    def drawn(**more):
        return run(**{**texts, "guidance_scale": 5.0, **more})

    return pipe, drawn


@contextmanager
def literally(pipe, change, steps=3):
    """The U-Net's forward written over by hand for the first steps: `change` gets the forward and
    what it was called with, by name."""
    forward, count = pipe.unet.forward, []

    def instead(sample, timestep, **named):
        count.append(1)
        if len(count) > steps:
            return forward(sample, timestep, **named)
        return change(forward, sample, timestep, **named)

    pipe.unet.forward = instead
    try:
        yield
    finally:
        del pipe.unet.forward


def prompt_alone(forward, sample, timestep, *, encoder_hidden_states, **named):
    """No negative prompt: what the prompt gives stands in its place."""
    if named.get("added_cond_kwargs"):
        named["added_cond_kwargs"] = {k: v[1:] for k, v in named["added_cond_kwargs"].items()}
    (out,) = forward(sample[1:], timestep, encoder_hidden_states=encoder_hidden_states[1:], **named)
    return (torch.cat([out, out]),)


# --- Guidance Relief -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "StableDiffusionXLPipeline"])
def test_relief_at_its_ends(name):
    pipe, run = made(name)
    plain, unguided = run(), run(guidance_scale=1.0)
    with guidance_relief(pipe, Schedule(0.0, **WHOLE)) as coverage:
        assert torch.equal(run(), plain)
    assert (coverage.calls, coverage.relieved, coverage.saved) == (4, 0, 0)
    with guidance_relief(pipe, Schedule(1.0, **WHOLE)) as coverage:
        assert torch.equal(run(), unguided)
    assert (coverage.relieved, coverage.rows, coverage.saved) == (4, 4, 4)
    assert "4 of 8 rows saved" in coverage.summary()
    with literally(pipe, prompt_alone):
        expected = run()
    with guidance_relief(pipe, Schedule(1.0, **HALF)) as coverage:
        assert torch.equal(run(), expected)
    assert (coverage.relieved, coverage.rows, coverage.saved) == (3, 5, 3)
    assert not torch.equal(expected, plain) and not torch.equal(expected, unguided)
    assert torch.equal(run(), plain)


@pytest.mark.parametrize("lam", [0.25, 0.7, -0.5])
def test_relief_between_is_another_scale(lam):
    pipe, run = made()
    with guidance_relief(pipe, Schedule(lam, **WHOLE)) as coverage:
        found = run()
    torch.testing.assert_close(found, run(guidance_scale=1 + 4.0 * (1 - lam)), atol=1e-4, rtol=1e-4)
    assert (coverage.relieved, coverage.saved) == (4, 0)


@pytest.mark.parametrize("lams", [(0.5, 1.0), (1.0, 0.5)])
def test_two_reliefs_of_which_one_leaves_the_rows_out(lams):
    """Whichever it is: the rows that were left out come back once."""
    pipe, run = made()
    with literally(pipe, prompt_alone):
        expected = run()
    first, second = (guidance_relief(pipe, Schedule(lam, **HALF)) for lam in lams)
    with first, second:
        assert torch.equal(run(), expected)


def test_relief_of_an_embedded_scale():
    pipe, run = zoo.make("LatentConsistencyModelPipeline")
    with guidance_relief(pipe, Schedule(1.0, **WHOLE)) as coverage:
        found = run(guidance_scale=8.5)
    assert torch.equal(found, run(guidance_scale=1.0))
    assert not torch.equal(found, run(guidance_scale=8.5)) and coverage.embedded == coverage.calls


def test_perturbed_attention_keeps_its_rows():
    """Its processors count the chunks, so that no row is left out; the scale acts all the same."""
    pipe, run = made("StableDiffusionPAGPipeline")

    def no_negative(forward, *args, **named):
        (out,) = forward(*args, **named)
        _, prompt, perturbed = out.chunk(3)
        return (torch.cat([prompt, prompt, perturbed]),)

    with literally(pipe, no_negative):
        expected = run()
    with guidance_relief(pipe, Schedule(1.0, **HALF)) as coverage:
        assert torch.equal(run(), expected)
    assert "0 rows saved, since something needs the negative prompt" in coverage.summary()


def test_nothing_to_relieve_is_told(caplog):
    pipe, run = made()
    plain = run(guidance_scale=1.0)
    with caplog.at_level(logging.WARNING), guidance_relief(pipe, Schedule(1.0, **WHOLE)):
        assert torch.equal(run(guidance_scale=1.0), plain)
    assert "Nothing was relieved: CFG is 1" in caplog.text


# --- Prompt Fade -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "StableDiffusionXLPipeline"])
def test_fade_at_its_ends(name):
    pipe, run = made(name)
    plain = run()
    with prompt_fade(pipe, Schedule(0.0, **WHOLE)) as coverage:
        assert torch.equal(run(), plain)
    assert (coverage.calls, coverage.faded) == (4, 0)
    pooled = {"pooled_prompt_embeds": NPOOLED} if "XL" in name else {}
    with prompt_fade(pipe, Schedule(1.0, **WHOLE)) as coverage:
        found = run()
    assert torch.equal(found, run(prompt_embeds=N, **pooled)) and coverage.faded == 4

    def replaced(forward, sample, timestep, *, encoder_hidden_states, **named):
        negative, _ = encoder_hidden_states.chunk(2)
        if pooled:
            given = dict(named["added_cond_kwargs"])
            given["text_embeds"] = given["text_embeds"][:1].repeat(2, 1)
            named["added_cond_kwargs"] = given
        both = negative.repeat(2, 1, 1)
        return forward(sample, timestep, encoder_hidden_states=both, **named)

    with literally(pipe, replaced):
        expected = run()
    with prompt_fade(pipe, Schedule(1.0, **HALF)):
        assert torch.equal(run(), expected)
    assert not torch.equal(expected, plain)
    with prompt_fade(pipe, Schedule(0.3, **WHOLE)):
        between = run()
    mixed = {"pooled_prompt_embeds": torch.lerp(POOLED, NPOOLED, 0.3)} if pooled else {}
    assert torch.equal(between, run(prompt_embeds=torch.lerp(P, N, 0.3), **mixed))


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_fade_to_noise_has_its_own_for_each_picture(guidance):
    pipe, run = made()
    (tokens,) = draw(7, range(2), P.shape[1:])
    mixed = toward_noise(P, tokens, 0.6)
    expected = run(
        prompt_embeds=mixed, negative_prompt_embeds=N.repeat(2, 1, 1), guidance_scale=guidance
    )
    with prompt_fade(pipe, Schedule(0.6, **WHOLE), toward="noise", seed=7):
        found = run(num_images_per_prompt=2, guidance_scale=guidance)
    assert torch.equal(found, expected)


def test_a_videos_frames_have_one_text():
    pipe, run = zoo.make("AnimateDiffPipeline")
    (tokens,) = draw(7, [0], P.shape[1:])
    texts = {"prompt_embeds": P, "negative_prompt_embeds": N}
    expected = zoo.flat(run(**{**texts, "prompt_embeds": toward_noise(P, tokens, 0.6)}))
    with prompt_fade(pipe, Schedule(0.6, **WHOLE), toward="noise", seed=7):
        assert torch.equal(zoo.flat(run(**texts)), expected)
    with guidance_relief(pipe, Schedule(1.0, **WHOLE)) as coverage:
        found = zoo.flat(run(**texts))
    assert torch.equal(found, zoo.flat(run(**texts, guidance_scale=1.0))) and coverage.saved > 0


def test_without_guidance_there_is_nothing_to_fade_to():
    pipe, run = made()
    plain = run()
    with (
        pytest.raises(ValueError, match=r"no negative prompt to fade to.*toward = noise"),
        prompt_fade(pipe, Schedule(1.0)),
    ):
        run(guidance_scale=1.0)
    assert torch.equal(run(), plain)


# --- together --------------------------------------------------------------------------------


def test_all_three_in_any_order_are_the_loop_written_out():
    pipe, run = made()
    plain = run()
    middle = pipe.unet.mid_block.forward

    def all_three(forward, sample, timestep, *, encoder_hidden_states, **named):
        negative, prompt = encoder_hidden_states.chunk(2)
        faded = torch.lerp(prompt, negative, 0.5)
        pipe.unet.mid_block.forward = lambda h, *a, **k: torch.lerp(middle(h, *a, **k), h, 0.4)
        (out,) = forward(sample[1:], timestep, encoder_hidden_states=faded, **named)
        del pipe.unet.mid_block.forward
        return (torch.cat([out, out]),)

    with literally(pipe, all_three):
        expected = run()
    ways = {
        "relief": lambda: guidance_relief(pipe, Schedule(1.0, **HALF)),
        "fade": lambda: prompt_fade(pipe, Schedule(0.5, **HALF)),
        "bypass": lambda: mid_block_bypass(pipe, Schedule(0.4, **HALF), apply_to="cond"),
    }
    for names in permutations(ways):
        with ExitStack() as opened:
            counts = {name: opened.enter_context(ways[name]()) for name in names}
            assert torch.equal(run(), expected), names
        assert (counts["relief"].saved, counts["fade"].faded, counts["bypass"].bypassed) == (3,) * 3
    assert_clean(pipe, run, plain)


@pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError, KeyboardInterrupt])
def test_after_an_error_nothing_is_left(error):
    pipe, run = made()
    plain = run()

    def fail(*_):
        raise error("in the middle")

    hook = pipe.unet.mid_block.resnets[0].register_forward_pre_hook(fail)
    with (
        pytest.raises(error),
        guidance_relief(pipe, Schedule(1.0)),
        prompt_fade(pipe, Schedule(1.0)),
        mid_block_bypass(pipe, Schedule(0.5)),
    ):
        run()
    hook.remove()
    assert_clean(pipe, run, plain)


def assert_clean(pipe, run, plain):
    assert not pipe.unet._forward_pre_hooks and not pipe.unet._forward_hooks
    assert torch.equal(run(), plain)


@pytest.mark.parametrize(
    ("way", "name", "words"),
    [
        (guidance_relief, "StableDiffusionSAGPipeline", "Guidance Relief cannot be used with Stab"),
        (prompt_fade, "StableDiffusionPanoramaPipeline", "Prompt Fade cannot be used with StableD"),
        (guidance_relief, "StableDiffusionInstructPix2PixPipeline", "two scales of guidance"),
        (prompt_fade, "StableVideoDiffusionPipeline", "no text that Prompt Fade could fade"),
        (prompt_fade, "Kandinsky3Pipeline", "have masks of their own"),
        (guidance_relief, "UnCLIPPipeline", "need a pipeline with a part named unet"),
    ],
)
def test_what_cannot_be_done_rightly_is_refused_by_name(way, name, words):
    pipe, _ = zoo.make(name)
    with pytest.raises(ValueError, match=words), way(pipe, Schedule()):
        pass
