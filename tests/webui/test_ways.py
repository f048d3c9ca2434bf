"""Guidance Relief and Prompt Fade in the hosts' order, against the same loop written out: real
k-diffusion samplers on real U-Nets."""

from __future__ import annotations

import functools
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from stand_in import SHIM, run_shim
from webui_driver import World, assert_clean, make, unet_of
from webui_models import ForgeModel, a1111, forge, k_diffusion, ldm_unet

from detour.progress import SigmaTable, stable_diffusion_sigmas
from detour.schedule import Schedule
from detour.ways.fade import draw, toward_noise

pytestmark = pytest.mark.usefixtures("no_grad")
RELIEF = {"strength": 0.0, "relief_strength": 1.0, "relief_end_percent": 0.6}
FADE = {"strength": 0.0, "fade_strength": 1.0, "fade_end_percent": 0.6}
ALL = {"strength": 0.4, "end_percent": 0.6, **{**RELIEF, **FADE, "strength": 0.4}}
WINDOW = Schedule(1.0, end_percent=0.6)


def run(world, values=None, **given):
    return world.generate(make(world, values, **given))[0]


def inside(sigma):
    """Whether a call is in the window."""
    return WINDOW.contains(SigmaTable(stable_diffusion_sigmas()).progress(float(sigma[0])))


def literally(p, mix):
    """An Euler run written out; `mix` gives the noise-free picture of a call from the model that
    takes `(x, sigma, words)`, whether the call is in the window, and the latent."""
    wrapped = k_diffusion().external.CompVisDenoiser(p.sd_model)
    sigmas = k_diffusion().sampling.get_sigmas_karras(p.steps, 0.0292, 14.6146)
    x = p.noise() * 14.6146
    for sigma, after in pairwise(sigmas):
        rows = sigma.expand(len(x))
        denoised = mix(functools.partial(call, wrapped), x, rows, inside(rows))
        x = x + (x - denoised) / sigma * (after - sigma)
    return x


def call(wrapped, x, sigma, words):
    named = {"chunks": [0]} if isinstance(wrapped.inner_model, ForgeModel) else {}
    return wrapped(x, sigma, cond=words, **named)


def guided(model, x, sigma, prompt, negative, scale):
    halves = model(torch.cat([x, x]), torch.cat([sigma, sigma]), torch.cat([prompt, negative]))
    c, u = halves.chunk(2)
    return u + (c - u) * scale


def summaries(caplog):
    return [text for text in caplog.messages if "rows saved" in text]


# --- Guidance Relief -------------------------------------------------------------------------


def test_relief_at_its_ends(world, caplog):
    caplog.set_level("INFO")
    p = make(world, batch_size=2)
    plain = run(world, batch_size=2)
    zero = {**RELIEF, "relief_strength": 0.0}
    assert torch.equal(run(world, zero, batch_size=2), plain)

    def no_guidance_inside(model, x, sigma, is_inside):
        if is_inside:
            return model(x, sigma, p.cond)
        return guided(model, x, sigma, p.cond, p.uncond, 2.0)

    expected = literally(p, no_guidance_inside)
    assert torch.equal(run(world, RELIEF, batch_size=2), expected)
    assert not torch.equal(expected, plain)
    assert "relieved guidance in 4 of 8 evaluations; 8 of 32 rows saved" in summaries(caplog)[0]
    assert_clean(world, [plain], batch_size=2)


@pytest.mark.parametrize("lam", [0.3, -0.5])
def test_relief_between_is_another_scale(world, lam):
    p = make(world)

    def other_scale_inside(model, x, sigma, is_inside):
        scale = 1 + (2.0 - 1) * (1 - lam) if is_inside else 2.0
        return guided(model, x, sigma, p.cond, p.uncond, scale)

    found = run(world, {**RELIEF, "relief_strength": lam})
    assert torch.equal(found, literally(p, other_scale_inside))


@pytest.mark.parametrize("sampler_name", ["heun", "ddim", "unipc", "euler_ancestral"])
def test_relief_of_the_whole_run_is_a_run_without_guidance(world, sampler_name):
    """In A1111 a run at CFG 1 computes both halves: equal up to rounding."""
    whole = {**RELIEF, "relief_end_percent": 1.0}
    found = run(world, whole, sampler_name=sampler_name)
    expected = run(world, sampler_name=sampler_name, cfg_scale=1.0)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found, run(world, sampler_name=sampler_name), atol=1e-2)


