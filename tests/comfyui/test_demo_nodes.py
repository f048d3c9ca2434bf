"""The nodes that the demo brings along (digit counter, placebo), loaded as a host loads them."""

from __future__ import annotations

import asyncio
import sys

import pytest
import torch


@pytest.fixture
def nodes(lab, monkeypatch):
    """The demo's node classes by id. A host knows their folder by its path alone."""
    monkeypatch.setenv("DETOUR_ROOT", str(lab.ROOT))
    monkeypatch.setattr(sys, "path", list(sys.path))
    host = lab.host_nodes()
    monkeypatch.setattr(host, "NODE_CLASS_MAPPINGS", dict(host.NODE_CLASS_MAPPINGS))
    assert asyncio.run(host.load_custom_node(str(lab.ROOT / "demo" / "host_nodes")))
    return host.NODE_CLASS_MAPPINGS


def test_the_counter_reads_real_digits(lab, nodes):
    digits = lab.pack("demo.digits")
    kept = digits.load_digits()
    chosen = torch.arange(0, len(kept.labels), len(kept.labels) // 40)
    pictures = digits.colour(kept.pixels[chosen], chosen % 2 == 0).movedim(1, -1)
    told = nodes["DemoCountDigits"]().count(pictures)["ui"]
    right = torch.tensor(told["digits"]) == kept.labels[chosen]
    assert right.float().mean() > 0.9 and sum(told["sure"]) > 0.9 * len(chosen)


@pytest.mark.parametrize(("amount", "window"), [(0.0, (0.0, 1.0)), (1.0, (0.5, 0.51))])
def test_a_placebo_of_nothing_or_nowhere_changes_nothing(lab, nodes, amount, window):
    model = lab.build("sd15")
    (patched,) = nodes["DemoMidBlockNoise"]().patch(model, amount, *window, 5)
    assert torch.equal(lab.sample(patched), lab.sample(model))


def test_a_placebo_disturbs_its_own_model_alone_and_repeats_itself(lab, nodes):
    model = lab.build("sd15")
    before = lab.sample(model)
    (patched,) = nodes["DemoMidBlockNoise"]().patch(model, 1.0, 0.0, 0.3, 5)
    assert not torch.equal(lab.sample(patched), before)
    assert torch.equal(lab.sample(patched), lab.sample(patched))
    assert torch.equal(lab.sample(model), before)
