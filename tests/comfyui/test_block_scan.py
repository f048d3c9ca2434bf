"""Which Blocks Matter, against the host's own blocks left out by hand."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import pytest
import torch

STEPS, SEEDS, FIRST = 3, 2, 5


def scan(ranges: Any, model: Any, family: str, **inputs: Any) -> tuple:
    """The outputs of the node: blocks, report, chart, numbers."""
    given = {
        "positive": ranges.texts(family)["positive"],
        "latent": ranges.transformers.empty(model, rows=3),
        **{"steps": STEPS, "seeds": SEEDS, "first_seed": FIRST, "unique_id": "7"},
        **inputs,
    }
    node = ranges.lab.prepared(ranges.lab.node("DetourBlockScan"), unique_id=given.pop("unique_id"))
    return tuple(node.execute(model=model, **given).result)


def literally(ranges: Any, model: Any, family: str, cfg: float, seed: int) -> list[list[float]]:
    """The definition: Euler steps of the whole model; in each of them, for each block, identity in
    its place."""
    lab, found = ranges.lab, []

    def walk(predict, x, sigmas, extra_args, **_):
        for place in range(len(sigmas) - 1):
            sigma = sigmas[place].expand(len(x))
            plain, changes = predict(x, sigma, **extra_args), []
            for block in range(len(ranges.all_of(model))):
                with ranges.left_out(model, block, block):
                    without = predict(x, sigma, **extra_args)
                change = (without - plain).square().sum().sqrt()
                changes.append(float(change / (x - plain).square().sum().sqrt()))
            found.append(changes)
            x = x + (x - plain) / sigmas[place] * (sigmas[place + 1] - sigmas[place])
        return x

    guider = lab.comfy.samplers.CFGGuider(model)
    texts = ranges.texts(family)
    guider.set_conds(texts["positive"], texts["negative"])
    guider.set_cfg(cfg)
    sampling = model.get_model_object("model_sampling")
    sigmas = lab.comfy.samplers.calculate_sigmas(sampling, "simple", STEPS)
    empty = ranges.transformers.empty(model)["samples"]
    noise = lab.comfy.sample.prepare_noise(empty, seed)
    guider.sample(noise, empty, lab.comfy.samplers.KSAMPLER(walk), sigmas, disable_pbar=True)
    return found


@pytest.mark.parametrize(
    ("family", "cfg", "seeds"),
    [("lumina", 1.0, 2), ("sd3", 3.0, 1), ("flux", 1.0, 1), ("qwen", 1.0, 1), ("wan", 3.0, 1)],
)
def test_each_block_is_left_out_alone(ranges, family, cfg, seeds):
    model = ranges.build(family)
    negative = {} if cfg == 1.0 else {"negative": ranges.texts(family)["negative"]}
    found = scan(ranges, model, family, cfg=cfg, seeds=seeds, **negative)
    blocks, report, chart, numbers = found
    wanted = [literally(ranges, model, family, cfg, FIRST + seed) for seed in range(seeds)]
    told = json.loads(numbers)
    torch.testing.assert_close(torch.tensor(told["changes"]), torch.tensor(wanted))
    early = torch.tensor(wanted)[:, :1].mean((0, 1))
    torch.testing.assert_close(torch.tensor(told["early"]), early)
    assert f"blocks = {blocks}" in report
    assert chart.shape == (1, 480, 960, 3)
    assert ranges.bypass(model, blocks, 0.5) is not model


def test_a_dialled_model_is_scanned_as_it_is(ranges):
    model = ranges.build("lumina")
    dialled = ranges.bypass(model, "2-3", 0.5)
    numbers = json.loads(scan(ranges, dialled, "lumina", seeds=1)[3])
    wanted = literally(ranges, dialled, "lumina", 1.0, FIRST)
    torch.testing.assert_close(torch.tensor(numbers["changes"][0]), torch.tensor(wanted))
    assert numbers["changes"][0] != literally(ranges, model, "lumina", 1.0, FIRST)


def test_nothing_of_the_model_is_changed_and_nothing_is_kept(ranges, notices):
    model = ranges.build("flux")
    plain, blocks = ranges.run(model, "flux"), ranges.all_of(model)
    weights = {name: value.clone() for name, value in model.model.state_dict().items()}
    scan(ranges, model, "flux")
    assert notices == [("7", "42 predictions: 2 x 3 steps x (6 blocks + 1)", False)]
    assert ranges.all_of(model) == blocks
    assert torch.equal(ranges.run(model, "flux"), plain)
    now = model.model.state_dict()
    assert all(torch.equal(now[name], value) for name, value in weights.items())
    assert not any(model.wrappers.values())
    dead = weakref.ref(model.model), weakref.ref(model)
    del model, blocks, now
    ranges.lab.comfy.model_management.unload_all_models()
    ranges.lab.comfy.model_management.cleanup_models_gc()
    gc.collect()
    assert [one() for one in dead] == [None, None]


def test_an_error_and_a_cancel_leave_the_plain_model(ranges, monkeypatch):
    management = ranges.lab.comfy.model_management
    model, calls = ranges.build("flux"), []
    plain, blocks = ranges.run(model, "flux"), ranges.all_of(model)

    def fail(*_):
        calls.append(1)
        if len(calls) == 5:
            raise torch.OutOfMemoryError("in the middle")

    handle = blocks[2][1].register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        scan(ranges, model, "flux")
    handle.remove()
    assert ranges.all_of(model) == blocks
    assert torch.equal(ranges.run(model, "flux"), plain)
    handle = blocks[2][1].register_forward_pre_hook(
        lambda *_: management.interrupt_current_processing(True)
    )
    with pytest.raises(management.InterruptProcessingException):
        scan(ranges, model, "flux")
    handle.remove()
    assert ranges.all_of(model) == blocks
    assert torch.equal(ranges.run(model, "flux"), plain)


def test_what_cannot_be_scanned_is_refused(lab, ranges):
    with pytest.raises(ValueError, match="UNetModel is a U-Net: of its parts the mid-block alone"):
        scan(ranges, lab.build("sd15"), "lumina")
    few = ranges.transformers.build("lumina", n_layers=2)
    with pytest.raises(ValueError, match="NextDiT has 2 blocks, and it takes 3"):
        scan(ranges, few, "lumina")
    with pytest.raises(ValueError, match="cfg is 3, and that needs a negative prompt"):
        scan(ranges, ranges.build("lumina"), "lumina", cfg=3.0)


def test_blocks_that_others_put_away_are_told(lab, ranges):
    """As the host does it where blocks are compiled one by one."""
    model = ranges.build("lumina").clone()
    layers, other = model.model.diffusion_model.layers, torch.nn.Identity()
    other.forward = lambda x, *_args, **_named: x

    def swapped(executor, *args, **kwargs):
        own, layers[1] = layers[1], other
        try:
            return executor(*args, **kwargs)
        finally:
            layers[1] = own

    model.add_wrapper_with_key(lab.WrappersMP.DIFFUSION_MODEL, "test", swapped)
    with pytest.raises(ValueError, match="Block 1 could not be left out: another node"):
        scan(ranges, model, "lumina")
