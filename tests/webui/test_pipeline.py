"""SD.Next's way: real diffusers pipelines, the bypass opened per batch and closed in the end."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from stand_in import SHIM, modules_in_place, run_shim
from webui_models import WORDS, diffusers_unet

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
ON = {"enabled": True, "strength": 0.7, "end_percent": 0.6}


def pipe(unet):
    """A real pipeline as SD.Next has it, without its text encoder and VAE; see `draw`."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    parts = {"vae": None, "text_encoder": None, "tokenizer": None, "feature_extractor": None}
    scheduler = DDIMScheduler(**SD, clip_sample=False)
    made = StableDiffusionPipeline(
        unet=unet, scheduler=scheduler, safety_checker=None, **parts, requires_safety_checker=False
    )
    made.set_progress_bar_config(disable=True)
    return made


def draw(pipe, steps=8, stop=None, at=None, guidance=3.0):
    """One generation with fixed words and seed; `stop` is called before the step `at`."""
    words = torch.randn(2, 1, 3, WORDS, generator=torch.Generator().manual_seed(2))

    def ended(_pipe, index, _time, kept):
        if at is not None and index == at - 1:
            stop()
        return kept

    return pipe(
        prompt_embeds=words[1],
        negative_prompt_embeds=words[0],
        guidance_scale=guidance,
        num_inference_steps=steps,
        height=64,
        width=64,
        output_type="latent",
        generator=torch.Generator().manual_seed(3),
        callback_on_step_end=ended,
    ).images


class Processing:
    """SD.Next's `p`, as far as Detour asks it."""

    def __init__(self, **given) -> None:
        self.extra_generation_params, self.comments = {}, {}
        self.enable_hr = self.is_hr_pass = False
        vars(self).update(given)

    def comment(self, text) -> None:
        self.comments[text] = 1


class World:
    """SD.Next's order around a batch, its last callback in `finally`."""

    def __init__(self, made) -> None:
        self.shared = made["modules.shared"]
        self.callbacks = made["modules.script_callbacks"]
        self.shared.sd_model = pipe(diffusers_unet())
        self.script = run_shim(SHIM).DetourScript()
        self.processed = SimpleNamespace(comments="")

    def generate(self, values=None, p=None, n_iter=1, before=None, **pipe_options):
        p = p or Processing()
        args = () if values is None else (values,)
        found = []
        try:
            self.script.before_process(p, *args)
            self.script.process(p, *args)
            for number in range(n_iter):
                self.script.process_batch(p, *args, batch_number=number, prompts=[])
                if before:
                    before()
                try:
                    found.append(draw(self.shared.sd_model, **pipe_options))
                    if p.enable_hr:  # on the same pipeline, and without a call in between
                        p.is_hr_pass = True
                        found.append(draw(self.shared.sd_model, **pipe_options))
                        p.is_hr_pass = False
                except AssertionError:  # how an interrupt ends the pipeline
                    found.append(None)
                self.script.postprocess_batch(p, *args, images=[], batch_number=number)
            self.processed.comments = ""  # whatever was said to `p`
            self.script.postprocess(p, self.processed, *args)
        finally:
            self.callbacks.fire("after_process", p)
        return found


@pytest.fixture
def world():
    with modules_in_place("sdnext") as made:
        yield World(made)


def put_own(world):
    """A pipeline with a loop of its own, whose rows nobody knows."""

    class Own(type(world.shared.sd_model)):
        def __call__(self, *args, **more):
            return super().__call__(*args, **more)

    made = world.shared.sd_model
    world.shared.sd_model = Own(**made.components, requires_safety_checker=False)
    world.shared.sd_model.set_progress_bar_config(disable=True)


def assert_clean(world, plain):
    unet = world.shared.sd_model.unet
    assert type(unet.mid_block).__name__ != "BypassedMidBlock"
    assert not unet._forward_pre_hooks and not unet._forward_hooks
    assert torch.equal(world.generate()[0], plain)


def test_each_batch_is_bypassed_and_then_clean(world):
    plain = world.generate()[0]
    first, second = world.generate(ON, n_iter=2)
    assert torch.equal(first, second) and not torch.equal(first, plain)
    assert_clean(world, plain)


ALONE = {"strength": 0.0, "schedule_by": "step"}
RELIEF = {**ALONE, "relief_strength": 1.0, "relief_end_percent": 1.0}
FADE = {**ALONE, "fade_strength": 1.0, "fade_end_percent": 1.0}


