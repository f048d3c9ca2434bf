"""A range of blocks together with what else acts on them: other nodes, LoRAs, compilation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from graph_parts import compiled, counted


def replaced(model: Any, patch: Callable, block: int) -> Any:
    """The MODEL with a patch around one of its first blocks, as other packs make it."""
    clone = model.clone()
    clone.set_model_patch_replace(patch, "dit", "double_block", block)
    return clone


@pytest.mark.parametrize("family", ["sd3", "qwen", "wan", "flux"])
def test_strength_one_on_the_negative_prompt_is_skip_layer_guidance(lab, ranges, family):
    """With texts of two lengths: the host evaluates them apart, as Skip Layer Guidance does."""
    model = ranges.build(family)
    run = {"cfg": 3.0, **ranges.texts(family, tokens=5, other=4)}
    node = lab.extra_node("nodes_slg", "SkipLayerGuidanceDiTSimple")
    given = {"start_percent": 0.0, "end_percent": 1.0, "single_layers": ""}
    skipping = node.execute(model=model, double_layers="1, 2", **given).result[0]
    wanted = ranges.run(skipping, family, **run)
    dialled = ranges.bypass(model, "1-2", 1.0, apply_to="uncond")
    assert torch.equal(ranges.run(dialled, family, **run), wanted)
    assert not torch.equal(ranges.run(model, family, **run), wanted)


def skip(streams: dict, _original: dict) -> dict:
    """As Skip Layer Guidance leaves a block out."""
    return streams


@pytest.mark.parametrize("lam", [0.5, 1.0])
@pytest.mark.parametrize("skipped", [0, 1])
def test_a_block_that_another_node_leaves_out_changes_nothing_of_the_range(ranges, skipped, lam):
    model = ranges.build("flux")
    with ranges.left_out(model, skipped, skipped), ranges.lerped(model, 0, 2, lam):
        wanted = ranges.run(model, "flux")
    both = ranges.bypass(replaced(model, skip, skipped), "0-2", lam)
    assert torch.equal(ranges.run(both, "flux"), wanted)


def test_a_range_whose_end_is_left_out_is_refused(ranges):
    model = ranges.build("qwen")
    plain = ranges.run(model, "qwen")
    with pytest.raises(ValueError, match="left out the last of blocks 1-2 of 4, as Skip Layer"):
        ranges.run(ranges.bypass(replaced(model, skip, 2), "1-2", 0.5), "qwen")
    assert torch.equal(ranges.run(model, "qwen"), plain)


def test_a_range_that_is_left_out_is_told(ranges, notices):
    model = ranges.build("qwen")
    skipped = replaced(model, skip, 1)
    dialled = ranges.bypass(skipped, "1", 0.5, unique_id="7")
    assert torch.equal(ranges.run(dialled, "qwen"), ranges.run(skipped, "qwen"))
    ((node, text, missed),) = notices
    assert (node, missed) == ("7", True)
    assert text.startswith("Nothing was bypassed: another node left out block 1 of 4 or put")


@pytest.mark.parametrize("lam", [0.5, 1.0])
def test_a_patch_around_a_bypassed_block_still_acts(ranges, lam):
    """Inside of the range it belongs to it; behind its last block it comes after the blend."""

    def add(streams: dict, original: dict) -> dict:
        out = original["original_block"](streams)
        return {**out, "img": out["img"] + 1.0}

    model = ranges.build("flux")
    for block in (0, 1):
        patched = replaced(model, add, block)
        with ranges.lerped(model, 0, 1, lam):
            wanted = ranges.run(patched, "flux")
        assert torch.equal(ranges.run(ranges.bypass(patched, "0-1", lam), "flux"), wanted)


@pytest.mark.parametrize("lam", [0.5, 1.0])
@pytest.mark.parametrize(("family", "width"), [("flux", 64), ("qwen", 64), ("sd3", 256)])
def test_residuals_inside_the_range_are_bypassed_with_it(lab, ranges, family, width, lam):
    """The host writes a ControlNet's residual into what each block gives. Strength 1 is where the
    blend ends, without them."""
    model = ranges.build(family)
    residuals = [lab.randn(2, 16, width, seed=place) for place in range(3)]
    control = {"input": residuals, "output": residuals}

    def controlled(executor, x, t, concat, context, _control, *rest, **named):
        return executor(x, t, concat, context, control, *rest, **named)

    def run(model: Any) -> torch.Tensor:
        clone = model.clone()
        clone.add_wrapper_with_key(lab.WrappersMP.APPLY_MODEL, "test", controlled)
        return ranges.run(clone, family)

    with ranges.lerped(model, 0, 1, lam):
        wanted = run(model)
    assert not torch.equal(wanted, run(model))
    assert torch.equal(run(ranges.bypass(model, "0-1", lam)), wanted)


def test_a_lora_on_a_bypassed_weight_acts(ranges):
    model = ranges.build("lumina")
    key = "diffusion_model.layers.2.feed_forward.w2.weight"
    change = torch.ones_like(model.model.state_dict()[key])
    lora = model.clone()
    assert lora.add_patches({key: ("diff", (change,))}, 0.5)
    with ranges.lerped(model, 1, 3, 0.5):
        wanted = ranges.run(lora, "lumina")
    dialled = ranges.bypass(lora, "1-3", 0.5)
    assert torch.equal(ranges.run(dialled, "lumina"), wanted)
    assert not torch.equal(ranges.run(ranges.bypass(model, "1-3", 0.5), "lumina"), wanted)
    full = ranges.run(ranges.bypass(lora, "1-3", 1.0), "lumina")
    assert torch.equal(full, ranges.run(ranges.bypass(model, "1-3", 1.0), "lumina"))


# --- compilation -----------------------------------------------------------------------------


FALLING = "0:1, 0.2:1, 0.2:0.8, 0.6:0.2, 0.7:0, 1:0"


@pytest.fixture
def fresh() -> Iterator[None]:
    """Compiled code is thrown away before and afterwards."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_compiled_runs_equal_uncompiled_ones(ranges, transformers, fresh):
    """Skipped, blended by another lam at each step, and plain, Detour behind the node that
    compiles and before it; no graph for each step."""
    graphs: list = []
    backend = counted(graphs)

    def run(model: Any) -> torch.Tensor:
        return ranges.run(model, "flux", steps=8)

    def dialled(model: Any) -> Any:
        return ranges.bypass(
            model, "0-1", shape="curve", points=FALLING, strength=1.0, schedule_by="step"
        )

    model = transformers.build("flux", depth=1, depth_single_blocks=2)
    wanted = run(dialled(model))
    assert not torch.equal(wanted, run(model))
    assert torch.equal(run(dialled(compiled(model, backend))), wanted)
    assert len(graphs) >= 3
    assert torch.equal(run(compiled(dialled(model), backend)), wanted)
    assert len(graphs) <= 4


def test_blocks_that_are_compiled_one_by_one(ranges, fresh, notices):
    """Detour behind the node that compiles; before it the host swaps our stand-ins away."""
    model = ranges.build("lumina")
    keys = [f"diffusion_model.layers.{place}" for place in range(6)]
    wanted = ranges.run(ranges.bypass(model, "2-3", 0.5), "lumina")
    behind = ranges.bypass(compiled(model, keys=keys), "2-3", 0.5)
    assert torch.equal(ranges.run(behind, "lumina"), wanted)
    notices.clear()
    before = compiled(ranges.bypass(model, "2-3", 0.5, unique_id="7"), keys=keys)
    assert torch.equal(ranges.run(before, "lumina"), ranges.run(model, "lumina"))
    ((_, text, missed),) = notices
    assert missed
    assert "connect Detour behind it" in text
