"""torch.compile through the host's own wrapper, with the dial before and after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from graph_parts import compiled, counted

FALLING = {"shape": "curve", "points": "0:1, 0.2:1, 0.2:0.8, 0.6:0.2, 0.7:0, 1:0"}
"""Skipped, blended by another lam at each step, and plain."""


@pytest.fixture
def model(lab) -> Iterator:
    """A small model (tracing is slow) whose compiled code is thrown away afterwards."""
    torch.compiler.reset()
    yield lab.tiny("small")
    torch.compiler.reset()


def test_compiled_runs_equal_uncompiled_ones_by_the_same_few_graphs(lab, model, notices):
    """A stale graph would show. Each new graph is a compilation of a minute or more, and after
    eight torch gives up: whatever is dialled, wherever, shares them."""
    graphs: list = []
    backend = counted(graphs)
    once = compiled(model, backend)
    plain = lab.sample(model, steps=8)
    wanted = lab.sample(lab.bypass(model, **FALLING), steps=8)
    assert not torch.equal(wanted, plain)
    assert torch.equal(lab.sample(lab.bypass(once, **FALLING), steps=8), wanted)
    assert len(graphs) >= 3
    assert torch.equal(
        lab.sample(compiled(lab.bypass(model, **FALLING), backend), steps=8), wanted
    ), "the dial before the compile node"
    sweeps(lab, model, backend)
    assert torch.equal(
        lab.sample(lab.bypass(once), steps=2), lab.sample(lab.bypass(model), steps=2)
    )
    assert torch.equal(lab.sample(once, steps=8), plain), "the branch without the dial"
    assert beside_a_cache(lab, once, notices) == beside_a_cache(lab, model, notices)
    assert len(graphs) <= 4
    for half in ("cond", "uncond"):
        got = lab.sample(lab.bypass(once, **FALLING, apply_to=half), steps=8)
        assert torch.equal(got, lab.sample(lab.bypass(model, **FALLING, apply_to=half), steps=8))
    assert len(graphs) <= 5, "a lam of its own at each step costs no graph, for either half"


def sweeps(lab, model, backend) -> None:
    """Fourteen models, the node run anew as after a change of its values: plain, blended, skipped.
    Behind the compile node, and before it, where the host compiles each of them."""
    once = compiled(model, backend)
    for strengths in ("0, 0.25, 0.5, 0.75, 1", "0.1, 0.3, 0.6, 0.9"):
        models, _ = lab.run_node(
            "DetourBypassSweep", model=once, strengths=strengths, end_percent=0.5
        )
        for dialled in models:
            lab.sample(dialled, steps=4)
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        lab.sample(compiled(lab.bypass(model, strength, end_percent=0.5), backend), steps=3)


def beside_a_cache(lab, model, notices) -> tuple:
    """What is told of a run with EasyCache: that the U-Net ran is noted from within the compiled
    region."""
    cache = lab.extra_node("nodes_easycache", "EasyCacheNode").execute(
        model=model, reuse_threshold=1.0, start_percent=0.1, end_percent=0.9, verbose=False
    )
    lab.sample(lab.bypass(cache.result[0], 0.5, unique_id="7"), steps=8)
    (told,) = notices
    notices.clear()
    assert "came from a cache" in told[1]
    return told


def test_few_graphs_for_two_dials_one_of_them_on_the_prompt(lab, model):
    graphs: list = []
    once = compiled(model, counted(graphs))
    first = lab.bypass(once, 0.9, shape="ramp_down", end_percent=0.8, apply_to="cond")
    lab.sample(lab.bypass(first, 0.3, shape="ramp_up", end_percent=0.6), steps=12)
    assert 2 <= len(graphs) <= 4
