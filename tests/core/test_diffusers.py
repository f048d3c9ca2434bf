"""The bypass in real diffusers: U-Nets, pipelines and schedulers, random weights."""

import logging

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DModel,
    UniPCMultistepScheduler,
)
from diffusers_parts import SD, plain, sd, sdxl

from detour.diffusers import mid_block_bypass
from detour.progress import SigmaTable, stable_diffusion_sigmas
from detour.schedule import Schedule
from detour.ways.bypass import bypassed

WHOLE = {"start_percent": 0.0, "end_percent": 1.0}


def seeded(make, **more):
    """A model with random weights that are the same at each call."""
    torch.manual_seed(0)
    return make(**more).eval()


def plain_unet():
    return seeded(plain, in_channels=4, out_channels=4)


def sd_unet():
    return seeded(sd)


def sdxl_unet():
    return seeded(
        sdxl,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
    )


def call(unet, rows=2, timestep=500):
    """One call with fixed inputs."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 4, 8, 8, generator=generator)
    if isinstance(unet, UNet2DModel):
        return unet(x, timestep).sample
    words = torch.randn(rows, 3, 8, generator=generator)
    extra = {
        "text_embeds": torch.randn(rows, 8, generator=generator),
        "time_ids": torch.ones(rows, 6),
    }
    with torch.no_grad():
        return unet(x, timestep, words, added_cond_kwargs=extra).sample


@pytest.fixture(params=[plain_unet, sd_unet, sdxl_unet])
def unet(request):
    return request.param()


def literal(unet, lam, **inputs):
    """The definition, with the mid-block's forward written over by hand."""
    forward = unet.mid_block.forward

    def blended(h, *args, **kwargs):
        return torch.lerp(forward(h, *args, **kwargs), h, lam)

    unet.mid_block.forward = blended
    try:
        return call(unet, **inputs)
    finally:
        del unet.mid_block.forward


@pytest.mark.parametrize("lam", [0.37, 1.0, -0.5])
@torch.no_grad()
def test_a_call_equals_the_literal_formula(unet, lam):
    expected, plain = literal(unet, lam), call(unet)
    with mid_block_bypass(unet, Schedule(lam, **WHOLE)) as coverage:
        found = call(unet)
    assert torch.equal(found, expected)
    assert not torch.equal(found, plain)
    assert (coverage.calls, coverage.bypassed) == (1, 1)


@torch.no_grad()
def test_strength_zero_and_a_missed_window_are_bit_identical(unet, caplog):
    plain = call(unet)
    with mid_block_bypass(unet, Schedule(0.0, **WHOLE)) as coverage:
        assert torch.equal(call(unet), plain)
    assert (coverage.calls, coverage.bypassed) == (1, 0)
    with caplog.at_level(logging.WARNING), mid_block_bypass(unet, Schedule(1.0)):
        assert torch.equal(call(unet, timestep=100), call_plain(unet, 100))
    assert "was never reached" in caplog.text


def call_plain(unet, timestep):
    """A call of an equal, never patched model."""
    fresh = type(unet).from_config(unet.config).eval()
    fresh.load_state_dict(unet.state_dict())
    return call(fresh, timestep=timestep)


@torch.no_grad()
def test_a_call_that_ctrl_c_ended_leaves_nothing_for_the_next(unet):
    """In a notebook the `with` goes on: torch calls no hook after a KeyboardInterrupt."""
    expected = literal(unet, 0.5)

    def interrupt(*_):
        raise KeyboardInterrupt

    with mid_block_bypass(unet, Schedule(0.5, **WHOLE)):
        handle = unet.mid_block.resnets[0].register_forward_pre_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            call(unet)
        handle.remove()
        assert torch.equal(call(unet), expected)


