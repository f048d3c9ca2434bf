"""A guider of two models, of which the second evaluates the negative prompt."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from typing import Any

import pytest
import torch


def two_models(guided, first, second, cfg: float = 3.0) -> Any:
    """A guider of two models: the host's own where it has one (DualModelGuider, since 2026), else
    one that does the same with the first model's options."""
    text = guided.texts(first)
    try:
        node = guided.lab.extra_node("nodes_custom_sampler", "DualModelGuider")
    except AttributeError:
        guider = stand_in(guided.lab)(first, second)
        guider.set_conds(text["positive"], text["negative"])
        guider.set_cfg(cfg)
        return guider
    given = {"positive": text["positive"], "negative": text["negative"], "cfg": cfg}
    return node.execute(model=first, model_negative=second, **given).result[0]


def stand_in(lab) -> type:
    """Stands for the host's Guider_DualModel: the prompt on one model, the negative prompt on the
    other, which is loaded apart; what is patched into that one is never merged."""
    samplers = lab.comfy.samplers
    prepare = lab.comfy.sample.comfy.sampler_helpers.prepare_sampling

    class Guider_DualModel(samplers.CFGGuider):
        def __init__(self, model_patcher, uncond_model_patcher):
            super().__init__(model_patcher)
            self.uncond_model_patcher = uncond_model_patcher
            self.uncond_inner = None

        def outer_sample(self, noise, *rest, **named):
            second = self.uncond_model_patcher
            if not math.isclose(self.cfg, 1.0):
                negative = {"negative": [part.copy() for part in self.conds["negative"]]}
                self.uncond_inner, negative, _ = prepare(
                    second, noise.shape, negative, second.model_options
                )
                self._uncond_neg = negative["negative"]
                second.pre_run()
            try:
                return super().outer_sample(noise, *rest, **named)
            finally:
                if self.uncond_inner is not None:
                    second.cleanup()
                    self.uncond_inner = None

        def inner_sample(self, noise, latent_image, device, *rest, **named):
            if self.uncond_inner is not None:
                self._uncond_conds = samplers.process_conds(
                    self.uncond_inner, noise, {"negative": self._uncond_neg}, device
                )["negative"]
            return super().inner_sample(noise, latent_image, device, *rest, **named)

        def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006
            def evaluate(model, conds):
                return samplers.calc_cond_batch(model, [conds], x, timestep, model_options)[0]

            cond = evaluate(self.inner_model, self.conds["positive"])
            if self.uncond_inner is None:
                return cond
            uncond = evaluate(self.uncond_inner, self._uncond_conds)
            return samplers.cfg_function(
                self.inner_model, cond, uncond, self.cfg, x, timestep, model_options=model_options
            )

    return Guider_DualModel


@pytest.fixture(params=["two_checkpoints", "one_checkpoint"])
def pair(lab, request):
    """Two models for the guider; of one checkpoint they share the U-Net."""
    first = lab.tiny("small")
    return first, lab.tiny("sd15", seed=1) if request.param == "two_checkpoints" else first.clone()


def wanted_of(lab, guided, pair, prompts: bool, negatives: bool) -> torch.Tensor:
    """By hand: a blend in the calls with one text or the other, whichever model they are of."""
    first, second = pair
    changes = [guided.by_text(first, "cond", 0.5)] * prompts
    changes += [guided.by_text(first, "uncond", 0.5)] * negatives

    def change(out, h, options):
        for one in changes:
            out = one(out, h, options)
        return out

    noting = guided.noting_context(first)
    with ExitStack() as opened:
        for model in {id(one.model): one for one in pair}.values():
            opened.enter_context(lab.by_hand(model, change))
        return guided.sampled(two_models(guided, noting, second), first)


@pytest.mark.parametrize("apply_to", ["both", "cond"])
def test_a_dial_on_the_first_model_acts_on_that_one_alone(lab, guided, pair, apply_to, notices):
    first, second = pair
    patched = lab.bypass(first, 0.5, apply_to=apply_to, unique_id="7")
    got = guided.sampled(two_models(guided, patched, second), first)
    assert torch.equal(got, wanted_of(lab, guided, pair, prompts=True, negatives=False))
    assert notices == [("7", "strength 0.5: bypassed 3 of 3 model calls", False)]


def test_uncond_on_the_first_model_is_said_to_hit_nothing(lab, guided, pair, notices):
    first, second = pair
    patched = lab.bypass(first, 0.5, apply_to="uncond", unique_id="7")
    got = guided.sampled(two_models(guided, patched, second), first)
    assert torch.equal(got, guided.sampled(two_models(guided, first, second), first))
    ((_, text, missed),) = notices
    assert missed and "no call of this model had rows of the negative prompt" in text


def test_a_dial_on_the_second_model_says_that_it_is_left_out(lab, guided, pair, notices, caplog):
    first, second = pair
    patched = lab.bypass(second, 0.5, unique_id="8")
    got = guided.sampled(two_models(guided, first, patched), first)
    assert torch.equal(got, guided.sampled(two_models(guided, first, second), first))
    ((node, text, missed),) = notices
    assert (node, missed) == ("8", True) and "second one of a guider for two models" in text
    warned = [r for r in caplog.records if r.name == "detour" and r.levelno == logging.WARNING]
    assert [text in record.getMessage() for record in warned] == [True]


def test_one_patched_model_in_both_places_is_bypassed_in_both(lab, guided, notices):
    model = lab.tiny("small")
    patched = lab.bypass(model, 0.5, unique_id="7")
    got = guided.sampled(two_models(guided, patched, patched), model)
    with lab.by_hand(model, lab.lerp(0.5)):
        assert torch.equal(got, guided.sampled(two_models(guided, model, model), model))
    assert notices == [("7", "strength 0.5: bypassed 6 of 6 model calls", False)]


def test_the_second_model_alone_is_an_ordinary_one_again(lab, guided, notices):
    """Nothing is kept from a run of two models."""
    model = lab.tiny("small")
    patched = lab.bypass(model, 0.5, unique_id="8")
    guided.sampled(two_models(guided, model, patched), model)
    got = guided.sampled(guided.ordinary(patched), model)
    with lab.by_hand(model, lab.lerp(0.5)):
        assert torch.equal(got, guided.sampled(guided.ordinary(model), model))
    assert notices[-1] == ("8", "strength 0.5: bypassed 3 of 3 model calls", False)


def test_a_run_of_two_models_that_fails_says_nothing_of_the_second(lab, guided, notices):
    model = lab.tiny("small")
    patched = lab.bypass(model, 0.5, unique_id="8")

    def fail(*_):
        raise RuntimeError("in the middle")

    handle = lab.unet_of(model).middle_block[0].register_forward_pre_hook(fail)
    try:
        with pytest.raises(RuntimeError):
            guided.sampled(two_models(guided, model, patched), model)
    finally:
        handle.remove()
    assert notices == []


def test_guidance_off_is_said_where_only_the_negative_prompt_is_wanted(lab, guided, notices):
    model = lab.tiny("small")
    lab.sample(lab.bypass(model, 0.5, apply_to="uncond", unique_id="7"), cfg=1.0)
    ((_, text, missed),) = notices
    assert missed and "guidance is off" in text