def test_halves_in_calls_of_their_own(world, caplog):
    """With little memory: A1111 computes both, the Forge family leaves one out."""
    caplog.set_level("INFO")
    world.splits_batches = True
    found = run(world, RELIEF)
    told = summaries(caplog)[0]
    is_forge = isinstance(world.model, ForgeModel)
    assert ("4 of 16 rows saved" if is_forge else "0 rows saved, since something needs") in told
    world.splits_batches = False
    torch.testing.assert_close(found, run(world, RELIEF), atol=1e-4, rtol=1e-4)


def test_a_prompt_that_weighs_more_needs_the_negative_prompt(world, caplog):
    """At CFG 1 it goes beyond the prompt: u + 1.5 (c - u)."""
    caplog.set_level("INFO")
    world.weight = 1.5
    p = make(world)

    def weighted(model, x, sigma, is_inside):
        return guided(model, x, sigma, p.cond, p.uncond, 1.5 * (1.0 if is_inside else 2.0))

    assert torch.equal(run(world, RELIEF), literally(p, weighted))
    assert "0 rows saved" in summaries(caplog)[0]


def cfg_plus_plus(denoiser):
    denoiser.need_last_noise_uncond = True


def a_mix_of_its_own(denoiser):
    """In the Forge family, as Dynamic Thresholding: it is called at any scale, with zeros for what
    was not computed. In A1111 as Regional Prompter: it counts the calls of attention."""
    world = denoiser.world
    if isinstance(world.model, ForgeModel):
        options = world.model.forge_objects.unet.model_options
        options["sampler_cfg_function"] = lambda args: args["cond"]
    else:
        layer = unet_of(world).middle_block[1]
        layer.forward = layer.forward


@pytest.mark.parametrize("needs", [cfg_plus_plus, a_mix_of_its_own])
def test_what_needs_the_negative_prompt_gets_it(world, caplog, needs):
    caplog.set_level("INFO")
    rows = []
    unet_of(world).register_forward_pre_hook(lambda _unet, args: rows.append(len(args[0])))
    world.events[0] = [needs]
    run(world, RELIEF)
    assert rows == [2] * 8 and "0 rows saved" in summaries(caplog)[0]


def test_an_extension_that_stays_around_the_mixing_does_not_relieve_it_again(host):
    """As the PAG of sd-webui-incantations: at the first call it keeps what it finds there."""
    host["modules.script_callbacks"].clear_callbacks()
    world = World(host, a1111())
    world.script = run_shim(SHIM).DetourScript()

    def stay(params):
        found = vars(params.denoiser)
        if "kept" not in found:
            found["kept"] = inner = params.denoiser.combine_denoised
            params.denoiser.combine_denoised = lambda *args: inner(*args)

    values = {**RELIEF, "relief_strength": 0.3}
    alone = run(world, values)
    world.callbacks.on_cfg_denoiser(stay)
    assert torch.equal(run(world, values), alone)


def test_no_guidance_is_told(world):
    plain = run(world, cfg_scale=1.0)
    p = make(world, RELIEF, cfg_scale=1.0)
    assert torch.equal(world.generate(p)[0], plain)
    assert ["Nothing was relieved: CFG is 1" in text for text in p.comments] == [True]


def test_a_host_that_mixes_elsewhere_is_told(world, monkeypatch):
    """A fork without these places, or an extension that took them over."""

    def own(self, x, sigma, cond, uncond, scale):
        both = torch.cat([cond, uncond])
        c, u = self.run(torch.cat([x, x]), torch.cat([sigma, sigma]), both, [0, 1]).chunk(2)
        return u + (c - u) * scale

    sampler = k_diffusion().sampling

    @functools.wraps(sampler.sample_euler)
    def sampled(model, *args, **named):
        model.mixed_here = model.mixed_by_modifiers = functools.partial(own, model)
        return sampler.sample_euler(model, *args, **named)

    monkeypatch.setattr(sampler, "sample_lms", sampled)
    p = make(world, {**RELIEF, "relief_strength": 0.5}, sampler_name="lms")
    world.generate(p)
    assert ["past the host's own place" in text for text in p.comments] == [True]