class Pipeline:
    """As much of a Stable Diffusion pipeline as the bypass reads: its loop, guidance (unknown
    before the first call), batch order [uncond, cond] and the places of unet and scheduler are
    those of diffusers'."""

    def __init__(self, unet, scheduler, guidance=3.0):
        self.unet, self.scheduler, self.asked = unet, scheduler, guidance

    @property
    def do_classifier_free_guidance(self):
        return self.guidance > 1

    def __call__(self, steps, strength=1.0):
        self.guidance = self.asked
        self.scheduler.set_timesteps(steps)
        begin = steps - min(int(steps * strength), steps)
        begin *= self.scheduler.order
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(begin)
        x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
        for timestep in self.scheduler.timesteps[begin:]:
            rows = torch.cat([x, x]) if self.do_classifier_free_guidance else x
            rows = self.scheduler.scale_model_input(rows, timestep)
            words = torch.ones(len(rows), 3, 8)
            words[: len(rows) // 2] = -1
            out = self.unet(rows, timestep, encoder_hidden_states=words).sample
            if self.do_classifier_free_guidance:
                uncond, cond = out.chunk(2)
                out = uncond + self.guidance * (cond - uncond)
            x = self.scheduler.step(out, timestep, x).prev_sample
        return x


SCHEDULERS = {
    "ddim": lambda: DDIMScheduler(**SD),
    "ddpm": lambda: DDPMScheduler(**SD),
    "pndm": lambda: PNDMScheduler(**SD, skip_prk_steps=True),
    "euler": lambda: EulerDiscreteScheduler(**SD),
    "euler_a": lambda: EulerAncestralDiscreteScheduler(**SD),
    "heun": lambda: HeunDiscreteScheduler(**SD),
    "dpm2": lambda: KDPM2DiscreteScheduler(**SD),
    "dpmpp_2m_karras": lambda: DPMSolverMultistepScheduler(**SD, use_karras_sigmas=True),
    "unipc": lambda: UniPCMultistepScheduler(**SD),
}


def sigma_of_calls(pipe, run):
    """The sigma of every U-Net call of a run, read beside the bypass."""
    sigmas = []
    table = SigmaTable(stable_diffusion_sigmas())

    def note(_unet, args, _kwargs):
        sigmas.append(table.sigma(1 - float(args[1]) / 999))

    handle = pipe.unet.register_forward_pre_hook(note, with_kwargs=True)
    run()
    handle.remove()
    return sigmas


@pytest.mark.parametrize("name", SCHEDULERS)
@torch.no_grad()
def test_by_sigma_the_calls_inside_the_window_are_bypassed(name):
    pipe = Pipeline(sd_unet(), SCHEDULERS[name]())
    table = SigmaTable(stable_diffusion_sigmas())
    places = [table.progress(sigma) for sigma in sigma_of_calls(pipe, lambda: pipe(10))]
    near = [place for place in places if abs(place - 0.45) < 0.002]
    assert not near, "choose another window edge: timesteps may be rounded"
    with mid_block_bypass(pipe, Schedule(1.0, end_percent=0.45)) as coverage:
        pipe(10)
    assert coverage.calls == len(places)
    assert coverage.bypassed == sum(place < 0.45 for place in places)
    assert coverage.bypassed > 0


@torch.no_grad()
def test_image_to_image_by_sigma_says_that_the_window_was_missed(caplog):
    pipe = Pipeline(sd_unet(), EulerDiscreteScheduler(**SD))
    plain = pipe(10, 0.3)
    with caplog.at_level(logging.WARNING), mid_block_bypass(pipe, Schedule(1.0)):
        assert torch.equal(pipe(10, 0.3), plain)
    assert "use schedule_by = step" in caplog.text


class Known(StableDiffusionPipeline):
    """For the order of its rows alone."""

    def __init__(self, unet, scheduler, guidance):
        super().__init__(
            *(None, None, None), unet, scheduler, None, None, requires_safety_checker=False
        )
        self._guidance_scale = guidance


@torch.no_grad()
def test_the_half_that_is_never_there_is_told(caplog):
    """Without guidance there is no negative prompt: nothing can be bypassed in it."""
    pipe = Known(sd_unet(), DDIMScheduler(**SD), guidance=1.0)
    plain = call(pipe.unet)
    by_uncond = mid_block_bypass(pipe, Schedule(1.0, **WHOLE), apply_to="uncond")
    with caplog.at_level(logging.WARNING), by_uncond as coverage:
        assert torch.equal(call(pipe.unet), plain)
    assert (coverage.calls, coverage.bypassed) == (1, 0)
    assert "no call of this model had rows of the negative prompt" in caplog.text


@torch.no_grad()
def test_the_bypass_of_the_rows_is_where_the_call_computes(monkeypatch):
    """Put there before the U-Net, which may be compiled."""
    devices = []

    def noted(*args, device=None, **named):
        devices.append(device)
        return bypassed(*args, device=device, **named)

    monkeypatch.setattr("detour.diffusers_acting.bypassed", noted)
    unet = sd_unet()
    with mid_block_bypass(unet, Schedule(0.5, **WHOLE)):
        call(unet)
    assert devices == [unet.device]


@torch.no_grad()
def test_rows_are_told_of_known_loops_only():
    class Renamed(StableDiffusionPipeline):
        """Inherits the loop, and with it the order of the rows."""

    class Other(StableDiffusionPipeline):
        def __call__(self, *args, **more):
            return super().__call__(*args, **more)

    parts = {"vae": None, "text_encoder": None, "tokenizer": None, "feature_extractor": None}
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2)).repeat(2, 1, 1, 1)
    words = torch.ones(2, 3, 8)
    made = {}
    for kind in (Renamed, Other):
        made[kind] = kind(
            unet=sd_unet(),
            scheduler=DDIMScheduler(**SD),
            safety_checker=None,
            requires_safety_checker=False,
            **parts,
        )
    with (
        pytest.raises(ValueError, match="use apply_to = both"),
        mid_block_bypass(made[Other], Schedule(), apply_to="cond"),
    ):
        pass
    pipe = made[Renamed]
    with mid_block_bypass(pipe, Schedule(), apply_to="cond"):
        pass  # a pipeline that was never called is not refused
    unet, pipe._guidance_scale = pipe.unet, 3.0
    with mid_block_bypass(pipe, Schedule(0.6, **WHOLE)):
        both = unet(x, 500, words).sample
    with (
        pytest.raises(ValueError, match="3 rows does not fit the 2 chunks"),
        mid_block_bypass(pipe, Schedule(0.6, **WHOLE), apply_to="cond"),
    ):
        unet(torch.cat([x, x[:1]]), 500, torch.ones(3, 3, 8))
    pipe._guidance_scale = 1.0
    with mid_block_bypass(pipe, Schedule(0.6, **WHOLE), apply_to="cond"):
        assert torch.equal(unet(x, 500, words).sample, both)


