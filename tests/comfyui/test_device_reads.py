"""How often Detour waits for the device: never far from its windows, once in a call near them.

There is no device on a CPU, so that whatever would wait for one is counted: each call of a
function that gives a tensor's numbers to Python, if one of our files made it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from graph_parts import sample_custom
from torch.overrides import TorchFunctionMode

OURS = [str(Path(__file__).parents[2] / folder) for folder in ("nodes", "detour")]
READS = {"tolist", "item", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"}
READS |= {"equal", "allclose", "nonzero", "masked_select", "is_nonzero", "__contains__"}


def asked_by_us() -> bool:
    """Whether the nearest frame outside of torch and of this file is one of ours."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if "/torch/" not in file and file != __file__:
            return any(file.startswith(folder) for folder in OURS)
        frame = frame.f_back
    return False


class Reads(TorchFunctionMode):
    """Counts our reads."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        waits = name in READS or (name == "to" and not (kwargs or {}).get("non_blocking"))
        self.count += waits and asked_by_us()
        return function(*args, **(kwargs or {}))


@dataclass
class Seen:
    """For each call of a run: its true sigmas, our reads in it, and whether it was skipped."""

    sigmas: list[list[float]] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    before: int = 0


def counted(lab, patched, run, kind: str = "apply_model") -> Seen:
    """`run(model)` with a MODEL whose calls are counted from outside of our wrappers of a kind."""
    seen, reads = Seen(), Reads()
    watched = patched.clone()

    def around(executor, x, t, *rest, **named):
        before = reads.count
        result = ours(executor, x, t, *rest, **named)
        seen.reads.append(reads.count - before)
        seen.sigmas.append(t.flatten().tolist())
        return result

    # In the place of our wrapper: one before it could change the sigmas, which would be read.
    by_key = watched.wrappers[kind]
    ((key, (ours,)),) = by_key.items()
    by_key[key] = [around]
    with reads:
        run(watched)
    seen.before = reads.count - sum(seen.reads)
    return seen


SAMPLERS = ("euler", "heun", "dpm_2", "dpmpp_2m_sde", "lcm", "uni_pc", "euler_ancestral", "ddim")
MANY_CALLS = ("heun", "dpm_2")


@pytest.mark.parametrize(("denoise", "schedule_by"), [(1.0, "sigma"), (0.6, "step")])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_read_far_from_the_window_and_one_near_it(lab, sampler, denoise, schedule_by):
    model = lab.tiny("small")
    window = {"start_percent": 0.5, "end_percent": 0.7, "schedule_by": schedule_by}
    patched = lab.bypass(model, 0.6, **window)

    def run(watched):
        lab.sample(watched, sampler=sampler, steps=20, denoise=denoise)

    seen = counted(lab, patched, run)
    assert max(seen.reads) == 1
    if schedule_by == "sigma":
        places = [lab.progress_by_hand(model, row[0]) for row in seen.sigmas]
        far = [place < 0.3 or place > 0.9 for place in places]
        inside = [0.5 <= place < 0.7 for place in places]
        assert all(count == 1 for count, is_in in zip(seen.reads, inside, strict=True) if is_in)
        assert all(count == 0 for count, is_far in zip(seen.reads, far, strict=True) if is_far)
    # Inside lie 4 of 20 steps by step; with those beside them at most 9, of one or two calls.
    calls = 2 if sampler in MANY_CALLS else 1
    assert 3 * calls <= sum(seen.reads) <= (9 if schedule_by == "step" else 14) * calls
    assert seen.before <= 2, "the run's sigmas and the model's table, before the first call"


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2", "dpmpp_2m_sde", "lcm", "uni_pc"])
@pytest.mark.parametrize("denoise", [1.0, 0.6])
def test_the_bypass_is_the_true_sigmas_all_the_same(lab, sampler, denoise):
    """The lams of all calls, by the sigma that each one had, in one picture by hand."""
    model = lab.tiny("small")
    window = {"start_percent": 0.35, "end_percent": 0.62}
    patched = lab.bypass(model, 0.8, shape="ramp_down", **window)
    given = {"sampler": sampler, "steps": 9, "denoise": denoise}
    with lab.watching(patched) as watch:
        got = lab.sample(watch.model, **given)
    places = [lab.progress_by_hand(model, sigma) for sigma in watch.sigmas]
    lams = [0.8 * (1 - (p - 0.35) / 0.27) if 0.35 <= p < 0.62 else 0.0 for p in places]
    assert any(lams) and not all(lams)
    with lab.by_hand(model, lab.lerp_each(lams)):
        torch.testing.assert_close(got, lab.sample(model, **given), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(got, lab.sample(model, **given), rtol=1e-3, atol=1e-3)


def test_two_dials_share_the_read(lab):
    model = lab.tiny("small")
    two = lab.bypass(model, 0.5, end_percent=0.4, apply_to="cond")
    two = lab.bypass(two, 0.3, end_percent=0.6, schedule_by="step")
    seen = counted(lab, two, lambda watched: lab.sample(watched, steps=10))
    assert max(seen.reads) == 1 and seen.reads[-1] == 0


@pytest.mark.parametrize("schedule_by", ["sigma", "step"])
def test_a_relief_reads_once_in_an_evaluation_near_its_window(lab, reliefs, schedule_by):
    model = lab.tiny("small")
    window = {"start_percent": 0.5, "end_percent": 0.7, "schedule_by": schedule_by}
    patched = reliefs.relief(model, **window)
    seen = counted(
        lab, patched, lambda watched: lab.sample(watched, steps=20), lab.WrappersMP.PREDICT_NOISE
    )
    assert len(seen.reads) == 20 and max(seen.reads) == 1
    assert 3 <= sum(seen.reads) <= (9 if schedule_by == "step" else 14)
    assert seen.before <= 2


def test_an_evaluation_whose_sigma_a_wrapper_before_ours_changed_is_read(lab, reliefs):
    """For the relief, and for the model calls in it."""
    model = lab.tiny("small").clone()
    scales = []

    def early(executor, x, timestep, *rest, **named):
        return executor(x, torch.full_like(timestep, 10.0), *rest, **named)

    def note(args):
        scales.append(args["cond_scale"])
        return args["denoised"]

    model.add_wrapper_with_key(lab.WrappersMP.PREDICT_NOISE, "theirs", early)
    model.set_model_sampler_post_cfg_function(note)
    both = lab.bypass(reliefs.relief(model, 0.5, end_percent=0.3), end_percent=0.3)
    with lab.watching(both) as watch:
        lab.sample(watch.model, steps=4, denoise=0.3)
    assert scales == [2.0] * 4 and watch.skipped == [True] * 4


def test_a_sampler_that_makes_its_own_steps_is_read_at_each_call(lab):
    """dpm_adaptive visits no sigma of the list and goes back where a step was too long."""
    model = lab.tiny("small")
    patched = lab.bypass(model, start_percent=0.2, end_percent=0.5)

    def run(watched):
        lab.sample(watched, sampler="dpm_adaptive", steps=6)

    seen = counted(lab, patched, run)
    assert set(seen.reads) == {1}
    with lab.watching(patched) as watch:
        run(watch.model)
    places = [lab.progress_by_hand(model, sigma) for sigma in watch.sigmas]
    assert watch.skipped == [0.2 <= place < 0.5 for place in places]


def test_a_call_that_is_not_the_samplers_own_is_read(lab):
    """A patch may call the model at a sigma of its own."""
    model = lab.tiny("small")
    patched = lab.bypass(model, end_percent=0.3)
    other = 10.0  # early, though the run is late

    def at_another_sigma(args):
        lab.comfy.samplers.calc_cond_batch(
            args["model"],
            [args["cond"]],
            args["input"],
            torch.full_like(args["sigma"], other),
            args["model_options"],
        )
        return args["denoised"]

    patched.set_model_sampler_post_cfg_function(at_another_sigma)
    with lab.watching(patched) as watch:
        lab.sample(watch.model, steps=4, denoise=0.3)
    assert watch.skipped == [sigma == other for sigma in watch.sigmas]
    assert watch.skipped.count(True) == 4


def test_a_call_whose_sigmas_a_wrapper_before_ours_may_have_changed_is_read(lab):
    """Another pack's wrapper of the call, put in before the dial: what it hands on counts."""
    model = lab.tiny("small").clone()
    other = 10.0  # early, though the run is late

    def at_another_sigma(executor, x, t, *rest, **named):
        return executor(x, torch.full_like(t, other), *rest, **named)

    model.add_wrapper_with_key(lab.WrappersMP.APPLY_MODEL, "theirs", at_another_sigma)
    with lab.watching(lab.bypass(model, end_percent=0.3)) as watch:
        lab.sample(watch.model, steps=4, denoise=0.3)
    assert {sigma for sigma in watch.sigmas} == {other}
    assert watch.skipped == [True] * 4