def test_instruct_pix2pix_is_refused(host):
    p = SimpleNamespace(sd_model=SimpleNamespace())
    params = SimpleNamespace(
        x=torch.zeros(3, 4, 8, 8),
        text_cond=torch.zeros(1, 3, 8),
        text_uncond=torch.zeros(1, 3, 8),
        denoiser=None,
    )
    with pytest.raises(ValueError, match=r"InstructPix2Pix.*two scales"):
        acting_relief(p, Schedule()).follow(params, 0.0)


@pytest.mark.parametrize("reads", [True, False])
def test_an_embedded_scale_goes_to_one_where_it_is_read(host, reads):
    """As the Forge family gives it to Flux, beside the prompt's embedding."""
    unet = torch.nn.Module()
    unet.guidance_in = torch.nn.Linear(1, 1) if reads else torch.nn.Identity()
    model = SimpleNamespace(diffusion_model=unet)
    patcher = SimpleNamespace(model=model, model_options={})
    p = SimpleNamespace(
        sd_model=SimpleNamespace(forge_objects=SimpleNamespace(unet=patcher)), comments=[]
    )
    cond = {**embedding(1, 1, 768), "guidance": torch.tensor([3.5])}
    params = SimpleNamespace(
        x=torch.zeros(1, 4, 8, 8), text_cond=WithShape(cond), text_uncond=None, denoiser=None
    )
    acting = acting_relief(p, Schedule(0.6, end_percent=1.0))
    acting.follow(params, 0.5)
    (modify,) = patcher.model_options["conditioning_modifiers"]
    assert modify(None, None, None, None, [{}], 1.0, {}, 0)[5] == 1.0
    acting.detach()
    assert params.text_cond["guidance"].tolist() == pytest.approx([2.0 if reads else 3.5])
    assert (acting.missed() is None) is reads and patcher.model_options == {}


def acting_relief(p, schedule):
    from detour_webui.extension.guidance import ActingRelief

    from detour.ways.relief import Relief

    return ActingRelief(p, Relief(schedule))


def acting_fade(p, lam, **given):
    from detour_webui.extension.prompt import ActingFade

    from detour.ways.fade import Fade

    return ActingFade(p, Fade(Schedule(lam, end_percent=1.0), **given))


# --- Prompt Fade -----------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [1.0, 0.3])
def test_fade_is_the_loop_with_another_prompt(world, lam):
    p = make(world, batch_size=2)
    plain = run(world, batch_size=2)
    assert torch.equal(run(world, {**FADE, "fade_strength": 0.0}, batch_size=2), plain)

    def other_prompt_inside(model, x, sigma, is_inside):
        prompt = torch.lerp(p.cond, p.uncond, lam) if is_inside else p.cond
        return guided(model, x, sigma, prompt, p.uncond, 2.0)

    found = run(world, {**FADE, "fade_strength": lam}, batch_size=2)
    assert torch.equal(found, literally(p, other_prompt_inside))
    assert not torch.equal(found, plain)
    assert_clean(world, [plain], batch_size=2)


def test_fade_to_noise_of_each_picture_by_the_seed_in_its_parameters(world):
    """So that one picture of many can be made again alone."""
    values = {**FADE, "fade_strength": 0.6, "fade_toward": "noise", "fade_seed": 2**64 - 3}
    p = make(world, values, batch_size=2, n_iter=2)
    found = world.generate(p)
    seeds = p.extra_generation_params["Detour fade seed"]
    assert seeds == [str(2**64 - 3), str(2**64 - 2), str(2**64 - 1), "0"]

    def noise_inside(model, x, sigma, is_inside):
        prompt = toward_noise(p.cond, z, 0.6) if is_inside else p.cond
        return guided(model, x, sigma, prompt, p.uncond, 2.0)

    for number, latents in enumerate(found):
        p = make(world, batch_size=2, seed=5 + number)
        mine = map(int, seeds[2 * number :][:2])
        z = torch.cat([draw(seed, [0], p.cond.shape[1:])[0] for seed in mine])
        assert torch.equal(latents, literally(p, noise_inside))


