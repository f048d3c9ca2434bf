"""The guidance that is embedded in distilled models, on a tiny Flux of the host's own class."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def flux(lab, transformers):
    """The MODEL."""
    return transformers.build("flux")


def sampled(transformers, model, guidance=3.5, **settings) -> torch.Tensor:
    """A run at CFG 1, where the negative prompt is not asked."""
    texts = [transformers.conditioning("flux", seed, guidance=guidance) for seed in (10, 20)]
    return transformers.sample(model, *texts, **settings)


def by_hand(lab, model, lam):
    """A MODEL whose embedded guidance is set in the model itself, by the sigma of each call."""
    clone = model.clone()

    def around(executor, x, t, context, y, guidance, *rest, **named):
        one = lam(lab.progress_by_hand(model, float(t[0])))
        guidance = guidance if one == 0.0 else 1 + (guidance - 1) * (1 - one)
        return executor(x, t, context, y, guidance, *rest, **named)

    clone.add_wrapper_with_key(lab.WrappersMP.DIFFUSION_MODEL, "by hand", around)
    return clone


@pytest.mark.parametrize("strength", [1.0, 0.4, -0.5])
def test_over_the_whole_run_it_is_the_number_of_the_guidance_node(
    transformers, reliefs, flux, strength, notices
):
    got = sampled(transformers, reliefs.relief(flux, strength, unique_id="7"))
    assert torch.equal(got, sampled(transformers, flux, 1 + 2.5 * (1 - strength)))
    assert not torch.equal(got, sampled(transformers, flux))
    told = f"strength {strength:g}: relieved embedded guidance in 4 model calls"
    assert notices == [("7", told, False)]


def test_inside_the_window_it_is_the_formula(lab, transformers, reliefs, flux):
    """Where the model sets the number (3.5) as where the conditioning does."""
    patched = reliefs.relief(flux, 0.5, end_percent=0.5)
    oracle = by_hand(lab, flux, lambda place: 0.5 if place < 0.5 else 0.0)
    ((text, extra),) = transformers.conditioning("flux", 10)
    unsaid = [[text, {name: value for name, value in extra.items() if name != "guidance"}]]
    got = transformers.sample(patched, unsaid, transformers.conditioning("flux", 20))
    assert torch.equal(got, sampled(transformers, patched))
    assert not torch.equal(got, sampled(transformers, flux))
    assert torch.equal(got, sampled(transformers, oracle))


def test_with_guidance_of_both_kinds_both_are_relieved(transformers, reliefs, flux, notices):
    """The negative prompt's rows too, while there are any."""
    half = reliefs.relief(flux, 0.5, unique_id="7")
    got = sampled(transformers, half, cfg=3.0)
    assert torch.equal(got, sampled(transformers, flux, 2.25, cfg=2.0))
    sampled(transformers, reliefs.relief(flux, unique_id="7"), cfg=3.0)
    assert [text for _, text, _ in notices] == [
        "strength 0.5: relieved guidance in 4 of 4 evaluations; "
        "relieved embedded guidance in 4 model calls; 0 of 16 rows saved",
        "strength 1: relieved guidance in 4 of 4 evaluations; "
        "relieved embedded guidance in 4 model calls; 8 of 16 rows saved",
    ]


def test_a_model_that_reads_no_guidance_is_told_apart(transformers, reliefs, flux, notices):
    """Flux schnell is handed the number as well."""
    unet = flux.model.diffusion_model
    unet.guidance_in, unet.params.guidance_embed = torch.nn.Identity(), False
    got = sampled(transformers, reliefs.relief(flux, unique_id="7"))
    assert torch.equal(got, sampled(transformers, flux))
    ((_, text, missed),) = notices
    assert missed and "this model has no guidance embedded" in text


def test_rows_at_several_sigmas_have_a_guidance_each(lab, transformers, reliefs, flux):
    """A model call has one for each row."""
    seen = []

    def note(executor, x, t, context, y, guidance, *rest, **named):
        seen.append(guidance)
        return executor(x, t, context, y, guidance, *rest, **named)

    patched = reliefs.relief(flux, 0.5, end_percent=0.5)
    patched.add_wrapper_with_key(lab.WrappersMP.DIFFUSION_MODEL, "note", note)
    options = {"wrappers": patched.wrappers}
    text, extra = transformers.conditioning("flux", 10)[0]
    flux.model.apply_model(
        lab.randn(2, 16, 8, 8, seed=3),
        torch.tensor([0.99, 0.01]),
        c_crossattn=text.expand(2, -1, -1),
        y=extra["pooled_output"].expand(2, -1),
        guidance=torch.tensor([3.3, 3.3]),
        transformer_options=options,
    )
    assert torch.equal(seen[0], torch.tensor([1 + (3.3 - 1) * 0.5, 3.3]))
