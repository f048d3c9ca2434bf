"""Scans that are cut short find what those to the end find."""

import pytest
import torch

from detour.search.problem import problem
from detour.search.scan import events, peaks, scan, shift_events, worst_of
from detour.search.shifts import shift_levels

KINDS = ("integers", "signed", "relu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_best_of_many_weights_are_the_best_of_full_scans(random_probes, kind, classes):
    probes = random_probes(classes, n=90, d=80, c=classes, kind=kind)
    p = problem(probes, 1, torch.arange(90))
    moves = events(p, probes.columns(p.rows, 0, 80))
    full = scan(moves)[0].amax(1)
    ranked = full.unique()
    for floor in (-1, int(ranked[0]), int(ranked[-2]), int(ranked[-1])):
        found = peaks(moves, floor)
        least = max(floor, int(full.max()))
        assert torch.equal(found == least, full == least)
        assert bool((found <= full).all())
    assert not bool((peaks(moves, int(ranked[-1]) + 2**40) > ranked[-1]).any())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 3])
def test_halving_finds_the_best_shift_of_full_scans(random_probes, kind, classes):
    probes = random_probes(classes, n=70, d=6, c=classes, kind=kind)
    p = problem(probes, 1, torch.arange(70))
    columns = probes.columns(p.rows, 0, 6)
    slopes = torch.linspace(-1.5, 2, 9).double().repeat(6, 1) * torch.arange(1, 7)[:, None]
    found = shift_levels(p, columns, slopes)
    for j in range(6):
        keys = scan(shift_events(p, p.margin - slopes[j][:, None] * columns[:, j]))[0].amax(1)
        assert found[j].tolist() == [worst_of(key) for key in keys.tolist()]
    assert len(found.unique()) > 2


def test_a_group_that_no_shift_reaches_leaves_nothing_to_be_had(random_probes):
    probes = random_probes(0, n=60, d=3, c=3, kind="signed")
    p = problem(probes, 1, torch.arange(60))
    alone = p.part((p.group != p.group[0]).nonzero().flatten())
    columns = probes.columns(alone.rows, 0, 3)
    assert shift_levels(alone, columns, torch.ones(3, 2).double()).tolist() == [[0, 0]] * 3
