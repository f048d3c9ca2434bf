"""The nodes that the demo brings along (reader, placebo), loaded as a host loads them."""

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


def test_the_reader_reads_people(lab, nodes):
    faces = lab.pack("demo.faces")
    people = faces.draw_people(faces.Shares(), 40, torch.Generator().manual_seed(0))
    pictures = faces.compose(people).movedim(1, -1)
    told = nodes["DemoReadPeople"]().tell(pictures)["ui"]
    assert told["people"] == people.tolist() and max(told["distance"]) < 1e-6


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
