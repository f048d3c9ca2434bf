"""A generation in the order of the hosts: our own words for what `modules.processing`, the
samplers and the denoiser do around Detour's hooks."""

from __future__ import annotations

import copy
import functools
import inspect
import math
from itertools import pairwise
from types import SimpleNamespace

import torch
from torch import nn
from webui_models import WORDS, ForgeModel, k_diffusion

ON = {"enabled": True, "strength": 0.7, "start_percent": 0.0, "end_percent": 0.6}
"""Detour's values where nothing else is asked for."""


class InterruptedException(BaseException):
    """Raised in the denoiser when the user stops; caught in the sampler."""


def ddim(model, x, timesteps, extra_args=None, callback=None, disable=None):
    """A timestep sampler: like A1111's it calls with integer timesteps, the largest first, and
    ends at the least one, which is not called."""
    alphas = model.inner_model.inner_model.alphas_cumprod
    for index in reversed(range(1, len(timesteps))):
        time = timesteps[index].expand(x.shape[0])
        eps = model(x, time, **(extra_args or {}))
        a, next_a = alphas[timesteps[index]], alphas[timesteps[index - 1]]
        clean = (x - (1 - a).sqrt() * eps) / a.sqrt()
        x = next_a.sqrt() * clean + (1 - next_a).sqrt() * eps
        if callback:
            callback({"i": len(timesteps) - 1 - index})
    return x


def unipc(model, x, timesteps, extra_args=None, callback=None, disable=None, is_img2img=False):
    """The other timestep sampler: of the list it takes the number of steps, and in a picture
    the first time; it calls with times of its own and ends at 0."""
    alphas = model.inner_model.inner_model.alphas_cumprod
    times = torch.linspace(float(timesteps[-1]) if is_img2img else 999.0, 0, len(timesteps) + 1)
    for index, (time, after) in enumerate(pairwise(times)):
        eps = model(x, time.expand(x.shape[0]), **(extra_args or {}))
        a, next_a = alphas[int(time)], alphas[int(after)]
        clean = (x - (1 - a).sqrt() * eps) / a.sqrt()
        x = next_a.sqrt() * clean + (1 - next_a).sqrt() * eps
        if callback:
            callback({"i": index})
    return x


TIMESTEP_SAMPLERS = {"ddim": ddim, "unipc": unipc}


class Timesteps(nn.Module):
    """What A1111 puts around the model for timestep samplers."""

    def __init__(self, model) -> None:
        super().__init__()
        self.inner_model = model

    def forward(self, x, timesteps, **kwargs):
        return self.inner_model.apply_model(x, timesteps, **kwargs)


