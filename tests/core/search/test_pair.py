"""One weight and the bias: exact for few probes, close for many."""

import pytest
import torch

from detour.search.one_weight import bias_only, worst_group
from detour.search.pair import best_shift_at, crossing_midpoints, pivot_keys, weight_and_bias
from detour.search.problem import problem
from detour.search.several import fit_sizes


@pytest.mark.parametrize("kind", ["integers", "signed", "relu"])
@pytest.mark.parametrize(("seed", "c"), [(0, 2), (1, 2), (2, 3), (3, 3)])
def test_few_probes_equal_brute_force_over_all_crossings(random_probes, oracle, seed, c, kind):
    probes = random_probes(seed, n=9, d=2, c=c, kind=kind)
    worst, mean = oracle(probes).best_pair_score()
    found = weight_and_bias(probes)
    assert (found.worst, found.mean) == pytest.approx((float(worst), float(mean)), abs=1e-8)
    assert not found.approximate


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["integers", "signed", "relu"])
def test_pivots_find_what_all_crossings_find(random_probes, seed, kind):
    probes = random_probes(seed, n=40, d=4, c=3, kind=kind)
    p = problem(probes, 1, torch.arange(40))
    columns = probes.columns(p.rows, 0, 4)
    for j in range(4):
        key = pivot_keys(p, columns[:, j : j + 1])
        slopes = crossing_midpoints(p, columns[:, j])
        assert best_shift_at(p, columns[:, j], slopes)[0] == key


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["signed", "relu"])
def test_many_probes_come_within_a_point(random_probes, seed, kind):
    probes = random_probes(seed, n=150, d=5, c=2, kind=kind)
    p = problem(probes, 1, torch.arange(150))
    columns = probes.columns(p.rows, 0, 5)
    exact = int(pivot_keys(p, columns).max())
    found = weight_and_bias(probes)
    assert found.approximate
    assert found.key <= exact
    assert found.worst >= exact // 2**31 / 2**30 - 0.01


@pytest.mark.parametrize("seed", range(8))
def test_never_worse_than_its_parts(random_probes, seed):
    for n in (20, 120):
        probes = random_probes(seed, n=n, d=4, c=3)
        pair = weight_and_bias(probes)
        assert pair.key >= max(worst_group(probes).key, bias_only(probes).key)


def test_the_score_is_that_of_the_change(random_probes, oracle):
    from fractions import Fraction

    for seed in range(6):
        probes = random_probes(seed, n=30, d=4, c=3, kind="signed")
        found = weight_and_bias(probes)
        literal = oracle(probes)
        ((j, t),) = found.change.weights
        score = literal.score(
            found.change.row, literal.column(j), Fraction(t), Fraction(found.change.shift)
        )
        assert (found.worst, found.mean) == pytest.approx(tuple(map(float, score)), abs=1e-8)


def test_fewer_numbers_win_a_tie():
    from detour.probes.features import Probes

    logits = torch.tensor([[0.0, -1], [0, -1], [0, -0.5], [0, -0.5]])
    features = torch.tensor([[1.0], [2], [1], [2]])
    probes = Probes(features, [0, 1, 0, 1], [0, 0, 1, 1], logits=logits)
    found = weight_and_bias(probes)
    assert found.worst == 1
    assert found.change.numbers == 1


def test_greedy_steps_take_other_weights_each(headed):
    probes = headed(1, n=200, c=3)
    path = fit_sizes(probes, torch.arange(200), None, 3)
    assert path.steps[0].key >= path.one_weight.key
    for number, found in enumerate(path.steps, start=1):
        cells = [(part.row, j) for part in found.change.by_row for j, _ in part.weights]
        assert len(cells) == len(set(cells)) <= number
        assert found.change.row == path.steps[0].change.row


@pytest.mark.parametrize("n", [8, 200])
def test_rows_that_no_probe_depends_on_are_passed_over(n):
    from detour.probes.features import Probes

    classes = torch.arange(n) // 2 % 2
    logits = torch.zeros(n, 3)
    logits[torch.arange(n), 1 - classes] = 2.0
    logits[:, 2] = 1.0
    features = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    probes = Probes(features, torch.arange(n) % 2, classes, logits=logits)
    assert len(problem(probes, 2, torch.arange(n)).rows) == 0
    assert worst_group(probes, target_class=2).change.numbers == 0
    assert weight_and_bias(probes, target_class=2).change.numbers == 0
    assert weight_and_bias(probes).key >= bias_only(probes).key
