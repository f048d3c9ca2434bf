"""schedule_by = step with every scheduler of diffusers, against the definition written out.

The progress of a call is the fractional index of its sigma in the sigmas of this run, between
two steps in log sigma, divided by the number of steps.
"""

import inspect
import math
from itertools import chain, pairwise

import diffusers
import diffusers_zoo as zoo
import numpy as np
import pytest
import torch
from torch import nn

from detour.diffusers import mid_block_bypass
from detour.schedule import Schedule

SD = zoo.SD
WINDOWS = ((0.0, 0.3), (0.25, 0.5), (0.5, 1.0), (0.23, 0.47))

ON_THEIR_OWN = (
    *("CMStochasticIterativeScheduler", "CosineDPMSolverMultistepScheduler"),
    *("EDMDPMSolverMultistepScheduler", "EDMEulerScheduler", "FlowMatchEulerDiscreteScheduler"),
    *("FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler", "IPNDMScheduler"),
    "UnCLIPScheduler",
)
OF_STABLE_DIFFUSION = (
    *("DDIMInverseScheduler", "DDIMParallelScheduler", "DDIMScheduler", "DDPMParallelScheduler"),
    *("DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepInverseScheduler"),
    *("DPMSolverMultistepScheduler", "DPMSolverSDEScheduler", "DPMSolverSinglestepScheduler"),
    *("EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"),
    *("KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LCMScheduler"),
    *("LMSDiscreteScheduler", "SASolverScheduler", "TCDScheduler", "UniPCMultistepScheduler"),
)
FITTING = {
    **{name: {} for name in ON_THEIR_OWN},
    **{name: SD for name in OF_STABLE_DIFFUSION},
    "PNDMScheduler": {**SD, "skip_prk_steps": True},
}
"""The settings of each scheduler that steps from noise to a picture."""
OTHERS = {
    "tokens": (
        *("AmusedScheduler", "BlockRefinementScheduler", "DiscreteDDIMScheduler"),
        *("EntropyBoundScheduler", "VQDiffusionScheduler"),
    ),
    "a transformer's": (
        *("CogVideoXDDIMScheduler", "CogVideoXDPMScheduler", "FlowMapEulerDiscreteScheduler"),
        *("HeliosDMDScheduler", "HeliosScheduler", "LTXEulerAncestralRFScheduler", "SCMScheduler"),
    ),
    "of a U-Net without a mid-block": ("DDPMWuerstchenScheduler",),
    "hand sigmas to their U-Net: refused (test_diffusers_pipelines)": (
        *("KarrasVeScheduler", "ScoreSdeVeScheduler"),
    ),
    "steps with a picture: test_diffusers_pipelines": ("RePaintScheduler",),
}
VARIANTS = {
    "dpmpp_sigma_min": ("DPMSolverMultistepScheduler", {"final_sigmas_type": "sigma_min"}),
    "dpmpp_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "sde_dpmpp": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "euler_sigma_min": ("EulerDiscreteScheduler", {"final_sigmas_type": "sigma_min"}),
    "euler_trailing": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    "heun_karras": ("HeunDiscreteScheduler", {"use_karras_sigmas": True}),
    "kdpm2_karras": ("KDPM2DiscreteScheduler", {"use_karras_sigmas": True}),
    "pndm_runge_kutta": ("PNDMScheduler", {"skip_prk_steps": False}),
    "unipc_sigma_min": ("UniPCMultistepScheduler", {"final_sigmas_type": "sigma_min"}),
    "ddim_trailing": ("DDIMScheduler", {"timestep_spacing": "trailing"}),
}


def test_every_scheduler_of_diffusers_is_here():
    kinds = vars(diffusers.schedulers)
    names = {n for n in dir(diffusers.schedulers) if n.endswith("Scheduler") and "Flax" not in n}
    names = {n for n in names if inspect.isclass(getattr(diffusers, n, None)) and n in kinds}
    assert names == {*FITTING, *chain(*OTHERS.values())}


class Model(nn.Module):
    """Has a mid-block, and little else."""

    def __init__(self):
        super().__init__()
        self.mid_block = nn.Identity()

    def forward(self, sample, timestep):
        return self.mid_block(sample) * 0.1


class Pipe:
    """A pipeline's loop: image-to-image leaves out the first steps, `denoising_end` the last."""

    def __init__(self, scheduler, tells=True):
        self.unet, self.scheduler, self.tells = Model(), scheduler, tells

    def __call__(self, strength=1.0, keep=None, after=None, **given):
        scheduler = self.scheduler
        scheduler.set_timesteps(**given)
        order = getattr(scheduler, "order", 1)
        steps = len(scheduler.timesteps[::order])
        begin = (steps - max(1, min(int(steps * strength), steps))) * order
        if begin and hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(begin)
        times = scheduler.timesteps[begin:][:keep]
        if self.tells:
            self._num_timesteps = len(times)
        x = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(2))
        for time in times:
            scaled = x
            if hasattr(scheduler, "scale_model_input"):
                scaled = scheduler.scale_model_input(x, time)
            out = self.unet(scaled, time)
            after(time)
            x = scheduler.step(out, time, x)[0]
        return begin, times