class Denoiser(nn.Module):
    """The guidance: a possible switch of the model, the callback, then the U-Net."""

    def __init__(self, world, timesteps: bool) -> None:
        super().__init__()
        self.world, self.p, self.step, self.total_steps = world, None, 0, 1
        self.is_forge = isinstance(world.model, ForgeModel)
        self.speaks_timesteps = timesteps
        if timesteps:
            self.alphas = world.model.alphas_cumprod
        if self.is_forge:
            self.classic_ddim_eps_estimation = timesteps
        self.model_wrap = None
        self.cond_scale_miltiplier, self.need_last_noise_uncond = 1.0, False

    @property
    def inner_model(self):
        if self.model_wrap is None:
            if self.speaks_timesteps:
                self.model_wrap = Timesteps(self.world.model)
            else:
                denoiser = k_diffusion().external.CompVisDenoiser
                self.model_wrap = denoiser(self.world.model)
        return self.model_wrap

    def forward(self, x, sigma, cond, uncond, cond_scale):
        world = self.world
        for event in world.events.pop(self.step, []) if world.is_counting(self.p) else []:
            event(self)
        told = sigma
        if self.is_forge and self.speaks_timesteps:  # the family turns it into a sigma first
            a = self.alphas[sigma.long()]
            told = ((1 - a) / a).sqrt()
        params = SimpleNamespace(
            x=x if self.is_forge else torch.cat([x, x]),
            sigma=told if self.is_forge else torch.cat([told, told]),
            text_cond=cond,
            text_uncond=uncond,
            denoiser=self,
            sampling_step=self.step,
        )
        world.callbacks.fire("cfg_denoiser", params)
        world.watch(self.p, float(told[0]))
        mixed = self.mixed_by_modifiers if self.is_forge else self.mixed_here
        out = mixed(x, sigma, params.text_cond, params.text_uncond, cond_scale)
        self.step += 1
        return out

    def mixed_here(self, x, sigma, cond, uncond, scale):
        """As A1111: both halves are computed at any scale; with an option for low memory apart,
        and apart as well if one of the two is longer."""
        if self.world.skips_uncond:
            return self.run(x, sigma, cond, [0])
        if self.world.splits_batches or cond.shape[1] != uncond.shape[1]:
            x_out = torch.cat([self.run(x, sigma, cond, [0]), self.run(x, sigma, uncond, [1])])
        else:
            both = torch.cat([cond, uncond])
            x_out = self.run(torch.cat([x, x]), torch.cat([sigma, sigma]), both, [0, 1])
        conds_list = [[(index, self.world.weight)] for index in range(len(x))]
        return self.combine_denoised(x_out, conds_list, uncond, scale * self.cond_scale_miltiplier)

    def combine_denoised(self, x_out, conds_list, uncond, cond_scale):
        prompt, negative = x_out[: len(conds_list)], x_out[-len(uncond) :]
        return negative + (prompt - negative) * (conds_list[0][0][1] * cond_scale)

    def mixed_by_modifiers(self, x, sigma, cond, uncond, scale):
        """As the Forge family: modifiers in the patcher's options may change what is mixed, and at
        a scale of 1 the negative prompt is left out."""
        options = self.world.model.forge_objects.unet.model_options
        negative = None if self.world.skips_uncond or uncond is None else [uncond]
        parts = [{"cross_attn": cond, "strength": self.world.weight}]
        given = (None, x, sigma, negative, parts, scale, options, 0)
        for modifier in options.get("conditioning_modifiers", []):
            given = modifier(*given)
        _, x, sigma, negative, (part,), scale, options, _ = given
        cond, scale = part["cross_attn"], scale * part["strength"]
        optimizes = not options.get("disable_cfg1_optimization", False)
        if not negative or (math.isclose(given[5], 1.0) and optimizes):
            return self.run(x, sigma, cond, [0]) * part["strength"]
        (uncond,) = negative
        if self.world.splits_batches or cond.shape[1] != uncond.shape[1]:
            parts = self.run(x, sigma, cond, [0]), self.run(x, sigma, uncond, [1])
        else:
            both = torch.cat([cond, uncond])
            parts = self.run(torch.cat([x, x]), torch.cat([sigma, sigma]), both, [0, 1]).chunk(2)
        return parts[1] + (parts[0] - parts[1]) * scale

    def run(self, x, sigma, cond, chunks):
        if self.is_forge:
            return self.inner_model(x, sigma, cond=cond, chunks=chunks)
        return self.inner_model(x, sigma, cond=cond)


