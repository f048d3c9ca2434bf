"""Several weights and the bias, fitted together to smoothed accuracies."""

import math
import statistics

import pytest
import torch

from detour.edit.apply import changed_logits, predictions
from detour.edit.record import Change
from detour.judge.groups import group_metrics
from detour.probes.features import Probes
from detour.search.one_weight import bias_only, column_blocks
from detour.search.problem import problem
from detour.search.scan import present_key
from detour.search.several import (
    PENALTY,
    SOFTNESS,
    WIDTH,
    Smoothed,
    add_weight,
    change_of,
    fit_sizes,
    refit,
)


def literal_widths(p, line):
    """One width per group, by the definition."""
    groups = p.group.tolist()
    widths = {}
    for g in set(groups):
        own = [v for v, h in zip(line.tolist(), groups, strict=True) if h == g]
        widths[g] = WIDTH * statistics.pstdev(own) / len(own) ** (1 / 3)
    floor = 1e-3 * statistics.pstdev(line.tolist())
    return {g: max(width, floor) for g, width in widths.items()}


def literal_score(p, line, widths):
    """The soft minimum of the smoothed group accuracies, probe by probe."""
    right = dict.fromkeys(widths, 0.0)
    for v, g, sign in zip(line.tolist(), p.group.tolist(), p.sign.tolist(), strict=True):
        right[g] += 1 / (1 + math.exp(-sign * v / widths[g])) / float(p.size[g])
    return -SOFTNESS * math.log(sum(math.exp(-v / SOFTNESS) for v in right.values()))


@pytest.mark.parametrize("seed", range(4))
def test_score_and_slope_equal_the_literal_ones(random_probes, seed):
    probes = random_probes(seed, n=60, d=3, c=3, kind="signed")
    p = problem(probes, 1, torch.arange(60))
    smoothed = Smoothed(p, p.margin)
    widths = literal_widths(p, p.margin)
    line = p.margin + 0.1
    score, slope = smoothed.at(line)
    assert float(score) == pytest.approx(literal_score(p, line, widths), abs=1e-9)
    for i in range(0, len(line), 7):
        step = torch.zeros_like(line)
        step[i] = 1e-5
        rise = literal_score(p, line + step, widths) - literal_score(p, line - step, widths)
        assert float(slope[i]) == pytest.approx(rise / 2e-5, abs=1e-6)


def test_a_refit_is_at_the_top_of_its_score(headed):
    probes = headed(0, n=600, d=6)
    p = problem(probes, 1, torch.arange(600))
    joint = refit(probes, p, Change(1, ((0, 0.3), (2, -0.1)), 0.2))
    change = change_of(probes, p, joint)
    assert torch.allclose(p.moved(probes, change).margin, joint.line, atol=1e-9)

    def penalised(numbers):
        line = p.margin + joint.basis @ numbers
        cost = PENALTY * float((numbers / p.margin.std(correction=0)).square().sum())
        return literal_score(p, line, widths) - cost

    widths = literal_widths(p, joint.line)
    top = penalised(joint.numbers)
    assert joint.score == pytest.approx(top, abs=1e-9)
    for number in range(3):
        for step in (-0.1, 0.1):
            beside = joint.numbers.clone()
            beside[number] += step * float(p.margin.std())
            assert penalised(beside) < top + 1e-3  # the width was fitted a step before
    start = p.moved(probes, Change(1, ((0, 0.3), (2, -0.1)), 0.2)).margin
    assert top > literal_score(p, start, literal_widths(p, start)) + 0.01


def test_the_steepest_weights_are_tried_and_no_weight_twice(headed):
    probes = headed(0, n=400, d=30)
    p = problem(probes, 1, torch.arange(400))
    joint = refit(probes, p, Change(1, ((4, 0.1),)))
    tried = [
        more.columns for more in add_weight(probes, p, joint, column_blocks(probes, [p], 2**14))
    ]
    slope = Smoothed(p, joint.line).at(joint.line)[1]
    features = probes.columns(p.rows, 0, 30)
    steep = {}
    for j in range(30):
        a = features[:, j]
        steep[j] = abs(float(slope @ ((a - a.mean()) / a.std(correction=0))))
    steep.pop(4)
    ordered = sorted(steep, key=lambda j: -steep[j])[:16]
    assert tried == [(4, j) for j in ordered]


def test_steps_do_not_depend_on_the_memory_and_come_out_the_same_twice(headed):
    probes = headed(3, n=300, d=6)
    rows = torch.arange(250)
    path = fit_sizes(probes, rows, None, 3)
    assert path == fit_sizes(probes, rows, None, 3)
    small = fit_sizes(probes, rows, None, 3, max_bytes=2**14)
    assert [f.change.weights[-1][0] for f in small.steps] == [
        f.change.weights[-1][0] for f in path.steps
    ]
    p = problem(probes, 1, rows)
    assert [f.key for f in path.steps] == [
        present_key(p.moved(probes, f.change)) for f in path.steps
    ]


def test_an_edit_that_helps_at_every_size_stays_finite():
    draw = torch.Generator().manual_seed(0)
    classes, marks = torch.arange(400) // 2 % 2, torch.arange(400) % 2
    features = torch.randn(400, 4, generator=draw)
    features[:, 1] = 2.0 * classes - 1 + 0.7 * torch.randn(400, generator=draw)
    z = torch.randn(400, 2, generator=draw)
    probes = Probes(features, marks, classes, logits=z)
    p = problem(probes, 1, torch.arange(400))
    joint = refit(probes, p, Change(1, ((1, -1e6),)))
    assert float(joint.numbers.abs().max()) < 1e3 * float(p.margin.std())


def test_it_starts_from_a_bias_and_leaves_out_groups_that_no_probe_decides(headed):
    probes = headed(0, n=200, d=5)
    p = problem(probes, 1, torch.arange(200))
    shift = bias_only(probes).change
    joint = refit(probes, p, shift)
    assert joint.columns == () and change_of(probes, p, joint).weights == ()
    more = next(add_weight(probes, p, joint, column_blocks(probes, [p], 2**20)))
    assert len(more.columns) == 1
    keep = p.group != 0
    lacking = p.part(keep.nonzero().flatten())
    score, slope = Smoothed(lacking, lacking.margin).at(lacking.margin)
    assert math.isfinite(float(score)) and bool(slope.isfinite().all()) and float(score) > 0


def two_shortcuts(seed, n=800):
    """The class lies weakly in features 0 to 3, the attribute in 4 and 5, both looked at."""
    draw = torch.Generator().manual_seed(seed)
    classes, marks = torch.arange(n) % 2, (torch.arange(n) // 2) % 2
    features = torch.randn(n, 8, generator=draw)
    features[:, :4] += 0.9 * classes[:, None]
    features[:, 4:6] += 2.0 * marks[:, None]
    weight = torch.zeros(2, 8)
    weight[1, :4], weight[1, 4:6] = 1.0, 1.5
    return Probes(features, marks, classes, weight, torch.tensor([0.0, -4.8]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_second_step_takes_the_second_shortcut_and_holds_on_fresh_probes(seed):
    probes, fresh = two_shortcuts(seed), two_shortcuts(seed + 100)
    first, second = fit_sizes(probes, torch.arange(len(probes)), None, 2).steps
    assert [j for j, _ in first.change.weights] == [second.change.weights[0][0]]
    assert {j for j, _ in second.change.weights} == {4, 5}
    one, two = (
        group_metrics(fresh, predictions(fresh, changed_logits(fresh, step.change)) == fresh.y)
        for step in (first, second)
    )
    assert two.worst > one.worst + 0.05