def test_rows_of_different_sigmas_are_read(lab):
    """A sampler of another pack with a sigma for each row."""
    model = lab.tiny("small")
    patched = lab.bypass(model, start_percent=0.3, end_percent=0.6)

    def each_row_its_own(model, x, sigmas, extra_args, callback, disable):
        for step in range(len(sigmas) - 2):
            rows = torch.stack([sigmas[step], sigmas[step + 1]])
            x = model(x, rows, **extra_args)
            callback({"i": step, "denoised": x, "x": x})
        return x

    sampler = lab.comfy.samplers.KSAMPLER(each_row_its_own)
    seen = counted(lab, patched, lambda watched: custom(lab, watched, sampler))
    assert set(seen.reads) == {1}
    with lab.watching(patched) as watch:
        custom(lab, watch.model, sampler)
    for call in watch.calls:
        places = [lab.progress_by_hand(model, sigma) for sigma in call.sigmas]
        whole = all(0.3 <= place < 0.6 for place in places)
        assert (call.modules_run == 0) == whole


def custom(lab, model, sampler, steps: int = 8, scheduler: str = "normal") -> None:
    """The host's SamplerCustom, by the sigmas of a scheduler."""
    sampling = model.model.model_sampling
    sigmas = lab.comfy.samplers.calculate_sigmas(sampling, scheduler, steps)
    sample_custom(lab, model, sampler, sigmas)


