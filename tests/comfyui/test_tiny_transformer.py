"""The tiny transformer in the real host: its class, how it was trained, and what acts on it."""

from __future__ import annotations

import json

import pytest
import torch

SHAPE = (2, 3, 16, 16)


@pytest.fixture
def tiny(lab, ranges):
    """The MODEL, and how to draw with a MODEL: two steps of two pictures."""
    model, positive, negative = lab.run_node(
        "DetourDemoModel", prompt="nurse", variant="transformer"
    )
    texts = {"positive": positive, "negative": negative}

    def draw(one, **settings):
        return ranges.run(one, "lumina", **{"shape": SHAPE, **texts, **settings})

    return model, texts, draw


@pytest.mark.parametrize("variant", ["transformer", "transformer_mirror"])
def test_it_is_the_hosts_own_class_in_single_precision(lab, variant):
    model, positive, _ = lab.run_node("DetourDemoModel", prompt="nurse", variant=variant)
    assert type(model.model) is lab.comfy.model_base.Lumina2
    network = model.model.diffusion_model
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert len(network.layers) == 8 and positive[0][0].shape == (1, 4, 64)


def test_it_loads_where_the_hosts_class_has_no_layer_that_is_never_called(lab, tiny, monkeypatch):
    """As from ComfyUI 0.8 on."""
    model, _, draw = tiny
    kind = type(model.model.diffusion_model)
    make = kind.__init__

    def without(self, *args, **settings):
        make(self, *args, **settings)
        if hasattr(self, "norm_final"):
            del self.norm_final

    monkeypatch.setattr(kind, "__init__", without)
    newer, *_ = lab.run_node("DetourDemoModel", prompt="nurse", variant="transformer")
    assert not hasattr(newer.model.diffusion_model, "norm_final")
    assert torch.equal(draw(newer), draw(model))


def test_prompts_and_twins_are_told_apart(lab, tiny):
    model, texts, draw = tiny
    guided = draw(model, cfg=3.0)
    assert torch.isfinite(guided).all() and torch.equal(guided, draw(model, cfg=3.0))
    assert not torch.equal(guided, draw(model))
    assert not torch.equal(draw(model), draw(model, positive=texts["negative"]))
    twin, positive, _ = lab.run_node(
        "DetourDemoModel", prompt="nurse", variant="transformer_mirror"
    )
    assert not torch.equal(draw(model), draw(twin, positive=positive))


def test_it_was_trained_for_what_the_hosts_sampler_asks(lab, tiny):
    """The host's noise levels, and its way from the network's answer to a picture: the target in
    training is the answer that gives the picture back."""
    model, _, _ = tiny
    sampling, kind = model.model.model_sampling, lab.pack("demo.networks").NETWORKS["transformer"]
    draw = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(5, 3, 4, 4, generator=draw) for _ in range(2))
    t = kind.draw_time(5, draw)
    x, sigma, target = kind.noisy(x0, noise, t)
    torch.testing.assert_close(sampling.sigma(t), sigma)
    torch.testing.assert_close(sampling.timestep(sigma), sigma)
    wide = sigma[:, None, None, None]
    torch.testing.assert_close(sampling.noise_scaling(wide, noise, x0), x)
    torch.testing.assert_close(sampling.calculate_denoised(sigma, target, x), x0)


def test_a_range_of_its_blocks_is_bypassed(ranges, tiny):
    model, _, draw = tiny
    plain = draw(model, cfg=3.0)
    assert torch.equal(draw(ranges.bypass(model, "3-4", 0.0), cfg=3.0), plain)
    with ranges.left_out(model, 3, 4):
        wanted = draw(model, cfg=3.0)
    assert not torch.equal(wanted, plain)
    with ranges.counted(model) as ran:
        assert torch.equal(draw(ranges.bypass(model, "3-4", 1.0), cfg=3.0), wanted)
    assert [place for place, runs in enumerate(ran) if not runs] == [3, 4]
    with ranges.lerped(model, 2, 5, 0.4):
        wanted = draw(model)
    assert torch.equal(draw(ranges.bypass(model, "auto", 0.4)), wanted)
    assert torch.equal(draw(model, cfg=3.0), plain)


def test_guidance_relief_and_prompt_fade_act_on_it(lab, fades, reliefs, tiny):
    model, texts, draw = tiny
    assert torch.equal(draw(reliefs.relief(model), cfg=3.0), draw(model))
    faded = draw(fades.fade(model, end_percent=1.0))
    assert torch.equal(faded, draw(model, positive=texts["negative"]))
    half = fades.mixed(texts["positive"], texts["negative"], 0.5)
    assert torch.equal(draw(fades.fade(model, 0.5, end_percent=1.0)), draw(model, positive=half))


def test_its_blocks_are_scanned(lab, ranges, tiny):
    model, texts, _ = tiny
    node = lab.prepared(lab.node("DetourBlockScan"), unique_id="7")
    given = {"positive": texts["positive"], "latent": {"samples": torch.zeros(1, *SHAPE[1:])}}
    blocks, _, chart, numbers = node.execute(model=model, steps=2, seeds=1, **given).result
    assert len(json.loads(numbers)["early"]) == 8 and chart.ndim == 4
    assert ranges.bypass(model, blocks, 0.5) is not model
