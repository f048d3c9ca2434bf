"""What a generation says where nothing could be bypassed; the picture is the plain one then."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from stand_in import SHIM, modules_in_place, run_shim
from webui_driver import ON, InterruptedException, Sampler, World, assert_clean, make
from webui_models import ForgeModel, a1111

pytestmark = pytest.mark.usefixtures("no_grad")


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
