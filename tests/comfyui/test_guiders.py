"""Which rows are whose, with guiders of two and three conditionings and patches that evaluate one
alone: `cond` is the prompt's rows and nothing else, wherever they lie."""

from __future__ import annotations

import pytest
import torch

HALVES = ("cond", "uncond")
GUIDERS = {
    "dual": lambda guided, model: guided.dual(model),
    "nested": lambda guided, model: guided.dual(model, "nested"),
    "perp_neg": lambda guided, model: guided.perp_neg(model),
    "ordinary": lambda guided, model: guided.ordinary(model),
}


@pytest.mark.parametrize(("half", "split"), [("cond", True), ("uncond", False)])
@pytest.mark.parametrize("kind", GUIDERS)
def test_only_that_half_is_bypassed(lab, guided, kind, half, split, monkeypatch):
    model, make = lab.tiny("small"), GUIDERS[kind]
    if split:
        monkeypatch.setattr(model.model, "memory_required", lambda *_, **__: 1e15)
    got = guided.sampled(make(guided, lab.bypass(model, 0.5, apply_to=half)), model)
    noting = guided.noting_context(model)
    with lab.by_hand(model, guided.by_text(model, half, 0.5)):
        wanted = guided.sampled(make(guided, noting), model)
    assert torch.equal(got, wanted)
    assert not torch.equal(got, guided.sampled(make(guided, model), model))


@pytest.mark.parametrize("kind", GUIDERS)
def test_both_is_all_rows(lab, guided, kind):
    model, make = lab.tiny("small"), GUIDERS[kind]
    got = guided.sampled(make(guided, lab.bypass(model, 0.5)), model)
    with lab.by_hand(model, lab.lerp(0.5)):
        assert torch.equal(got, guided.sampled(make(guided, model), model))


@pytest.mark.parametrize("half", HALVES)
def test_a_conditioning_that_a_patch_evaluates_alone(lab, guided, half):
    """Self-Attention Guidance calls the model once more with the negative prompt, at place 0."""
    sag = lab.extra_node("nodes_sag", "SelfAttentionGuidance")

    def with_sag(model):
        return sag.execute(model=model, scale=0.5, blur_sigma=2.0).result[0]

    model = lab.tiny("small")
    with lab.watching(with_sag(lab.bypass(model, 0.5, apply_to=half))) as watch:
        got = guided.sampled(guided.ordinary(watch.model), model)
    assert [0] in [call.cond_or_uncond for call in watch.calls]
    noting = guided.noting_context(model)
    with lab.by_hand(model, guided.by_text(model, half, 0.5)):
        assert torch.equal(got, guided.sampled(guided.ordinary(with_sag(noting)), model))


@pytest.mark.parametrize("half", HALVES)
def test_a_conditioning_that_no_one_knows_is_refused_by_half(lab, guided, half):
    """The old Perp-Neg node evaluates one that is not the guider's."""
    node = lab.extra_node("nodes_perpneg", "PerpNeg")
    model = lab.tiny("small")

    def run(patched):
        empty = guided.texts(model)["third"]
        both = node.execute(model=patched, empty_conditioning=empty, neg_scale=1.0).result[0]
        return guided.sampled(guided.ordinary(both), model)

    with pytest.raises(ValueError, match="use apply_to = both"):
        run(lab.bypass(model, 0.5, apply_to=half))
    got = run(lab.bypass(model, 0.5))
    with lab.by_hand(model, lab.lerp(0.5)):
        assert torch.equal(got, run(model))