@torch.no_grad()
def test_continuous_timesteps_are_read_as_quarter_log_sigma():
    scheduler = EulerDiscreteScheduler(
        **SD,
        prediction_type="v_prediction",
        timestep_type="continuous",
        sigma_min=0.002,
        sigma_max=700.0,
        use_karras_sigmas=True,
    )
    pipe = Pipeline(sd_unet(), scheduler)
    with mid_block_bypass(pipe, Schedule(1.0, end_percent=0.5)) as coverage:
        pipe(9)
    middle = (0.002 * 700) ** 0.5
    expected = sum(float(sigma) > middle for sigma in scheduler.sigmas[:-1])
    assert coverage.bypassed == expected > 0


@torch.no_grad()
@pytest.mark.parametrize("kind", [EDMEulerScheduler, EDMDPMSolverMultistepScheduler])
@pytest.mark.parametrize("by", ["sigma", "step"])
def test_edm_schedulers_are_read_as_quarter_log_sigma(kind, by):
    scheduler = kind(sigma_min=0.002, sigma_max=80.0)
    pipe = Pipeline(sd_unet(), scheduler)
    with mid_block_bypass(pipe, Schedule(1.0, end_percent=0.5, schedule_by=by)) as coverage:
        pipe(9)
    middle = (0.002 * 80) ** 0.5
    early = {"sigma": sum(float(sigma) > middle for sigma in scheduler.sigmas[:-1]), "step": 5}
    assert (coverage.calls, coverage.bypassed) == (9, early[by])


def test_what_cannot_be_told_is_refused():
    unet = sd_unet()
    with (
        pytest.raises(ValueError, match="does not tell which rows"),
        mid_block_bypass(unet, Schedule(), apply_to="cond"),
    ):
        pass
    with (
        pytest.raises(ValueError, match="pass scheduler"),
        mid_block_bypass(unet, Schedule(schedule_by="step")),
    ):
        pass
    unet.mid_block = None
    with (
        pytest.raises(ValueError, match="This model has no mid-block"),
        mid_block_bypass(unet, Schedule()),
    ):
        pass
