"""The host's samplers: the dial fires at exactly those calls that lie inside the window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from graph_parts import sample_custom

SAMPLERS = ("euler", "heun", "dpm_2", "euler_ancestral", "uni_pc")
BETWEEN_STEPS = ("heun", "dpm_2")
"""Samplers that call the model more than once in a step."""


def ksampler(lab, model, sampler: str, steps: int = 8, **inputs) -> torch.Tensor:
    """The host's KSampler node on the model's standard inputs."""
    return lab.node("KSampler")().sample(
        model,
        5,
        steps,
        3.0,
        sampler,
        "normal",
        lab.conditioning(model, 10),
        lab.conditioning(model, 20),
        {"samples": lab.latent(model)},
        **inputs,
    )[0]["samples"]


def step_by_hand(sigmas: Sequence[float], sigma: float) -> float:
    """Progress by step: the place among the run's sigmas, in log sigma, linear at the end."""
    for step, (high, low) in enumerate(pairwise(sigmas)):
        if sigma >= high:
            return step / (len(sigmas) - 1)
        if sigma > low:
            part = math.log(high / sigma) / math.log(high / low) if low else (high - sigma) / high
            return (step + part) / (len(sigmas) - 1)
    return 1.0


@pytest.mark.parametrize("window", [(0.0, 0.4), (0.3, 0.65), (0.8, 1.0)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_fires_by_sigma(lab, sampler, window):
    model = lab.tiny("small")
    start, end = window
    with lab.watching(lab.bypass(model, start_percent=start, end_percent=end)) as watch:
        got = ksampler(lab, watch.model, sampler)
    assert got.isfinite().all()
    places = [lab.progress_by_hand(model, sigma) for sigma in watch.sigmas]
    inside = [start <= place and (place < end or end == 1.0) for place in places]
    assert watch.skipped == inside
    assert len(set(inside)) == 2, "the window has to hold some calls and leave out others"
    assert (len(watch.calls) > 9) == (sampler in BETWEEN_STEPS)


@pytest.mark.parametrize("window", [(0.0, 0.45), (0.3, 0.7), (0.7, 1.0)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_fires_by_step(lab, sampler, window):
    model = lab.tiny("small")
    start, end = window
    patched = lab.bypass(model, start_percent=start, end_percent=end, schedule_by="step")
    run_sigmas = []
    patched.add_wrapper_with_key(
        lab.WrappersMP.SAMPLER_SAMPLE,
        "test",
        lambda executor, guider, sigmas, *rest, **named: (
            run_sigmas.extend(sigmas.tolist()),
            executor(guider, sigmas, *rest, **named),
        )[1],
    )
    with lab.watching(patched) as watch:
        got = ksampler(lab, watch.model, sampler)
    assert got.isfinite().all()
    assert len(run_sigmas) == 9
    places = [step_by_hand(run_sigmas, sigma) for sigma in watch.sigmas]
    inside = [start <= place and (place < end or end == 1.0) for place in places]
    assert watch.skipped == inside
    assert len(set(inside)) == 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_picture_equals_the_one_by_hand(lab, sampler):
    """One strength over the whole run, so that only the sampler differs."""
    model = lab.tiny("small")
    got = ksampler(lab, lab.bypass(model, 0.4), sampler)
    with lab.by_hand(model, lab.lerp(0.4)):
        assert torch.equal(got, ksampler(lab, model, sampler))


def test_window_to_the_end_includes_the_last_call(lab):
    model = lab.tiny("small")
    with lab.watching(lab.bypass(model, start_percent=0.99)) as watch:
        ksampler(lab, watch.model, "euler")
        assert watch.skipped == [False] * 7 + [True]
        smallest = float(model.model.model_sampling.sigmas[0])
        for sigma in (smallest, smallest / 2):
            lab.call(watch.model, lab.latent(model), [sigma] * 2)
    assert watch.skipped[8:] == [True, True]


def test_progress_between_two_entries_of_the_table(lab):
    """Half way in log sigma is half way in progress; the host's own timestep would round."""
    model = lab.tiny("small")
    low, high = model.model.model_sampling.sigmas[500:502].tolist()
    place = 1.0 - 500.5 / 999
    patched = lab.bypass(model, start_percent=place - 1e-4, end_percent=place + 1e-4)
    with lab.watching(patched) as watch:
        for sigma in (high, math.sqrt(high * low), low):
            lab.call(watch.model, lab.latent(model), [sigma] * 2)
    assert watch.skipped == [False, True, False]


def test_window_is_half_open(lab):
    """With 5 calls at progress 0, 0.25, ..., 1 the window 0.25 to 0.75 holds two of them."""
    model = lab.tiny("small")
    sigmas = model.model.model_sampling.sigmas
    places = [len(sigmas) - 1 - round((len(sigmas) - 1) * part / 4) for part in range(5)]
    table = lab.pack("detour.progress").SigmaTable.of(model.model.model_sampling.sigmas)
    edges = [table.progress(float(sigmas[place])) for place in places]
    patched = lab.bypass(model, start_percent=edges[1], end_percent=edges[3])
    with lab.watching(patched) as watch:
        for place in places:
            lab.call(watch.model, lab.latent(model), [float(sigmas[place])] * 2)
    assert watch.skipped == [False, True, True, False, False]


def advanced(lab, model, latent: torch.Tensor, first: int, last: int, **inputs) -> torch.Tensor:
    """The host's KSamplerAdvanced from step `first` to `last` of 8."""
    whole = {
        "add_noise": "enable" if first == 0 else "disable",
        "return_with_leftover_noise": "disable" if last == 8 else "enable",
    }
    return lab.node("KSamplerAdvanced")().sample(
        model=model,
        noise_seed=5,
        steps=8,
        cfg=3.0,
        sampler_name="euler",
        scheduler="normal",
        positive=lab.conditioning(model, 10),
        negative=lab.conditioning(model, 20),
        latent_image={"samples": latent},
        start_at_step=first,
        end_at_step=last,
        **whole,
        **inputs,
    )[0]["samples"]


@pytest.mark.parametrize("split", [1, 3, 6])
def test_advanced_run_split_at_a_step_equals_the_whole_run(lab, split):
    """By sigma the window means the same in every part of a run."""
    model = lab.demo_model()  # its latent format does not scale, so halves are exact
    start = torch.zeros_like(lab.latent(model))
    patched = lab.bypass(model, 0.7, shape="bump", start_percent=0.2, end_percent=0.6)
    whole = advanced(lab, patched, start, 0, 8)
    half = advanced(lab, patched, start, 0, split)
    assert torch.equal(advanced(lab, patched, half, split, 8), whole)
    assert not torch.equal(whole, advanced(lab, model, start, 0, 8))


def test_advanced_run_by_step_counts_the_steps_of_its_own_part(lab):
    model = lab.demo_model()
    start = torch.zeros_like(lab.latent(model))
    patched = lab.bypass(model, end_percent=0.5, schedule_by="step")
    with lab.watching(patched) as watch:
        half = advanced(lab, watch.model, start, 0, 4)
        advanced(lab, watch.model, half, 4, 8)
    assert watch.skipped == [True, True, False, False] * 2


@pytest.mark.parametrize("schedule_by", ["sigma", "step"])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_sampler_custom(lab, sampler, schedule_by):
    """Free sigmas, here of a scheduler whose steps are far from even."""
    model = lab.tiny("small")
    sigmas = lab.comfy.samplers.calculate_sigmas(model.model.model_sampling, "karras", 8)
    sampler = lab.comfy.samplers.sampler_object(sampler)
    with lab.watching(lab.bypass(model, end_percent=0.35, schedule_by=schedule_by)) as watch:
        sample_custom(lab, watch.model, sampler, sigmas)
    if schedule_by == "sigma":
        places = [lab.progress_by_hand(model, sigma) for sigma in watch.sigmas]
    else:
        places = [step_by_hand(sigmas.tolist(), sigma) for sigma in watch.sigmas]
    assert watch.skipped == [place < 0.35 for place in places]
    got = sample_custom(lab, lab.bypass(model, 0.4, schedule_by=schedule_by), sampler, sigmas)
    with lab.by_hand(model, lab.lerp(0.4)):
        assert torch.equal(got, sample_custom(lab, model, sampler, sigmas))


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_by_step_a_sigma_that_comes_again_is_another_step(lab, sampler):
    """As in restart sampling."""
    model = lab.tiny("small")
    sigmas, each = torch.tensor([12.0, 4.0, 1.0, 4.0, 1.0, 0.0]), 1 + (sampler == "heun")
    with lab.watching(lab.bypass(model, end_percent=0.5, schedule_by="step")) as watch:
        sample_custom(lab, watch.model, lab.comfy.samplers.sampler_object(sampler), sigmas)
    steps = [step + second for step in range(5) for second in range(each)][: 4 * each + 1]
    assert watch.sigmas == pytest.approx([sigmas[step].item() for step in steps])
    assert watch.skipped == [step / 5 < 0.5 for step in steps]


def test_by_step_without_the_runs_sigmas_is_refused(lab):
    """Something that calls the model directly gives no list of sigmas."""
    model = lab.tiny("small")
    patched = lab.bypass(model, schedule_by="step")
    with pytest.raises(ValueError, match="use schedule_by = sigma"):
        lab.call(patched, lab.latent(model), [3.0, 3.0])
