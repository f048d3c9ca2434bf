"""Results of the library on small planted problems, for the reports to describe."""

from dataclasses import replace

import pytest
import torch

from detour.edit.record import new_stack
from detour.probes.features import Probes
from detour.search.neutralize import neutralize
from detour.search.remove_class import remove_class
from detour.search.settings import RemovalSearch, Search

NAMES = {"class_names": ["low", "high"], "attribute_names": ["plain", "mark"]}


def unedited(probes):
    return new_stack(probes.head)


@pytest.fixture(scope="session")
def probes_of(headed):
    """Planted probes, with names where they have two classes."""

    def make(n=1000, d=6, c=2, **more):
        return headed(n=n, d=d, c=c, **{**(NAMES if c == 2 else {}), **more})

    return make


@pytest.fixture(scope="session")
def empty_stack():
    return unedited


@pytest.fixture(scope="session")
def neutralized(probes_of):
    """Done by each method; `few` is cross-fitted, `bare` and `places` have no classes."""
    whole = probes_of()
    paired = probes_of(400, units=[i // 4 for i in range(400)])
    few = probes_of(80)
    bare = replace(paired, classes=None)
    ten = probes_of(400, c=10)
    places = Probes(
        ten.features, ten.a, None, ten.weight, ten.bias, units=[i // 4 for i in range(400)]
    )
    return {
        "worst_group": neutralize(whole, Search()),
        "evidence": neutralize(whole, Search(method="evidence")),
        "paired": neutralize(paired, Search(method="paired")),
        "few": neutralize(few, Search()),
        "half": neutralize(few, Search(degree=0.5)),
        "bare": neutralize(bare, Search(method="paired")),
        "places": neutralize(places, Search(method="paired", target_class=9)),
    }


@pytest.fixture(scope="session")
def without_class(probes_of):
    """Class 9 of ten removed, and a class that one weight cannot remove."""
    ten = probes_of(600, c=10)
    stuck = Probes(
        torch.eye(6).repeat(20, 1),
        torch.arange(120) % 2,
        torch.arange(120) % 3,
        weight=torch.tensor([[1.0] * 6, [0.0] * 6, [0.0] * 6]),
        bias=torch.zeros(3),
    )
    return {
        "ten": remove_class(ten, RemovalSearch(9)),
        "stuck": remove_class(stuck, RemovalSearch(0)),
        "with_bias": remove_class(stuck, RemovalSearch(0, size="one_weight_bias")),
        "bias_only": remove_class(stuck, RemovalSearch(0, size="bias_only")),
    }
