"""torch.compile through the host's own wrapper, with the dial before and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

FALLING = "0:1, 0.2:1, 0.2:0.8, 0.6:0.2, 0.7:0, 1:0"
ORDERS = ("compile_first", "dial_first")


@pytest.fixture
def model(lab) -> Iterator:
    """A small model (tracing is slow) whose compiled code is thrown away afterwards."""
    torch.compiler.reset()
    yield lab.tiny("sd15", **lab.SMALL)
    torch.compiler.reset()


def compiled(model, backend: str | Callable = "eager"):
    """The MODEL through the host's compile wrapper; the graphs are run as they are."""
    helpers = pytest.importorskip("comfy_api.torch_helpers", reason="the host cannot compile")
    clone = model.clone()
    helpers.set_torch_compile_wrapper(model=clone, backend=backend)
    return clone


@pytest.mark.parametrize("order", ORDERS)
def test_compiled_run_equals_uncompiled(lab, model, order):
    """Skipped, blended by another lam at each step, and plain: a stale graph would show; and
    a graph for each step would be slow."""
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

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