def test_the_gallerys_hires_button_goes_on_with_the_seed_of_its_picture(world, monkeypatch):
    """The host takes its own seeds from the picture, all else from the page."""

    def refine(found, panel, **cell):
        picture = SimpleNamespace(info={"parameters": found})
        p = make(world, {**panel, "fade_seed": 3})
        p.txt2img_upscale, p.firstpass_image, p.detour_axes = True, picture, cell
        world.generate(p)
        return p.extra_generation_params["Detour fade seed"]

    images = SimpleNamespace(read_info_from_image=lambda image: (image.info["parameters"], {}))
    parser = SimpleNamespace(parse_generation_parameters=lambda text, skip: text or {})
    monkeypatch.setitem(sys.modules, "modules.images", images)
    monkeypatch.setitem(sys.modules, "modules.infotext_utils", parser)
    noise = {**FADE, "fade_strength": 0.6, "fade_toward": "noise"}
    p = make(world, {**noise, "fade_seed": 7}, batch_size=2)
    world.generate(p)
    of_second = {**p.extra_generation_params, "Detour fade seed": "8"}  # as the host writes it
    assert refine(of_second, noise) == 8
    assert refine(of_second, noise, fade_seed=5) == 5, "a grid's cell goes before"
    assert refine({**of_second, "Detour fade toward": "negative"}, noise) == 3
    assert refine(None, noise) == 3, "a picture without parameters"


def test_each_part_of_a_prompt_with_and_has_noise_of_its_own(host):
    cond = torch.randn(4, 3, 8, generator=torch.Generator().manual_seed(1))
    parts = SimpleNamespace(batch=[[1, 2], [3, 4]])
    p = SimpleNamespace(sampler=SimpleNamespace(sampler_extra_args={"cond": parts}))
    params = SimpleNamespace(text_cond=cond, text_uncond=None)
    acting_fade(p, 0.5, toward="noise", seed=7).follow(params, 0.5)
    z = torch.cat([draw(seed, range(2), (3, 8))[0] for seed in (7, 8)])
    assert torch.equal(params.text_cond, toward_noise(cond, z, 0.5))


@pytest.mark.parametrize("toward", ["negative", "noise"])
def test_controlnets_mark_before_a_prompt_stays(host, toward):
    """That of A1111 puts a token of 1024 before each prompt, of -1024 before the negative prompt,
    and takes it off in the U-Net's call by these very numbers."""
    p = SimpleNamespace(sd_model=SimpleNamespace(model=SimpleNamespace(diffusion_model=ldm_unet())))
    cond, uncond = embedding(2, 1), embedding(2, 2)
    wanted = SimpleNamespace(text_cond=WithShape(cond), text_uncond=WithShape(uncond))
    for texts, mark in ((cond, 1024.0), (uncond, -1024.0)):
        tokens = texts["crossattn"]
        texts["crossattn"] = torch.cat([torch.full_like(tokens[:, :1], mark), tokens], dim=1)
    params = SimpleNamespace(text_cond=cond, text_uncond=uncond)
    for each in (wanted, params):
        acting_fade(p, 0.3, toward=toward).follow(each, 0.5)
    assert torch.equal(params.text_cond["crossattn"][:, :1], cond["crossattn"][:, :1])
    assert torch.equal(params.text_cond["crossattn"][:, 1:], wanted.text_cond["crossattn"])
    assert torch.equal(params.text_cond["vector"], wanted.text_cond["vector"])


class WithShape(dict):
    """As the hosts keep SDXL's embeddings."""

    @property
    def shape(self):
        return self["crossattn"].shape


def embedding(rows, seed, width=2816):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(rows, 77, 8, generator=generator)
    return WithShape(
        crossattn=tokens, vector=torch.randn(rows, width, generator=generator), guidance=None
    )


def test_of_sdxl_the_pooled_text_fades_and_the_size_stays(host):
    p = SimpleNamespace(sd_model=SimpleNamespace(model=SimpleNamespace(diffusion_model=ldm_unet())))
    for lam in (0.3, 1.0):
        cond, uncond = embedding(2, 1), embedding(2, 2)
        params = SimpleNamespace(text_cond=cond, text_uncond=uncond)
        acting_fade(p, lam).follow(params, 0.5)
        made = params.text_cond
        assert isinstance(made, WithShape) and made is not cond and "guidance" in made
        pooled = slice(None), slice(1280)
        for name, place in (("crossattn", ...), ("vector", pooled)):
            expected = torch.lerp(cond[name][place], uncond[name][place], lam)
            assert torch.equal(made[name][place], uncond[name][place] if lam == 1 else expected)
        assert torch.equal(made["vector"][:, 1280:], cond["vector"][:, 1280:])


