"""Tiny tasks with a shortcut, made of random numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from detour.probes.features import Probes
from evidence.tasks import Task


@pytest.fixture
def make_probes() -> Callable[..., Probes]:
    """Makes probes with 4 features: 0 tells the class, 1 the attribute, the head sees both."""

    def make(count: int = 240, seed: int = 0) -> Probes:
        draw = torch.Generator().manual_seed(seed)
        number = torch.arange(count)
        y, a = number % 2, number // 2 % 2
        features = torch.randn(count, 4, generator=draw)
        features[:, 0] += 2 * y
        features[:, 1] += 3 * a
        weight, bias = torch.zeros(2, 4), torch.tensor([0.0, -3.0])
        weight[1, 0], weight[1, 1], weight[1, 2] = 1.2, 1.2, 0.3
        return Probes(features, a, y, weight, bias, units=number)

    return make


@pytest.fixture
def make_task(make_probes: Callable[..., Probes]) -> Callable[..., Task]:
    """Makes tasks of such probes."""

    def make(dataset: str = "cnn", share: float = 0.9, seed: int = 0, classes: str = "") -> Task:
        return Task(dataset, share, seed, make_probes(120, seed), make_probes(120, seed + 100))

    return make
