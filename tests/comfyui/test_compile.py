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


def run(lab, model) -> torch.Tensor:
    """As many steps in each: the host hands all sigmas of a run on, and their number counts."""
    return lab.sample(model, steps=8)


def test_compiled_runs_equal_uncompiled_ones_by_the_same_few_graphs(lab, model):
    """A stale graph would show. Each new graph is a compilation of a minute or more, and after
    eight torch gives up: whatever is dialled, behind the compile node or before it, shares them."""
    graphs: list = []
    backend = counted(graphs)
    once = compiled(model, backend)
    plain, wanted = run(lab, model), run(lab, lab.bypass(model, **FALLING))
    assert not torch.equal(wanted, plain)
    assert torch.equal(run(lab, lab.bypass(once, **FALLING)), wanted)
    assert len(graphs) >= 3
    assert torch.equal(run(lab, compiled(lab.bypass(model, **FALLING), backend)), wanted)
    for strengths in ("0, 0.5, 1", "0.1, 0.9"):  # the node run anew, as after a change of it
        behind, _ = lab.run_node(
            "DetourBypassSweep", model=once, strengths=strengths, end_percent=0.5
        )
        for dialled in behind:
            run(lab, dialled)
    for strength in (0.0, 0.25, 1.0):
        run(lab, compiled(lab.bypass(model, strength, end_percent=0.5), backend))
    assert torch.equal(run(lab, lab.bypass(once)), run(lab, lab.bypass(model)))
    assert torch.equal(run(lab, once), plain), "the branch without the dial"
    assert len(graphs) <= 4
    for half in ("cond", "uncond"):
        got = run(lab, lab.bypass(once, **FALLING, apply_to=half))
        assert torch.equal(got, run(lab, lab.bypass(model, **FALLING, apply_to=half)))
    assert len(graphs) <= 6, "a lam of its own at each step costs no graph, for either half"


@pytest.mark.long
def test_compiled_beside_a_cache(lab, model, notices):
    """Whether the U-Net ran is noted from within the compiled region."""
    node = lab.extra_node("nodes_easycache", "EasyCacheNode")
    for each in (compiled(model), model):
        cache = node.execute(
            model=each, reuse_threshold=1.0, start_percent=0.1, end_percent=0.9, verbose=False
        )
        run(lab, lab.bypass(cache.result[0], 0.5, unique_id="7"))
    assert notices[0] == notices[1]
    assert "came from a cache" in notices[0][1]


@pytest.mark.long
def test_few_graphs_for_two_dials_one_of_them_on_the_prompt(lab, model):
    graphs: list = []
    once = compiled(model, counted(graphs))
    first = lab.bypass(once, 0.9, shape="ramp_down", end_percent=0.8, apply_to="cond")
    lab.sample(lab.bypass(first, 0.3, shape="ramp_up", end_percent=0.6), steps=12)
    assert 2 <= len(graphs) <= 4
