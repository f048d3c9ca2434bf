"""The paired bootstrap: its interval against drawing units one by one, and what it costs."""

import time
import tracemalloc

import numpy as np
import pytest
import torch

from detour.judge.groups import worst_difference
from detour.probes.features import Probes


def marked(count, classes, units=None, head=None):
    """Probes of a head, and which of them two edits get right."""
    draw = torch.Generator().manual_seed(1)
    y = torch.randint(classes, (count,), generator=draw)
    a = torch.randint(2, (count,), generator=draw)
    y[:2], a[:2] = torch.tensor([0, 1]), torch.tensor([0, 1])
    features = torch.randn(count, 2, generator=draw)
    weight = torch.randn(head or classes, 2, generator=draw)
    probes = Probes(features, a, y, weight, torch.zeros(len(weight)), units=units)
    return probes, *(torch.rand(count, generator=draw) < share for share in (0.8, 0.6))


def literal(probes, first, second, rounds):
    """Units drawn one after the other, the groups' shares counted anew for each draw."""
    members = {}
    for row, unit in enumerate(probes.unit_numbers.tolist()):
        members.setdefault(unit, []).append(row)
    keys, draw, found = list(members), np.random.default_rng(5), []
    for _ in range(rounds):
        rows = [r for k in draw.integers(len(keys), size=len(keys)) for r in members[keys[k]]]
        groups = probes.groups[rows]
        worst = [
            min(right[rows][groups == g].double().mean().item() for g in groups.unique())
            for right in (first, second)
        ]
        found.append(worst[0] - worst[1])
    return np.quantile(found, [0.025, 0.975])


@pytest.mark.parametrize("units", [None, [row // 3 for row in range(120)]])
def test_the_interval_is_that_of_drawing_units_one_by_one(units):
    probes, first, second = marked(120, 2, units)
    found = worst_difference(probes, first, second, torch.arange(120))
    assert found == pytest.approx(literal(probes, first, second, 400), abs=0.05)


@pytest.mark.parametrize(("count", "classes", "head"), [(20_000, 2, 2), (4_000, 2, 1000)])
def test_many_probes_and_a_head_of_many_classes_cost_little(count, classes, head):
    probes, first, second = marked(count, classes, head=head)
    tracemalloc.start()
    begin = time.process_time()
    worst_difference(probes, first, second, torch.arange(count))
    seconds, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 * 2**20
    assert seconds < 1