@pytest.mark.parametrize(
    ("cond", "uncond", "words"),
    [
        (embedding(1, 1), None, "no negative prompt to fade to"),
        (embedding(1, 1, 7), embedding(1, 2, 7), "does not know.*vector of width 7"),
        (WithShape(crossattn=torch.ones(1, 2, 8), t5=1), None, "does not know.*t5"),
        ([torch.ones(2)], None, "embeddings of the kind list"),
        (embedding(4, 1), embedding(2, 2), "prompt with AND"),
        (embedding(1, 1), torch.ones(1, 77, 8), "one has a pooled embedding"),
    ],
)
def test_an_embedding_that_cannot_be_faded_is_refused(host, cond, uncond, words):
    p = SimpleNamespace(sd_model=SimpleNamespace(model=SimpleNamespace(diffusion_model=ldm_unet())))
    params = SimpleNamespace(text_cond=cond, text_uncond=uncond)
    with pytest.raises(ValueError, match=words):
        acting_fade(p, 0.5).follow(params, 0.5)


# --- together --------------------------------------------------------------------------------


def test_all_three_are_the_loop_written_out(world, monkeypatch):
    p = make(world)
    plain = run(world)
    # One half: the bypass has to see that the other one's rows are left out.
    values = {**ALL, "fade_strength": 0.5, "apply_to": "cond"}
    found = run(world, values)
    block = unet_of(world).middle_block

    def faded_alone_inside(model, x, sigma, is_inside):
        if not is_inside:
            return guided(model, x, sigma, p.cond, p.uncond, 2.0)
        with monkeypatch.context() as patched:
            lerped(patched, block, 0.4)
            return model(x, sigma, torch.lerp(p.cond, p.uncond, 0.5))

    assert torch.equal(found, literally(p, faded_alone_inside))
    assert_clean(world, [plain])


def lerped(patched, block, lam):
    """The mid-block's first layer notes its input, its last one mixes it in: both kinds of host."""
    kept = []
    first, last = block[0].forward, block[-1].forward

    def note(h, *args, **named):
        kept[:] = [h]
        return first(h, *args, **named)

    def mix(h, *args, **named):
        return torch.lerp(last(h, *args, **named), kept[0], lam)

    patched.setattr(block[0], "forward", note)
    patched.setattr(block[-1], "forward", mix)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, torch.OutOfMemoryError])
def test_after_an_error_nothing_is_left(world, error):
    plain = run(world)

    def fail(*_):
        raise error("in the block")

    hook = unet_of(world).middle_block[0].register_forward_pre_hook(fail)
    with pytest.raises(error):
        run(world, ALL)
    hook.remove()
    assert_clean(world, [plain])


@pytest.mark.parametrize(("hires", "acts"), [("off", False), ("own", True), ("same", True)])
def test_the_hires_pass(world, hires, acts):
    """`off` is for all ways; a strength of its own is the bypass's."""
    values = {**RELIEF, **FADE, "hires": hires, "hires_strength": 0.0}
    rows = []
    p = make(world, values, enable_hr=True)
    hook = unet_of(world).register_forward_pre_hook(
        lambda _unet, args: rows.append((p.is_hr_pass, len(args[0])))
    )
    world.generate(p)
    hook.remove()
    assert ((True, 1) in rows) is acts and (False, 1) in rows


def test_a_refused_fade_leaves_the_whole_run_plain(host):
    """Never half of what was asked for. The Forge family has no negative prompt at CFG 1."""
    host["modules.script_callbacks"].clear_callbacks()
    world = World(host, forge())
    world.script = run_shim(SHIM).DetourScript()
    plain = run(world, uncond=None)
    p = make(world, ALL, uncond=None)
    assert torch.equal(world.generate(p)[0], plain)
    assert ["no negative prompt to fade to" in text for text in p.comments] == [True]
