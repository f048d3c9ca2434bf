"""The relief of guidance beside other ways and other patches; gone after whatever happens."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import permutations

import pytest
import torch
from graph_parts import compiled, counted, hook_group, in_windows, lora_hook

EARLY = {"end_percent": 0.6}


def early(place: float) -> float:
    """The lam of a strength of 0.5 over `EARLY`."""
    return 0.5 if place < 0.6 else 0.0


@contextmanager
def with_bypass(lab, model, strength: float):
    """The mid-block bypassed by hand over `EARLY`."""
    sigmas = []

    def note(executor, x, t, *rest, **named):
        sigmas.append(float(t[0]))
        return executor(x, t, *rest, **named)

    def change(out, h, _options):
        is_in = lab.progress_by_hand(model, sigmas[-1]) < 0.6
        return torch.lerp(out, h, strength) if is_in else out

    clone = model.clone()
    clone.add_wrapper_with_key(lab.WrappersMP.APPLY_MODEL, "sigmas", note)
    with lab.by_hand(model, change):
        yield clone


@pytest.mark.parametrize("order", ["bypass_first", "relief_first"])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_stack_with_the_bypass_is_both(lab, reliefs, strength, order, notices):
    model = lab.tiny("small")
    if order == "bypass_first":
        both = lab.bypass(model, 0.4, unique_id="7", **EARLY)
        both = reliefs.relief(both, strength, unique_id="8", **EARLY)
    else:
        both = reliefs.relief(model, strength, unique_id="8", **EARLY)
        both = lab.bypass(both, 0.4, unique_id="7", **EARLY)
    got = reliefs.sampled(reliefs.guider(both))
    with with_bypass(lab, model, 0.4) as noted:
        wanted = reliefs.sampled(
            reliefs.by_hand(noted, lambda place: strength if place < 0.6 else 0.0)
        )
    assert torch.equal(got, wanted)
    told = {node: text for node, text, _ in notices}
    assert told["7"] == "strength 0.4: bypassed 2 of 3 model calls"
    saved = 4 if strength == 1.0 else 0
    assert told["8"].endswith(f"relieved guidance in 2 of 3 evaluations; {saved} of 12 rows saved")


def test_a_stack_of_all_three_ways_in_any_order(lab, reliefs, fades):
    model = lab.tiny("small")
    ways = {
        "bypass": lambda one: lab.bypass(one, 0.4, **EARLY),
        "relief": lambda one: reliefs.relief(one, 0.5, **EARLY),
        "fade": lambda one: fades.fade(one, 0.3, schedule_by="sigma", **EARLY),
    }
    text = reliefs.guided.texts(model)
    faded = fades.mixed(text["positive"], text["negative"], 0.3)
    sigmas = lab.comfy.samplers.calculate_sigmas(model.model.model_sampling, "normal", 3)
    by_steps = fades.by_steps(model, sigmas.tolist(), [faded, faded, text["positive"]])
    with with_bypass(lab, model, 0.4) as noted:
        wanted = reliefs.sampled(reliefs.by_hand(noted, early, positive=by_steps))
    for order in permutations(ways):
        stack = model
        for name in order:
            stack = ways[name](stack)
        assert torch.equal(reliefs.sampled(reliefs.guider(stack)), wanted), order


@pytest.mark.parametrize("order", ["relief_first", "other_first"])
def test_a_node_that_sets_the_scale_itself(lab, reliefs, order, notices):
    """As CFG Override of newer hosts: who is nearer to the sampler wins, and it is said."""

    def override(executor, *given, **named):
        guider = executor.class_obj
        saved, guider.cfg = guider.cfg, 1.5
        try:
            return executor(*given, **named)
        finally:
            guider.cfg = saved

    model = lab.tiny("small")
    other = model.clone()
    other.add_wrapper(lab.WrappersMP.PREDICT_NOISE, override)
    if order == "other_first":
        got = reliefs.sampled(reliefs.guider(reliefs.relief(other, 0.5, unique_id="7", **EARLY)))
        assert torch.equal(got, reliefs.sampled(reliefs.by_hand(model, early, cfg=1.5)))
        assert notices[0][1].startswith("strength 0.5: relieved guidance in 2 of 3 evaluations")
        return
    both = reliefs.relief(model, 0.5, unique_id="7", **EARLY)
    both.add_wrapper(lab.WrappersMP.PREDICT_NOISE, override)
    got = reliefs.sampled(reliefs.guider(both))
    assert torch.equal(got, reliefs.sampled(reliefs.guider(model, cfg=1.5)))
    assert notices[0][2] and "another node behind this one sets CFG" in notices[0][1]


def test_two_reliefs_are_one_after_the_other(lab, reliefs):
    model = lab.tiny("small")
    two = reliefs.relief(reliefs.relief(model, 0.5, **EARLY), 0.25, **EARLY)
    scales = []

    def note(args):
        scales.append(args["cond_scale"])
        return args["denoised"]

    two.set_model_sampler_post_cfg_function(note)
    reliefs.sampled(reliefs.guider(two))
    assert scales == [1 + 2 * 0.5 * 0.75] * 2 + [3.0]


def test_a_relief_behind_one_that_leaves_nothing_says_so(lab, reliefs, notices):
    model = lab.tiny("small")
    two = reliefs.relief(reliefs.relief(model), 0.5, unique_id="7")
    reliefs.sampled(reliefs.guider(two))
    (_, text, missed), *_ = [notice for notice in notices if notice[0] == "7"]
    assert missed and text.startswith("Nothing was left to relieve: another Guidance Relief")
    lab.sample(two, cfg=1.0)
    assert notices[-1][2] and notices[-1][1].startswith("Nothing was relieved: CFG is 1")


def weights_hook(lab, model) -> dict:
    """The prompt with weights of its own."""
    return {"positive": lab.conditioning(model, 10, hooks=lora_hook())}


def control_net(lab, model) -> dict:
    """A ControlNet for prompt and negative prompt, whose residual depends on the batch."""
    from comfy.controlnet import ControlBase

    class MiddleNet(ControlBase):
        def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
            return {"middle": [lab.randn(len(x_noisy), 64, 4, 4, seed=40) * batched_number]}

        def copy(self):
            return self

    positive = lab.conditioning(model, 10, control=MiddleNet(), control_apply_to_uncond=True)
    return {"positive": positive}


@pytest.mark.parametrize("make", [weights_hook, control_net])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_beside_what_hangs_on_a_conditioning(lab, reliefs, make, strength):
    model = lab.tiny("small")
    got = reliefs.sampled(
        reliefs.guider(reliefs.relief(model, strength, **EARLY), **make(lab, model))
    )
    oracle = reliefs.by_hand(
        model, lambda place: strength if place < 0.6 else 0.0, **make(lab, model)
    )
    assert torch.equal(got, reliefs.sampled(oracle))
    assert not torch.equal(got, reliefs.sampled(reliefs.guider(reliefs.relief(model, strength))))


def test_a_hook_for_all_conditionings_carries_it(lab, reliefs):
    model = lab.tiny("small")
    group = hook_group(reliefs.relief(model, 0.5, **EARLY), "AllConditioning")
    texts = {
        "positive": lab.conditioning(model, 10, hooks=group),
        "negative": lab.conditioning(model, 20, hooks=group),
    }
    got = reliefs.sampled(reliefs.guider(model, **texts))
    assert torch.equal(got, reliefs.sampled(reliefs.by_hand(model, early)))


def test_context_windows_are_counted_as_they_come(lab, reliefs, notices):
    """Four pictures, two at a time: an evaluation is three of the model, or four in newer hosts; as
    many rows as it takes, and none for the negative prompt in two steps of three.

    (As many pictures as sigmas: with another number the host fails along this dimension.)"""

    def windowed(model):
        return in_windows(lab, model, 2, dim=0)

    def sampled(guider):
        sigmas = lab.comfy.samplers.calculate_sigmas(model.model.model_sampling, "normal", 3)
        noise, plan = lab.latent(model, batch=4), lab.comfy.samplers.sampler_object("euler")
        return guider.sample(
            noise, torch.zeros_like(noise), plan, sigmas, disable_pbar=True, seed=5
        )

    model = lab.tiny("small")
    patched = windowed(reliefs.relief(model, unique_id="7", **EARLY))
    got = sampled(reliefs.guider(patched))
    oracle = reliefs.by_hand(windowed(model), lambda place: 1.0 if place < 0.6 else 0.0)
    assert torch.equal(got, sampled(oracle))
    plain = reliefs.rows(windowed(model), lambda one: sampled(reliefs.guider(one)))
    relieved = reliefs.rows(patched, lambda one: sampled(reliefs.guider(one)))
    assert plain in (36, 48) and relieved == plain * 2 // 3
    assert all(text.endswith(f"; {plain // 3} of {plain} rows saved") for _, text, _ in notices)


@pytest.mark.long
def test_a_compiled_model(lab, reliefs):
    """One graph with the negative prompt, one without, whatever the scale is."""
    graphs: list = []
    torch.compiler.reset()
    model = lab.tiny("small")
    once = compiled(model, counted(graphs))
    points = {"shape": "curve", "points": "0:1, 0.4:1, 0.4:0.9, 1:0"}
    got = lab.sample(reliefs.relief(once, **points), steps=8)
    torch.compiler.reset()
    assert torch.equal(got, lab.sample(reliefs.relief(model, **points), steps=8))
    assert len(graphs) <= 2


# --- nothing stays ---------------------------------------------------------------------------


def broken(lab, model) -> type[BaseException]:
    """Something breaks in the model."""

    def fail(*_):
        raise RuntimeError("broken")

    lab.unet_of(model).middle_block[1].register_forward_pre_hook(fail)
    return RuntimeError


def cancelled(lab, model) -> type[BaseException]:
    """The user presses Cancel within a call."""
    from comfy.model_management import InterruptProcessingException

    def fail(*_):
        raise InterruptProcessingException

    lab.unet_of(model).middle_block[1].register_forward_pre_hook(fail)
    return InterruptProcessingException


@pytest.mark.parametrize("failure", [broken, cancelled])
def test_the_guider_has_its_scale_again_after(lab, reliefs, failure):
    """One guider for all runs, as SamplerCustomAdvanced nodes share it."""
    model = lab.tiny("small")
    guider = reliefs.guider(reliefs.relief(model, **EARLY))
    first = reliefs.sampled(guider)
    options = repr(guider.model_patcher.model_options)
    error = failure(lab, model)
    with pytest.raises(error):
        reliefs.sampled(guider)
    assert guider.cfg == 3.0
    lab.unet_of(model).middle_block[1]._forward_pre_hooks.clear()
    assert repr(guider.model_patcher.model_options) == options
    assert torch.equal(reliefs.sampled(guider), first)
    wanted = reliefs.sampled(reliefs.by_hand(model, lambda _: 0.0))
    assert torch.equal(reliefs.sampled(reliefs.guider(model)), wanted)
