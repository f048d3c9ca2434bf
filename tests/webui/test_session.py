"""Generations in the hosts' order with the real k-diffusion samplers and real U-Nets.

After whatever happened the next plain generation is bit-identical to a fresh one.
"""

from __future__ import annotations

import functools
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch
from stand_in import SHIM, modules_in_place, run_shim
from webui_driver import (
    InterruptedException,
    Sampler,
    World,
    assert_clean,
    cell_of,
    is_stand_in,
    make,
    unet_of,
)
from webui_models import (
    A1111Model,
    ForgeModel,
    a1111,
    alphas_cumprod,
    chroma_transformer,
    flux_transformer,
    k_diffusion,
    ldm_unet,
    looping_unet,
)

from detour.progress import SigmaTable, stable_diffusion_sigmas
from detour.schedule import Schedule

pytestmark = pytest.mark.usefixtures("no_grad")
SAMPLERS = ("euler", "heun", "dpmpp_2m", "euler_ancestral", "ddim")
ON = {"enabled": True, "strength": 0.7, "start_percent": 0.0, "end_percent": 0.6}


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


def test_a_run_that_was_cut_short_is_not_said_to_miss_its_window(world):
    late = {**ON, "start_percent": 0.5, "end_percent": 0.501}
    whole = make(world, late)
    world.generate(whole)
    assert ["was never reached" in text for text in whole.comments] == [True]

    def stop(_denoiser):
        raise InterruptedException("in the middle")

    world.events[2] = [stop]
    short = make(world, late)
    world.generate(short)
    assert list(short.comments) == []


@pytest.mark.parametrize(("refiner", "same"), [("refiner", None), ("base", "base")])
def test_a_setting_of_the_refiner_that_fits_no_call_is_told(world, refiner, same):
    plain = world.generate(make(world))
    world.model.sd_checkpoint_info = "base"
    p = make(world, {**ON, "refiner": refiner}, refiner_checkpoint_info=same)
    assert torch.equal(world.generate(p)[0], plain[0])
    assert ["choose 'both'" in text for text in p.comments] == [True]


def test_the_refiner_of_the_hires_pass_alone_is_no_miss(world):
    """The hosts' default: the first pass has the base model only."""
    world.model.sd_checkpoint_info = "base"

    def generated(**given):
        p = make(world, {**ON, "refiner": "refiner"}, refiner_checkpoint_info="refiner", **given)
        world.generate(p)
        return ["choose 'both'" in text for text in p.comments]

    assert generated() == [True] and generated(enable_hr=True) == [True]
    own = world.script.process_before_every_sampling

    def second_is_the_refiners(p, *args, **kwargs):
        world.model.sd_checkpoint_info = "refiner" if p.is_hr_pass else "base"
        own(p, *args, **kwargs)

    world.script.process_before_every_sampling = second_is_the_refiners
    assert generated(enable_hr=True) == []


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


def test_the_half_that_is_never_there_is_told(world):
    world.skips_uncond = True
    plain = world.generate(make(world))
    p = make(world, {**ON, "apply_to": "uncond"})
    assert torch.equal(world.generate(p)[0], plain[0])
    assert any("no call of this model had rows of the negative" in text for text in p.comments)
    p = make(world, {**ON, "apply_to": "cond"})
    assert not torch.equal(world.generate(p)[0], plain[0])
    assert not any("no call of this model" in text for text in p.comments)


def test_a_u_net_call_of_another_extension_is_refused_by_halves(world, monkeypatch):
    run = type(world.model).apply_model

    def twice(self, *args, **named):
        run(self, *args, **named)
        return run(self, *args, **named)

    monkeypatch.setattr(type(world.model), "apply_model", twice)
    world.generate(make(world, ON))
    with pytest.raises(ValueError, match="use apply_to = both"):
        world.generate(make(world, {**ON, "apply_to": "cond"}))


def test_a_model_without_a_mid_block_is_left_alone_with_one_warning(world, caplog):
    unet = unet_of(world)
    block = unet.middle_block
    plain_unet = torch.nn.Identity()
    plain_unet.forward = lambda x, *args, **kwargs: 0.1 * x
    if isinstance(world.model, ForgeModel):
        world.model.unet = plain_unet
    else:
        world.model.model.diffusion_model = plain_unet
    plain = world.generate(make(world))
    p = make(world, ON, n_iter=3)
    found = world.generate(p)
    assert torch.equal(found[0], plain[0])
    assert [text for text in p.comments if "neither a mid-block" in text] == list(p.comments)
    assert len(caplog.records) == len(p.comments) == 1
    assert block is not None