def flags(pipe, window, **given):
    """For each call whether it was bypassed, and what the loop did."""
    schedule = Schedule(1.0, start_percent=window[0], end_percent=window[1], schedule_by="step")
    found = []
    with mid_block_bypass(pipe, schedule) as coverage:
        run = pipe(after=lambda _: found.append(coverage.bypassed), **given)
    return [b > a for a, b in zip([0, *found], found, strict=False)], run


def literal(scheduler, begin, times):
    """The progress of each call: the definition, slowly."""
    sigmas = run_sigmas(scheduler, begin, times)
    steps = len(sigmas) - 1
    return [fraction(sigmas, own) / steps for own in call_sigmas(scheduler, begin, times)]


def table(scheduler, time):
    """The sigma at a timestep: log sigma between the two of training next to it."""
    kept = scheduler.alphas_cumprod.double().clamp(1e-12, 1 - 1e-12)
    logs = ((1 - kept) / kept).log().numpy() / 2
    return math.exp(np.interp(float(time), np.arange(len(logs)), logs))


def run_sigmas(scheduler, begin, times):
    if hasattr(scheduler, "sigmas") and hasattr(scheduler, "step_index"):
        own = [float(s) for s in scheduler.sigmas[begin : begin + len(times) + 1]]
        if scheduler.order == 1:
            closing = own[-1:] if len(own) == len(times) else []  # no closing one: it stays
            return own + closing
        return [s for at, s in enumerate(own) if at == 0 or s != own[at - 1]]
    if not hasattr(scheduler, "alphas_cumprod"):  # IPNDM: its times fall with its sigmas
        return [float(t) for t in scheduler.timesteps[begin : begin + len(times)]] + [0.0]
    stops = getattr(scheduler, "_timesteps", scheduler.timesteps)
    steps = [t for t in dict.fromkeys(map(float, times)) if t in [float(s) for s in stops]]
    rest = [float(t) for t in scheduler.timesteps[begin + len(times) :]]
    closing = table(scheduler, rest[0]) if rest else 0.0
    if len(steps) > 1 and steps[0] < steps[1]:  # inverse: it ends above the last
        closing = table(scheduler, rest[0]) if rest else math.inf
    return [*(table(scheduler, time) for time in steps), closing]


def call_sigmas(scheduler, begin, times):
    if hasattr(scheduler, "sigmas") and hasattr(scheduler, "step_index"):
        own = [float(s) for s in scheduler.sigmas]
        if scheduler.order == 1:
            return own[begin : begin + len(times)]
        return [
            near(own, table(scheduler, time)) if hasattr(scheduler, "alphas_cumprod") else own[i]
            for i, time in enumerate(times, begin)
        ]
    if not hasattr(scheduler, "alphas_cumprod"):
        return [float(time) for time in times]
    return [table(scheduler, time) for time in times]


def near(own, sigma):
    """The run's sigma if a timestep is one of its steps (to a rounding), else itself."""
    best = min((s for s in own if s > 0), key=lambda s: abs(math.log(s / sigma)))
    return best if abs(math.log(best / sigma)) < 2e-3 else sigma


def fraction(sigmas, sigma):
    for at, (a, b) in enumerate(pairwise(sigmas)):
        if abs(sigma - a) <= 1e-6 * a:
            return float(at)
        if min(a, b) < sigma < max(a, b):
            return at + (math.log(a / sigma) / math.log(a / b) if b else (a - sigma) / a)
    return float(len(sigmas) - 1)


def check(scheduler, **given):
    try:
        Pipe(make(scheduler))(after=lambda _: None, **given)
    except (ValueError, IndexError, AttributeError, TypeError, ZeroDivisionError) as error:
        pytest.skip(f"diffusers itself: {error}")
    checked = 0
    for window in WINDOWS:
        pipe = Pipe(make(scheduler))
        found, (begin, times) = flags(pipe, window, **given)
        places = literal(pipe.scheduler, begin, times)
        if any(0 < abs(place - edge) < 1e-3 for place in places for edge in window):
            continue  # a stage in the middle of a step, on an edge of the window but for rounding
        checked += 1
        last = window[1] == 1.0
        assert found == [window[0] <= p and (p < window[1] or last) for p in places], places
    assert checked > 0


def make(name):
    kind, more = VARIANTS.get(name, (name, {}))
    return getattr(diffusers, kind)(**{**FITTING[kind], **more})


