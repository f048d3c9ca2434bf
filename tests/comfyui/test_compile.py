"""torch.compile through the host's own wrapper, with the dial before and after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from graph_parts import compiled, counted

FALLING = "0:1, 0.2:1, 0.2:0.8, 0.6:0.2, 0.7:0, 1:0"
ORDERS = ("compile_first", "dial_first")


@pytest.fixture
def model(lab) -> Iterator:
    """A small model (tracing is slow) whose compiled code is thrown away afterwards."""
    torch.compiler.reset()
    yield lab.tiny("sd15", **lab.SMALL)
    torch.compiler.reset()


@pytest.mark.parametrize("order", ORDERS)
def test_compiled_run_equals_uncompiled(lab, model, order):
    """Skipped, blended by another lam at each step, and plain: a stale graph would show; and
    a graph for each step would be slow."""
    graphs: list = []
    backend = counted(graphs)
    inputs = {"shape": "curve", "points": FALLING}
    if order == "compile_first":
        both = lab.bypass(compiled(model, backend), **inputs)
    else:
        both = compiled(lab.bypass(model, **inputs), backend)
    got = lab.sample(both, steps=8)
    assert torch.equal(got, lab.sample(lab.bypass(model, **inputs), steps=8))
    assert not torch.equal(got, lab.sample(model, steps=8))
    assert 3 <= len(graphs) <= 4


def test_compiled_branch_without_the_dial_stays_plain(lab, model):
    once = compiled(model)
    dialled = lab.bypass(once)
    first, full = lab.sample(once, steps=2), lab.sample(dialled, steps=2)
    assert torch.equal(first, lab.sample(model, steps=2))
    assert torch.equal(full, lab.sample(lab.bypass(model), steps=2))
    assert torch.equal(lab.sample(once, steps=2), first)


def sweeps(lab, once) -> None:
    """Nine models, the node run anew as after a change of its values: plain, blended, skipped."""
    for strengths in ("0, 0.25, 0.5, 0.75, 1", "0.1, 0.3, 0.6, 0.9"):
        models, _ = lab.run_node(
            "DetourBypassSweep", model=once, strengths=strengths, end_percent=0.5
        )
        for dialled in models:
            lab.sample(dialled, steps=4)


def chain(lab, once) -> None:
    """Two dials, one of them on the prompt alone."""
    first = lab.bypass(once, 0.9, shape="ramp_down", end_percent=0.8, apply_to="cond")
    lab.sample(lab.bypass(first, 0.3, shape="ramp_up", end_percent=0.6), steps=12)


@pytest.mark.parametrize("use", [sweeps, chain])
def test_few_graphs_whatever_the_dial_does(lab, model, use):
    """Each new graph is a compilation of a minute or more; after eight torch gives up."""
    graphs: list = []
    use(lab, compiled(model, counted(graphs)))
    assert 2 <= len(graphs) <= 4


def test_a_sweep_before_the_compile_node(lab, model):
    """The host compiles each of them; they share the graphs."""
    graphs: list = []
    backend = counted(graphs)
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        dialled = lab.bypass(model, strength, end_percent=0.5)
        lab.sample(compiled(dialled, backend), steps=3)
    assert len(graphs) <= 4


def test_compiled_rows_equal_uncompiled_ones(lab, model):
    """Also here a lam of its own at each step costs no graph, for either half."""
    graphs: list = []
    once = compiled(model, counted(graphs))
    for half in ("cond", "uncond"):
        inputs = {"shape": "curve", "points": FALLING, "apply_to": half}
        got = lab.sample(lab.bypass(once, **inputs), steps=8)
        assert torch.equal(got, lab.sample(lab.bypass(model, **inputs), steps=8))
    assert 2 <= len(graphs) <= 4


def test_compiled_beside_a_cache(lab, model, notices):
    """Whether the U-Net ran is noted from within the compiled region."""
    cache = lab.extra_node("nodes_easycache", "EasyCacheNode").execute(
        model=compiled(model),
        reuse_threshold=1.0,
        start_percent=0.1,
        end_percent=0.9,
        verbose=False,
    )
    lab.sample(lab.bypass(cache.result[0], 0.5, unique_id="7"), steps=8)
    plain = lab.extra_node("nodes_easycache", "EasyCacheNode").execute(
        model=model, reuse_threshold=1.0, start_percent=0.1, end_percent=0.9, verbose=False
    )
    lab.sample(lab.bypass(plain.result[0], 0.5, unique_id="7"), steps=8)
    assert notices[0] == notices[1]
    assert "came from a cache" in notices[0][1]