EXTREMES = {
    "euler": {"s_churn": 1e3},
    "heun": {"s_churn": 1e3},
    "dpm_2": {"s_churn": 1e3},
    "heunpp2": {"s_churn": 1e3},
    "dpm_2_ancestral": {"eta": 1.0},
    "dpmpp_2s_ancestral": {"eta": 1.0},
    "dpmpp_sde": {"r": 1.0},
    "seeds_2": {"r": 1.0},
}


@pytest.mark.parametrize("scheduler", ["normal", "karras"])
def test_all_samplers_that_are_not_read_keep_the_rule(lab, scheduler, monkeypatch):
    """Of all samplers that this host has and that are known: the true sigma of each call lies in
    the span that was told for it."""
    steps_module = lab.pack("nodes.run")
    known = [*lab.comfy.samplers.KSAMPLER_NAMES, "uni_pc", "uni_pc_bh2", "ddim"]
    found, checked = [], set()
    model = lab.tiny("small")
    patched = lab.bypass(model, start_percent=0.999)
    span = steps_module.SamplerSteps.span

    def noted(self, timestep):
        told = span(self, timestep)
        found.append((told, timestep.flatten().tolist(), self.sigmas))
        return told

    monkeypatch.setattr(steps_module.SamplerSteps, "span", noted)
    for name in known:
        plain = lab.comfy.samplers.sampler_object(name)
        function = plain.sampler_function
        for options in ({}, EXTREMES.get(name)):
            if options is None or not steps_module.keeps_rule(plain):
                continue
            sampler = lab.comfy.samplers.KSAMPLER(function, options)
            found.clear()
            custom(lab, patched, sampler, 4, scheduler)
            for told, sigmas, _ in found:
                assert told is not None, f"{name}: more calls in a step than were thought of"
                assert all(told[0] <= sigma <= told[1] for sigma in sigmas), (name, options)
            checked.add(name)
    assert len(checked) >= 38
    assert not checked & {"dpm_fast", "dpm_adaptive"}


@pytest.mark.parametrize("option", [{"eta": 1.5}, {"r": 2.0}])
def test_options_that_reach_further_are_not_trusted(lab, option):
    keeps_rule = lab.pack("nodes.run").keeps_rule
    function = lab.comfy.samplers.sampler_object("dpmpp_sde").sampler_function
    assert keeps_rule(lab.comfy.samplers.KSAMPLER(function, {}))
    assert not keeps_rule(lab.comfy.samplers.KSAMPLER(function, option))


def test_weights_of_rows_are_queued_and_not_waited_for(lab):
    """By half the lams are a tensor: its way to the device does not wait either."""
    model = lab.tiny("small")
    patched = lab.bypass(model, 0.5, apply_to="cond", end_percent=0.5)
    seen = counted(lab, patched, lambda watched: lab.sample(watched, steps=6))
    assert max(seen.reads) == 1 and min(seen.reads) == 0