USUAL = {
    *("DDIMInverseScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler"),
    *("EulerDiscreteScheduler", "HeunDiscreteScheduler", "LCMScheduler", "PNDMScheduler"),
    *("SASolverScheduler", "UniPCMultistepScheduler"),
}
"""One of each kind of list of steps; `dev.py test --long` runs the others too."""
ALL = [
    pytest.param(name, marks=() if name in USUAL else pytest.mark.long)
    for name in (*FITTING, *VARIANTS)
]


@pytest.mark.parametrize("steps", [pytest.param(20, marks=pytest.mark.long), 1, 4, 10])
@pytest.mark.parametrize("name", ALL)
def test_the_calls_in_the_window_are_bypassed(name, steps):
    check(name, num_inference_steps=steps)


@pytest.mark.parametrize("strength", [0.6, 0.3])
@pytest.mark.parametrize("name", ALL)
def test_image_to_image(name, strength):
    check(name, num_inference_steps=20, strength=strength)


@pytest.mark.parametrize("keep", [pytest.param(1, marks=pytest.mark.long), 6, 7])
@pytest.mark.parametrize("name", ALL)
def test_a_run_that_ends_before_its_schedule(name, keep):
    check(name, num_inference_steps=10, keep=keep)


OWN_TIMES = {"timesteps": [999, 600, 300, 7]}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("EulerDiscreteScheduler", OWN_TIMES),
        ("EulerDiscreteScheduler", {"sigmas": [9.0, 4.0, 1.0, 0.2, 0.0]}),
        ("DPMSolverMultistepScheduler", OWN_TIMES),
        ("HeunDiscreteScheduler", OWN_TIMES),
        ("LCMScheduler", OWN_TIMES),
        ("UniPCMultistepScheduler", {"sigmas": [9.0, 4.0, 1.0, 0.2]}),
    ],
)
def test_a_list_of_ones_own(name, given):
    check(name, **given)


def calls_of(name, scheduler, schedule, **given):
    """U-Net calls of a real pipeline that were made and that were bypassed."""
    pipe, run = zoo.make(name)
    pipe.scheduler = scheduler
    with torch.no_grad(), mid_block_bypass(pipe, schedule) as coverage:
        run(**given)
    return coverage.calls, coverage.bypassed


ENDING = [
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "StableDiffusionXLPAGPipeline",
    "StableDiffusionXLControlNetPipeline",
    "StableDiffusionXLControlNetUnionPipeline",
    "AnimateDiffSDXLPipeline",
    "KolorsPipeline",
]


@pytest.mark.parametrize(
    "kind", ["DDIMScheduler", "EulerDiscreteScheduler", "UniPCMultistepScheduler"]
)
@pytest.mark.parametrize(
    "name", [ENDING[0], *(pytest.param(n, marks=pytest.mark.long) for n in ENDING[1:])]
)
def test_denoising_end_is_the_end_of_the_run(name, kind):
    schedule = Schedule(1.0, end_percent=0.5, schedule_by="step")
    more = {"strength": 1.0} if "Img2Img" in name or "Inpaint" in name else {}
    found = calls_of(name, make(kind), schedule, num_inference_steps=10, denoising_end=0.6, **more)
    assert found in ((6, 3), (7, 4))  # 7: UniPC's own rounding puts one more before the cut


@pytest.mark.parametrize(
    "kind", ["DDIMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"]
)
def test_denoising_start_begins_the_run(kind):
    schedule = Schedule(1.0, end_percent=0.5, schedule_by="step")
    given = {"num_inference_steps": 10, "denoising_start": 0.6}
    found = calls_of("StableDiffusionXLImg2ImgPipeline", make(kind), schedule, **given)
    assert found == ((9, 5) if kind.startswith("Heun") else (4, 2))


@pytest.mark.parametrize(
    "name",
    [
        "StableDiffusionXLAdapterPipeline",
        "StableDiffusionXLControlNetInpaintPipeline",
        "StableDiffusionXLInstructPix2PixPipeline",
    ],
)
def test_a_pipeline_that_does_not_tell_its_end_is_refused(name):
    pipe, _ = zoo.make(name)
    schedule = Schedule(1.0, schedule_by="step")
    with pytest.raises(ValueError, match="does not tell where its run ends"):
        with mid_block_bypass(pipe, schedule):
            pass


def test_runs_of_other_lengths_in_one_with():
    pipe = Pipe(make("DDIMScheduler"))
    schedule = Schedule(1.0, end_percent=0.5, schedule_by="step")
    found = []
    with mid_block_bypass(pipe, schedule) as coverage:
        for given in ({}, {"strength": 0.5}, {"strength": 0.3}, {"keep": 4}, {}):
            before = coverage.bypassed
            pipe(num_inference_steps=20, after=lambda _: None, **given)
            found.append(coverage.bypassed - before)
    assert found == [10, 5, 3, 2, 10]