def test_relief_and_fade_act_in_every_batch_and_then_are_gone(world, caplog):
    caplog.set_level("INFO")
    plain, unguided = world.generate()[0], world.generate(guidance=1.0)[0]
    assert all(torch.equal(found, unguided) for found in world.generate(RELIEF, n_iter=2))
    assert "8 of 16 rows saved" in caplog.text
    faded = world.generate(FADE)[0]
    noisy = world.generate({**FADE, "fade_toward": "noise"})[0]
    pairs = ((faded, plain), (faded, unguided), (noisy, faded))
    assert not any(torch.equal(*pair) for pair in pairs)
    both = world.generate({**RELIEF, **FADE, **ON, "end_percent": 1.0})[0]
    assert torch.isfinite(both).all()
    assert_clean(world, plain)
    off = world.generate({**RELIEF, "hires": "off"}, Processing(enable_hr=True))
    assert torch.equal(off[0], unguided) and torch.equal(off[1], plain)


def test_what_a_pipeline_cannot_do_is_told_and_all_is_left_out(world):
    plain = world.generate(guidance=1.0)[0]
    p = Processing()
    with pytest.raises(ValueError, match="no negative prompt to fade to"):
        world.generate({**ON, **FADE}, p, guidance=1.0)
    assert torch.equal(world.generate(guidance=1.0)[0], plain)

    put_own(world)
    for values, name in ((RELIEF, "Guidance Relief"), (FADE, "Prompt Fade")):
        p = Processing()
        assert torch.equal(world.generate({**ON, **values}, p, guidance=1.0)[0], plain)
        assert [f"{name} cannot be used with Own" in text for text in p.comments] == [True]


def test_a_scheduler_put_in_place_later_is_followed(world):
    from diffusers import EulerDiscreteScheduler

    def replace():
        world.shared.sd_model.scheduler = EulerDiscreteScheduler(**SD)

    p = Processing()
    found = world.generate(ON, p, before=replace)[0]
    again = world.generate(ON, Processing())[0]
    assert torch.equal(found, again)
    by_step = world.generate({**ON, "schedule_by": "step"}, Processing(), before=replace)[0]
    assert torch.isfinite(by_step).all() and not p.comments


def test_the_very_first_generation_of_a_model_can_tell_its_rows(world):
    p = Processing()
    first = world.generate({**ON, "apply_to": "cond"}, p)[0]
    assert torch.equal(world.generate({**ON, "apply_to": "cond"})[0], first) and not p.comments


def test_who_is_bypassed_and_how_is_passed_on(world):
    found = [world.generate({**ON, "apply_to": who})[-1] for who in ("cond", "uncond", "both")]
    assert not any(torch.equal(found[n], found[n - 1]) for n in range(3))
    runs = []
    block = world.shared.sd_model.unet.mid_block
    block.register_forward_hook(lambda *_: runs.append(1))
    whole = {"enabled": True, "strength": 1.0, "end_percent": 1.0}
    world.generate({**whole, "skip_compute": True})
    assert runs == []
    world.generate({**whole, "skip_compute": False})
    assert runs


def test_a_pipeline_of_another_kind_put_in_place_later_is_followed(world):
    plain, changed = world.generate()[0], world.generate({**ON, "apply_to": "cond"})[0]
    unet = world.shared.sd_model.unet

    def replace():
        world.shared.sd_model = pipe(unet)

    assert torch.equal(world.generate({**ON, "apply_to": "cond"}, before=replace)[0], changed)
    assert_clean(world, plain)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, AssertionError])
def test_after_an_error_or_an_interrupt_nothing_is_left(world, error):
    plain = world.generate()[0]

    def stop():
        raise error("in the middle")

    if error is AssertionError:
        world.generate(ON, stop=stop, at=2)
    else:
        with pytest.raises(error):
            world.generate(ON, stop=stop, at=2)
    assert_clean(world, plain)


def test_a_pipeline_whose_rows_are_not_known_is_told(world):
    plain = world.generate()[0]
    put_own(world)
    p = Processing()
    assert torch.equal(world.generate({**ON, "apply_to": "cond"}, p)[0], plain)
    assert any("use apply_to = both" in text for text in p.comments)


def test_the_refiner_is_only_asked_for_where_it_is_used(world):
    refiner = pipe(diffusers_unet())
    plain, used = world.generate()[0], []
    own = world.shared.sd_model

    def refine_instead():
        world.shared.sd_model = refiner
        used.append(1)

    world.shared.sd_refiner = refiner
    uses = {"enable_hr": True, "refiner_steps": 5, "refiner_start": 0.8}
    for given, values, expected in (
        (uses, {"refiner": "refiner"}, True),
        (uses, {"refiner": "base"}, False),
        ({}, {"refiner": "both"}, False),
    ):
        p = Processing(**given)
        found = world.generate({**ON, **values}, p, before=refine_instead)[-1]
        assert torch.equal(found, plain) is not expected
        world.shared.sd_model = own
    assert used == [1, 1, 1]


