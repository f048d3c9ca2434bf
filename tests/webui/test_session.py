"""Generations in the hosts' order with the real k-diffusion samplers and real U-Nets.

After whatever happened the next plain generation is bit-identical to a fresh one.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import pytest
import torch
from stand_in import SHIM, run_shim
from webui_driver import ON, InterruptedException, assert_clean, cell_of, make, watch_lams
from webui_models import A1111Model, ForgeModel, alphas_cumprod, k_diffusion, ldm_unet, looping_unet

from detour.progress import SigmaTable, stable_diffusion_sigmas
from detour.schedule import Schedule

pytestmark = pytest.mark.usefixtures("no_grad")
SAMPLERS = ("euler", "heun", "dpmpp_2m", "euler_ancestral", "ddim")


@pytest.mark.parametrize("sampler_name", SAMPLERS)
def test_lam_follows_the_schedule_by_sigma(world, monkeypatch, sampler_name):
    plain = world.generate(make(world, sampler_name=sampler_name))
    seen = watch_lams(world, monkeypatch)
    world.seen.clear()
    changed = world.generate(make(world, {**ON, "shape": "ramp_down"}, sampler_name=sampler_name))
    table = SigmaTable(stable_diffusion_sigmas())
    schedule = Schedule(0.7, "ramp_down", 0.0, 0.6)
    assert len({lam for _, lam in seen}) > 2
    for sigma, lam in seen:
        if sampler_name == "ddim" and not isinstance(world.model, ForgeModel):
            a = alphas_cumprod()[int(sigma)]
            sigma = float(((1 - a) / a).sqrt())
        assert lam == pytest.approx(schedule.lam(table.progress(sigma)), abs=1e-4)
    assert not torch.equal(changed[0], plain[0])
    assert_clean(world, plain, sampler_name=sampler_name)


@pytest.mark.parametrize("sampler_name", SAMPLERS)
def test_by_step_the_window_counts_steps_of_this_run(world, monkeypatch, sampler_name):
    seen = watch_lams(world, monkeypatch)
    values = {**ON, "schedule_by": "step", "end_percent": 0.85, "strength": 1.0}
    world.generate(make(world, values, sampler_name=sampler_name, steps=8))
    sigmas = sorted({sigma for sigma, _ in seen}, reverse=True)
    bypassed = sorted({sigma for sigma, lam in seen if lam == 1.0}, reverse=True)
    # The hosts' timestep samplers close at the least timestep: one step less than asked for.
    steps, inside = (7, 6) if sampler_name == "ddim" else (8, 7)
    assert bypassed == sigmas[:inside] and len(sigmas) == steps


@pytest.mark.parametrize("hires", ["same", "off"])
def test_by_step_with_a_sampler_that_makes_its_own_timesteps(world, monkeypatch, hires):
    seen = watch_lams(world, monkeypatch)
    values = {**ON, "schedule_by": "step", "end_percent": 0.3, "strength": 1.0, "hires": hires}
    world.generate(make(world, values, sampler_name="unipc", enable_hr=True))
    lams = [lam for _, lam in seen]
    second = [1.0, 1.0] if hires == "same" else [0.0, 0.0]
    # Eight steps, of which 0 to 2/8 lie in the window; then six, of which 0 and 1/6 do.
    assert lams == [1.0] * 3 + [0.0] * 5 + second + [0.0] * 4


def test_strength_zero_or_switched_off_is_the_plain_picture(world):
    plain = world.generate(make(world))
    for values in ({**ON, "strength": 0.0}, {**ON, "enabled": False}):
        p = make(world, values)
        assert torch.equal(world.generate(p)[0], plain[0])
        assert p.extra_generation_params == {}


@pytest.mark.parametrize(
    ("sampler_name", "error"),
    list(zip(SAMPLERS, (RuntimeError, KeyboardInterrupt, InterruptedException) * 2, strict=False)),
)
def test_after_an_error_or_an_interrupt_nothing_is_left(world, sampler_name, error):
    plain = world.generate(make(world, sampler_name=sampler_name))

    def stop(_denoiser):
        raise error("in the middle")

    world.events[3] = [stop]
    if error is InterruptedException:
        world.generate(make(world, ON, sampler_name=sampler_name))
    else:
        with pytest.raises(error):
            world.generate(make(world, ON, sampler_name=sampler_name))
    assert_clean(world, plain, sampler_name=sampler_name)


def test_an_error_of_ours_leaves_the_rest_of_the_run_plain(world, monkeypatch):
    seen = watch_lams(world, monkeypatch)
    session = sys.modules["detour_webui.extension.session"].Session
    own, calls = session._progress, []

    def breaks(self, params):
        calls.append(params)
        if len(calls) == 3:
            raise KeyError("what no one thought of")
        return own(self, params)

    fire = world.callbacks.fire

    def goes_on(event, *args):  # as the hosts do, which print a callback's error
        with suppress(KeyError):
            fire(event, *args)

    monkeypatch.setattr(session, "_progress", breaks)
    monkeypatch.setattr(world.callbacks, "fire", goes_on)
    world.generate(make(world, ON))
    assert [lam for _, lam in seen][:2] == [0.7, 0.7] and {lam for _, lam in seen[2:]} == {0.0}


@pytest.mark.parametrize(
    ("values", "first", "second"),
    [
        ({}, {0.0, 0.7}, {0.0, 0.7}),
        ({"hires": "off"}, {0.0, 0.7}, {0.0}),
        ({"hires": "own", "hires_strength": -0.5}, {0.0, 0.7}, {0.0, -0.5}),
        ({"strength": 0.0, "hires": "own", "hires_strength": 0.4}, {0.0}, {0.0, 0.4}),
    ],
)
def test_the_hires_pass_has_a_session_and_a_control_of_its_own(
    world, monkeypatch, values, first, second
):
    """At the same sigmas as the first pass."""
    plain = world.generate(make(world, enable_hr=True))
    seen = watch_lams(world, monkeypatch)
    p = make(world, {**ON, **values}, enable_hr=True)
    world.generate(p)
    armed = getattr(p.sampler.sample_img2img, "__wrapped__", None)
    assert not hasattr(armed, "__wrapped__"), "armed twice"
    start = next(i for i in range(1, len(seen)) if seen[i][0] > seen[i - 1][0])
    assert seen[start][0] < seen[0][0]
    assert {lam for _, lam in seen[:start]} == first
    assert {lam for _, lam in seen[start:]} == second
    assert_clean(world, plain, enable_hr=True)


def test_every_batch_has_its_session(world, monkeypatch):
    plain = world.generate(make(world, n_iter=3))
    seen = watch_lams(world, monkeypatch)
    p = make(world, ON, n_iter=3)
    world.generate(p)
    assert p.sampler.func is k_diffusion().sampling.sample_euler, "its own is back"
    part = len(seen) // 3
    assert seen[:part] == seen[part : 2 * part] == seen[2 * part :]
    assert {lam for _, lam in seen} == {0.0, 0.7}
    assert_clean(world, plain, n_iter=3)


@pytest.mark.parametrize(
    ("refiner", "expected", "tells"),
    [
        ("both", (True, True), False),
        ("base", (True, False), True),
        ("base", (True, False), False),
        ("refiner", (False, True), True),
    ],
)
def test_the_refiner_is_followed(world, monkeypatch, refiner, expected, tells):
    plain = world.generate(make(world))
    base = world.model
    other = type(base)(ldm_unet() if type(base) is A1111Model else looping_unet(), "refiner")

    def switch(denoiser):
        if tells:
            world.callbacks.fire("model_loaded", other)
        world.model = other
        denoiser.model_wrap = None

    world.events[4] = [switch]
    seen = watch_lams(world, monkeypatch)
    values = {**ON, "end_percent": 1.0, "refiner": refiner}
    world.generate(make(world, values, refiner_checkpoint_info="refiner"))
    per_model = [seen[i][1] == 0.7 for i in (0, -1)]
    assert tuple(per_model) == expected
    assert_clean(world, world.generate(make(world)))
    world.model = base
    assert_clean(world, plain)


def test_weights_loaded_into_the_same_u_net_are_followed(world, monkeypatch):
    def switch(_denoiser):
        world.model.sd_checkpoint_info = "refiner"

    world.events[4] = [switch]
    seen = watch_lams(world, monkeypatch)
    values = {**ON, "end_percent": 1.0, "refiner": "base"}
    world.generate(make(world, values, refiner_checkpoint_info="refiner"))
    assert seen[0][1] == 0.7 and seen[-1][1] == 0.0


@pytest.mark.parametrize(("armed", "whole"), [(True, True), (True, False), (False, True)])
def test_a_sampling_within_ours_is_its_own(world, armed, whole):
    """Another extension samples in the middle: with our script its own bypass, else none.
    It may run a whole generation, or only the sampling."""
    plain = world.generate(make(world))
    inner_values = {**ON, "strength": 0.2} if armed else None
    alone = world.generate(make(world, inner_values, seed=11))
    outer_alone = world.generate(make(world, ON))
    found = []

    def sample_within(denoiser):
        state = torch.random.get_rng_state()
        inner = make(world, inner_values, seed=11)
        outer_p = world.counted_p
        if whole:
            found.append(world.generate(inner))
        else:
            if armed:
                world.script.process(inner, *inner.args)
            found.append([inner.run_pass()])
        world.counted_p = outer_p
        torch.random.set_rng_state(state)

    world.events[2] = [sample_within]
    outer = world.generate(make(world, ON))
    assert torch.equal(found[0][0], alone[0])
    assert torch.equal(outer[0], outer_alone[0])
    assert_clean(world, plain)


def test_an_error_in_a_sampling_within_ours_leaves_ours_working(world):
    outer_alone = world.generate(make(world, ON))

    def fails(_denoiser):
        raise RuntimeError("inner")

    def sample_within(denoiser):
        inner, outer_p = make(world, {**ON, "strength": 0.2}, seed=11), world.counted_p
        world.events[1] = [fails]
        with pytest.raises(RuntimeError):
            world.generate(inner)
        world.counted_p = outer_p

    world.events[2] = [sample_within]
    assert torch.equal(world.generate(make(world, ON))[0], outer_alone[0])


def test_reload_of_the_page_keeps_it_working_once(world, monkeypatch):
    first = world.generate(make(world, ON))
    world.callbacks.fire("script_unloaded")
    world.callbacks.clear_callbacks()
    world.script = run_shim(SHIM).DetourScript()
    p = make(world, ON)
    assert torch.equal(world.generate(p)[0], first[0])


@pytest.mark.parametrize("splits", [True, False])
@pytest.mark.parametrize(("apply_to", "rows"), [("cond", (0.7, 0.0)), ("uncond", (0.0, 0.7))])
def test_one_half_of_guidance_also_in_split_batches(world, monkeypatch, splits, apply_to, rows):
    world.splits_batches = splits
    seen = watch_lams(world, monkeypatch)
    values = {**ON, "apply_to": apply_to, "end_percent": 1.0}
    world.generate(make(world, values, batch_size=2))
    lams = [lam for _, lam in seen]
    if splits:
        assert lams[:4] == [rows[0], rows[1]] * 2
    else:
        assert set(lams) == {(rows[0], rows[0], rows[1], rows[1])}


def test_cells_of_a_plot_do_not_leak_into_each_other(world):
    p = make(world, {**ON, "enabled": False})
    plain = world.generate(make(world))
    first, second = cell_of(p), cell_of(p)
    first.detour_axes = {"strength": 0.5}
    changed = world.generate(first)
    assert first.extra_generation_params["Detour strength"] == "0.5"
    assert torch.equal(world.generate(second)[0], plain[0])
    assert "Detour strength" not in second.extra_generation_params
    assert not torch.equal(changed[0], plain[0])