class Sampler:
    """A sampler object; the host makes one for each pass of each batch."""

    def __init__(self, world, name: str) -> None:
        self.world, self.name = world, name
        self.is_timestep = name in TIMESTEP_SAMPLERS
        self.func = TIMESTEP_SAMPLERS.get(name) or getattr(k_diffusion().sampling, f"sample_{name}")
        self.model_wrap_cfg = Denoiser(world, self.is_timestep)
        self.last_latent = None

    def schedule(self, steps: int) -> dict:
        if self.is_timestep:
            return {"timesteps": (torch.arange(0, 1000, 1000 // steps) + 1).clip(0, 999)}
        sigmas = k_diffusion().sampling.get_sigmas_karras(steps, 0.0292, 14.6146)
        return {"sigmas": sigmas}

    def launch(self, p, x, given: dict):
        self.model_wrap_cfg.p = p
        self.last_latent = x
        arguments = {k: v for k, v in given.items() if k in inspect.signature(self.func).parameters}
        extra = {"cond": p.cond, "uncond": p.uncond, "cond_scale": p.cfg_scale}
        parts = [[SimpleNamespace(weight=self.world.weight)] for _ in range(len(p.cond))]
        self.sampler_extra_args = {**extra, "cond": SimpleNamespace(batch=parts)}
        try:
            return self.func(
                self.model_wrap_cfg,
                x,
                extra_args=extra,
                disable=True,
                callback=p.callback,
                **arguments,
            )
        except InterruptedException:
            return self.last_latent

    def sample(self, p, x):
        scale = 1.0 if self.is_timestep else 14.6146
        return self.launch(p, x * scale, self.schedule(p.steps))

    def sample_img2img(self, p, x, noise, denoise):
        given = self.schedule(p.steps)
        keep = max(2, round(p.steps * denoise))
        if self.is_timestep:
            given["timesteps"], given["is_img2img"] = given["timesteps"][:keep], True
            return self.launch(p, x + noise, given)
        given["sigmas"] = given["sigmas"][-keep - 1 :]
        return self.launch(p, x + noise * given["sigmas"][0], given)


class Processing:
    """One request: `p`. The model is looked up, not kept."""

    def __init__(self, world, sampler_name="euler", **given) -> None:
        self.world, self.sampler_name = world, sampler_name
        self.steps, self.n_iter, self.batch_size, self.seed = 8, 1, 1, 5
        self.iteration = 0
        self.cfg_scale = 2.0
        self.enable_hr, self.is_hr_pass, self.denoise = False, False, 0.75
        self.refiner_checkpoint_info = None
        self.extra_generation_params, self.comments = {}, {}
        self.scripts, self.sampler, self.callback = None, None, None
        self.args = ()
        rows, generator = given.get("batch_size", 1), torch.Generator().manual_seed(9)
        self.cond = torch.randn(rows, 3, WORDS, generator=generator)
        self.uncond = torch.randn(rows, 3, WORDS, generator=generator)
        for name, value in given.items():
            setattr(self, name, value)

    @property
    def sd_model(self):
        return self.world.model

    def comment(self, text) -> None:
        self.comments[text] = 1

    def noise(self):
        torch.manual_seed(self.seed)  # ancestral samplers draw from the global generator
        return torch.randn(self.batch_size, 4, 8, 8)

    def run_pass(self, latent=None):
        self.sampler = Sampler(self.world, self.sampler_name)
        if self.scripts is not None:
            hooks = 2 if self.is_hr_pass and isinstance(self.sd_model, ForgeModel) else 1
            for index in range(hooks):
                if index:
                    self.sd_model.reset()
                self.scripts.process_before_every_sampling(self, *self.args, x=None)
        noise = self.noise()
        if latent is None:
            return self.sampler.sample(self, noise)
        return self.sampler.sample_img2img(self, latent, noise, self.denoise)


class World:
    """One host: its model, callbacks, and what happens at which denoiser call.

    events: step -> functions of the denoiser, run once in the outermost generation.
    seen: (sigma, the mid-block's stand-in or None) of each denoiser call.
    """

    def __init__(self, made, model, splits_batches=False) -> None:
        self.callbacks = made["modules.script_callbacks"]
        self.model = model
        self.splits_batches = splits_batches
        self.skips_uncond = False  # what the hosts do at CFG 1
        self.weight = 1.0  # of the prompt, as in "a nurse :1.5"
        self.events: dict[int, list] = {}
        self.seen: list[float] = []
        self.counted_p = None

    def is_counting(self, p) -> bool:
        return p is self.counted_p

    def watch(self, p, sigma: float) -> None:
        self.seen.append(sigma)

    def generate(self, p) -> list[torch.Tensor]:
        """`process_images`: the finished latents. An error leaves it as in the hosts: only the
        hooks before it were called."""
        self.counted_p = p
        if isinstance(self.model, ForgeModel):
            self.model.reset()
        if p.scripts is not None:
            p.scripts.before_process(p, *p.args)
            p.scripts.process(p, *p.args)
        latents = []
        for number in range(p.n_iter):
            p.iteration = number
            p.seed += number
            p.is_hr_pass = False
            latent = p.run_pass()
            if p.enable_hr:
                p.is_hr_pass = True
                latent = p.run_pass(latent)
                p.is_hr_pass = False
            latents.append(latent)
        return latents


def cell_of(p):
    """A cell of an X/Y/Z plot: a shallow copy of `p`."""
    return copy.copy(p)


def make(world, values=None, **given) -> Processing:
    """A request with Detour at these values, or without any script."""
    p = Processing(world, **given)
    if values is not None:
        p.scripts, p.args = world.script, (values,)
    return p


def unet_of(world):
    model = world.model
    return model.unet if isinstance(model, ForgeModel) else model.model.diffusion_model


def is_stand_in(block) -> bool:
    """By name: the extension has its own copy of the library, as in the hosts."""
    return type(block).__name__ == "BypassedMidBlock"


def watch_lams(world, monkeypatch):
    """(sigma, lam) of every model call; lam is 0 where no stand-in is in place."""
    seen = []
    unet = unet_of(world)
    kind = type(unet)
    inner = kind.forward

    def forward(self, *args, **kwargs):
        block = self.middle_block
        lam = block.lam if is_stand_in(block) else 0.0
        seen.append((world.seen[-1], lam))
        return inner(self, *args, **kwargs)

    # On the class: the hosts' checks for a replaced instance attribute must not see it.
    monkeypatch.setattr(kind, "forward", functools.wraps(inner)(forward))
    return seen


def assert_clean(world, expected, **given) -> None:
    """Nothing of Detour is in the model, and a plain generation is bit-identical."""
    unet = unet_of(world)
    assert not is_stand_in(unet.middle_block)
    assert not unet._forward_pre_hooks and not unet._forward_hooks
    if isinstance(world.model, ForgeModel):
        assert world.model.forge_objects.unet.model_options == {}
    found = world.generate(make(world, **given))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