class Literally(torch.nn.Module):
    """In place of the last block of a range: the lerp, written out.

    kept: what its first block was given.
    """

    def __init__(self, block, kept, lam):
        super().__init__()
        self.block, self.kept, self.lam = block, kept, lam

    def forward(self, x, vec, pe):
        before = torch.cat(self.kept.pop(), dim=1)
        return torch.lerp(self.block(x, vec, pe), before, self.lam)


def written_out(model, lam):
    """Blocks 1 and 2 of a Flux, one with two streams and one with one, bypassed by hand."""
    kept = []

    def remember(_block, args):
        img, txt = args[:2]
        kept.append((txt.clone(), img.clone()))

    model.double_blocks[1].register_forward_pre_hook(remember)
    model.single_blocks[0] = Literally(model.single_blocks[0], kept, lam)
    return model


@pytest.mark.parametrize(("made", "lam"), [(flux_transformer, 0.7), (chroma_transformer, 1.0)])
def test_of_a_transformer_a_range_of_blocks_is_bypassed(host, caplog, made, lam):
    host["modules.script_callbacks"].clear_callbacks()
    caplog.set_level("INFO", logger="detour")
    world = World(host, ForgeModel(made()))
    world.script = run_shim(SHIM).DetourScript()
    plain = world.generate(make(world))[0]
    values = {"enabled": True, "strength": lam, "end_percent": 1.0, "blocks": "1-2"}
    p = make(world, values)
    found = world.generate(p)[0]
    other = World(host, ForgeModel(written_out(made(), lam)))
    assert torch.equal(found, other.generate(make(other))[0]) and not torch.equal(found, plain)
    assert not p.comments and any("bypassed blocks 1-2 of 4 in" in text for text in caplog.messages)
    unet = unet_of(world)
    assert not unet._forward_pre_hooks and not unet._forward_hooks
    assert torch.equal(world.generate(make(world))[0], plain)
    caplog.clear()
    world.generate(make(world, {**values, "blocks": "0-1"}))
    warned = [each.message for each in caplog.records if each.levelname == "WARNING"]
    (line,) = warned
    assert "blocks 0-1 of 4 of this FluxTransformer touch an end of the model" in line
    p = make(world, {**values, "blocks": "2-9"})
    assert torch.equal(world.generate(p)[0], plain)
    assert any("FluxTransformer has 4 blocks, 0 to 3" in text for text in p.comments)


def test_a_run_that_never_reaches_the_window_says_so(world):
    p = make(world, {**ON, "end_percent": 0.05, "start_percent": 0.0}, enable_hr=True)
    p.denoise = 0.3
    world.generate(p)
    assert any("was never reached; use schedule_by = step" in text for text in p.comments)


def test_bad_values_are_told_where_detour_is_on_and_nothing_is_bypassed(world):
    plain = world.generate(make(world))
    for values, words in (
        ({**ON, "start_percent": 0.9}, "start_percent (0.9) must be smaller"),
        ({**ON, "strenght": 1}, "no argument 'strenght'"),
        ({**ON, "strength": "much"}, "strength is 'much'"),
    ):
        p = make(world, values)
        assert torch.equal(world.generate(p)[0], plain[0])
        assert any(words in text for text in p.comments), p.comments
        assert p.extra_generation_params == {}
    p = make(world, {**ON, "enabled": False, "start_percent": 0.9})
    assert torch.equal(world.generate(p)[0], plain[0]) and p.comments == {}


def test_a_sampler_without_a_list_of_sigmas_is_told_by_step(world, monkeypatch):
    plain = world.generate(make(world))
    own = Sampler.schedule

    def hides(self, steps):
        inner = self.func

        def own_steps(model, x, extra_args=None, callback=None, disable=None):  # as DPM adaptive
            return inner(model, x, own(self, steps)["sigmas"], extra_args=extra_args, disable=True)

        self.func = own_steps
        return {}

    monkeypatch.setattr(Sampler, "schedule", hides)
    p = make(world, {**ON, "schedule_by": "step"})
    assert torch.equal(world.generate(p)[0], plain[0])
    assert any("use schedule_by = sigma" in text for text in p.comments)


def test_a_replaced_u_net_is_told(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "modules.sd_unet", SimpleNamespace(current_unet=object()))
    plain = world.generate(make(world))
    p = make(world, ON)
    assert torch.equal(world.generate(p)[0], plain[0])
    assert any("set SD Unet to None" in text for text in p.comments)


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


def test_hosts_before_1_10_stay_inert_and_say_so():
    with modules_in_place("old") as made:
        world = World(made, a1111())
        world.script = run_shim(SHIM).DetourScript()
        plain = world.generate(make(world))
        p = make(world, ON)
        world.script.before_process(p, *p.args)
        world.script.process(p, *p.args)
        assert any("1.10 or newer" in text for text in p.comments)
        assert p.extra_generation_params == {}
        assert "1.10 or newer" in world.script._note()
        assert_clean(world, plain)
