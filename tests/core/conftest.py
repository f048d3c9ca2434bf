"""Fixtures of the host-free tests; the helpers beside this file are imported by their names."""

import json
import sys
from pathlib import Path

import pytest
import torch

from detour.probes.features import Probes

sys.path.insert(0, str(Path(__file__).resolve().parent))
from colours import (  # noqa: F401 - fixtures
    classifier,
    four_groups,
    make_classifier,
    write_picture,
)
from literal import oracle, random_probes  # noqa: F401 - fixtures

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def golden() -> dict:
    """The table that Python and JavaScript are both held against."""
    return json.loads((GOLDEN / "schedule.json").read_text(encoding="utf-8"))


def make_headed(seed=0, n=240, d=12, c=2, **more):
    """Probes with a head: feature 0 carries the class, feature 1 the attribute."""
    draw = torch.Generator().manual_seed(seed)
    classes = torch.arange(n) % c
    marks = (torch.arange(n) // c) % 2
    features = torch.randn(n, d, generator=draw).abs()
    features[:, 0] += 1.5 * classes
    features[:, 1] += 3.0 * marks
    weight = 0.05 * torch.randn(c, d, generator=draw)
    weight[c - 1, 0] += 1.0
    weight[c - 1, 1] += 0.8
    bias = torch.zeros(c)
    bias[c - 1] = -3.5
    return Probes(features, marks, classes, weight, bias, **more)


@pytest.fixture(scope="session")
def headed():
    return make_headed