def test_a_run_that_was_cut_short_is_not_said_to_miss_its_window(world, monkeypatch):
    monkeypatch.setattr(world.shared, "state", SimpleNamespace(interrupted=True), raising=False)
    p = Processing()
    world.generate({**ON, "start_percent": 0.5, "end_percent": 0.501}, p)
    assert list(p.comments) == []


def test_a_refiner_that_has_no_part_in_the_window_is_no_miss(world):
    refiner = world.shared.sd_refiner = pipe(diffusers_unet())
    p = Processing(enable_hr=True, refiner_steps=5, refiner_start=0.8)
    # The refiner's own calls come late: a part of the schedule that ends before the window.
    world.generate({**ON, "schedule_by": "sigma"}, p, before=lambda: draw(refiner, steps=1))
    assert list(p.comments) == []


def test_a_refiner_that_is_not_there_is_told(world):
    p = Processing()
    plain = world.generate({**ON, "strength": 0.0})[-1]
    assert torch.equal(world.generate({**ON, "refiner": "refiner"}, p)[-1], plain)
    assert ["choose 'both'" in text for text in p.comments] == [True]


def test_models_without_a_mid_block_and_missed_windows_are_told(world):
    p = Processing()
    world.generate({**ON, "start_percent": 0.5, "end_percent": 0.501}, p)
    assert any("was never reached" in text for text in p.comments)
    world.shared.sd_model.unet.mid_block = None
    p = Processing()
    world.script.before_process(p)
    world.script.process(p, ON)
    world.script.process_batch(p, ON)
    assert any("no mid-block" in text for text in p.comments)
    p = Processing()
    world.shared.sd_model = object()
    world.script.process(p, ON)
    world.script.process_batch(p, ON)
    assert any("no mid-block" in text for text in p.comments)


def test_the_hires_pass_has_the_same_no_or_its_own_bypass(world):
    def both(**values):
        return world.generate({**ON, **values}, Processing(enable_hr=True))

    plain, half = world.generate()[0], world.generate({**ON, "strength": 0.3})[0]
    first, second = both()
    assert torch.equal(first, second) and not torch.equal(first, plain)
    for values, expected in (
        ({"hires": "off"}, (first, plain)),
        ({"hires": "own", "hires_strength": 0.3}, (first, half)),
        ({"strength": 0.0, "hires": "own", "hires_strength": 0.3}, (plain, half)),
    ):
        assert all(map(torch.equal, both(**values), expected))
    assert_clean(world, plain)


def test_refining_an_earlier_picture_is_a_hires_pass(world):
    plain, half = world.generate()[0], world.generate({**ON, "strength": 0.3})[0]
    for values, expected in (
        ({"hires": "off"}, plain),
        ({"strength": 0.0, "hires": "own", "hires_strength": 0.3}, half),
    ):
        found = world.generate({**ON, **values}, Processing(state="reprocess_refine"))[0]
        assert torch.equal(found, expected)


def test_what_is_told_stands_under_the_picture_once(world):
    for values in ({**ON, "start_percent": 0.5, "end_percent": 0.501}, {"strength": 7}):
        p = Processing(comments={"of another extension": 1})
        world.generate(values, p)
        assert world.processed.comments == next(t for t in p.comments if t.startswith("Detour: "))
    world.generate()
    assert world.processed.comments == ""


def test_the_log_is_a_part_of_the_hosts_where_it_has_its_own(world, monkeypatch):
    import logging

    from detour_webui.extension import host

    assert host._find_log().name == "detour"
    own = SimpleNamespace(log=logging.getLogger("sd"))
    monkeypatch.setitem(sys.modules, "modules.logger", own)
    assert host._find_log().parent is own.log


def test_a_warning_is_logged_where_the_host_logs_errors_only(world, monkeypatch):
    import logging

    from detour_webui.extension import host

    log = logging.getLogger("detour")
    monkeypatch.setattr(log, "level", log.level)
    for host_level, expected in ((logging.ERROR, logging.WARNING), (logging.INFO, logging.INFO)):
        monkeypatch.setattr(logging.getLogger(), "level", host_level)
        log.setLevel(logging.NOTSET)
        assert host._find_log().getEffectiveLevel() == expected


def test_the_panel_says_what_is_different_here(world):
    assert "SD.Next" in world.script._note()
    assert "cfg_denoiser" not in {e for e, f in world.callbacks.lists.items() if f}