def test_a_guider_with_names_of_its_own_is_refused_by_half(lab, guided):
    model = lab.tiny("small")

    class Own(lab.comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006
            conds = [self.conds["left"], self.conds["right"]]
            left, right = lab.comfy.samplers.calc_cond_batch(
                self.inner_model, conds, x, timestep, model_options
            )
            return left + right

    def run(patched):
        guider, text = Own(patched), guided.texts(model)
        guider.inner_set_conds({"left": text["positive"], "right": text["negative"]})
        return guided.sampled(guider, model)

    with pytest.raises(ValueError, match="use apply_to = both"):
        run(lab.bypass(model, 0.5, apply_to="cond"))
    got = run(lab.bypass(model, 0.5))
    with lab.by_hand(model, lab.lerp(0.5)):
        assert torch.equal(got, run(model))


def test_a_guider_that_goes_to_its_sampler_in_a_way_of_its_own(lab, guided, fades, notices):
    """Past the wrappers around the sampler: what acts and whose rows are whose is known for each
    evaluation, and nobody says that nothing was done."""
    samplers = lab.comfy.samplers

    class Own(samplers.CFGGuider):
        def inner_sample(self, noise, latent, device, sampler, sigmas, mask, *rest, **named):
            self.conds = samplers.process_conds(self.inner_model, noise, self.conds, device, latent)
            own = lab.comfy.model_patcher.create_model_options_clone(self.model_options)
            own["transformer_options"]["sample_sigmas"] = sigmas
            given = {"model_options": own, "seed": 5}
            got = sampler.sample(self, sigmas, given, None, noise, latent, mask, True)
            return self.inner_model.process_latent_out(got)

    def run(guider, model):
        text = guided.texts(model)
        guider.set_conds(text["positive"], text["negative"])
        guider.set_cfg(3.0)
        return guided.sampled(guider, model)

    model = lab.tiny("small")
    patched = fades.fade(lab.bypass(model, 0.5, apply_to="uncond"), 0.5)
    wanted = run(samplers.CFGGuider(patched), patched)
    noticed = len(notices)
    assert torch.equal(run(Own(patched), patched), wanted)
    assert len(notices) == noticed


def cut_to_windows(executor, model, conds, x, timestep, model_options):
    """What context windows do: the conditionings come as new lists of copies."""
    copied = [None if cond is None else [part.copy() for part in cond] for cond in conds]
    return executor(model, copied, x, timestep, model_options)


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("half", HALVES)
def test_conditionings_that_were_cut_to_windows(lab, guided, half, order):
    """Areas too, of which each list has a copy with the other's id."""
    model = lab.tiny("small")
    kind = lab.WrappersMP.CALC_COND_BATCH
    first = model.clone()
    if order == "before":
        first.add_wrapper_with_key(kind, "cut", cut_to_windows)
    patched = lab.bypass(first, 0.5, apply_to=half)
    if order == "after":
        patched.add_wrapper_with_key(kind, "cut", cut_to_windows)
    text = guided.texts(model)
    area = lab.conditioning(model, 12, area=(4, 8, 0, 0))
    given = {"positive": text["positive"] + area, "negative": text["negative"]}
    got = lab.sample(patched, **given)
    with lab.by_hand(model, lab.lerp_half(0.5, HALVES.index(half))):
        assert torch.equal(got, lab.sample(model, **given))


# --- tiles -----------------------------------------------------------------------------------


def in_tiles(lab, model, at_once: int, is_known: bool = True):
    """Stands for Tiled Diffusion (shiimizu/ComfyUI-TiledDiffusion): a function around the model
    that cuts each call's picture into tiles and puts the rows of several tiles one after the
    other, all chunks of the first tile first. Here two tiles, of the left and the right half."""
    clone = model.clone()

    def tiled(apply_model, args):
        x, t, c = args["input"], args["timestep"], args["c"]
        width = x.shape[-1] // 2
        tiles, out = [x[..., :width], x[..., width:]], []
        for first in range(0, 2, at_once):
            batch = torch.cat(tiles[first : first + at_once])
            rows = {"c_crossattn": c["c_crossattn"].repeat(at_once, 1, 1)}
            done = apply_model(batch, t.repeat(at_once), **{**c, **rows})
            out.extend(done.chunk(at_once))
        return torch.cat(out, dim=-1)

    clone.set_model_unet_function_wrapper(tiled)
    if is_known:
        clone.model_options["tiled_diffusion"] = True
    return clone


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("half", HALVES)
def test_tiles(lab, guided, half, at_once):
    model = lab.tiny("small")
    got = guided.sampled(
        guided.ordinary(in_tiles(lab, lab.bypass(model, 0.5, apply_to=half), at_once)), model
    )
    noting = guided.noting_context(in_tiles(lab, model, at_once))
    with lab.by_hand(model, guided.by_text(model, half, 0.5)):
        assert torch.equal(got, guided.sampled(guided.ordinary(noting), model))


def test_tiles_of_an_unknown_pack_are_refused_by_half(lab, guided):
    model = lab.tiny("small")
    patched = in_tiles(lab, lab.bypass(model, 0.5, apply_to="cond"), 2, is_known=False)
    with pytest.raises(ValueError, match="use apply_to = both"):
        guided.sampled(guided.ordinary(patched), model)
    both = in_tiles(lab, lab.bypass(model, 0.5), 2, is_known=False)
    with lab.by_hand(model, lab.lerp(0.5)):
        wanted = guided.sampled(guided.ordinary(in_tiles(lab, model, 2)), model)
    assert torch.equal(guided.sampled(guided.ordinary(both), model), wanted)
