"""Several weights and the bias, fitted together to smoothed accuracies."""

import math
import statistics
from dataclasses import replace

import pytest
import torch

from detour.edit.apply import changed_logits, correct, predictions, stack_logits
from detour.edit.record import Change
from detour.judge.groups import group_metrics
from detour.probes.features import Probes
from detour.report.edit import edit_numbers, edit_picture, edit_text
from detour.search.grow import PROMISING, add_weight, exact_keys, promising, refit
from detour.search.neutralize import neutralize
from detour.search.one_weight import quiet
from detour.search.sample import Sample
from detour.search.scan import pack
from detour.search.settings import Search
from detour.search.several import fit_parts, fit_sizes
from detour.search.smoothed import (
    PENALTY,
    SOFTNESS,
    WIDTH,
    Batch,
    Fit,
    change_of,
    climb,
    score,
    start_from,
)
from tools.gpu_search import made

CHANGES = [
    Change(1, ((0, 0.3), (2, -0.1)), 0.2),
    Change(1, ((0, 0.3),), 0.2, (Change(2, ((1, -0.4),), 0.1),)),
    Change(0, ((2, 0.2),), -0.3, (Change(2, ((0, 0.1), (2, 0.2)), 0.0), Change(1, ((1, 0.1),)))),
]


def literal_margins(probes, change):
    """The own logit less the best other one, probe by probe."""
    z = probes.z.double().tolist()
    for part in change.by_row:
        for i, row in enumerate(z):
            lost = sum(t * float(probes.features[i, j]) for j, t in part.weights)
            row[part.row] += part.shift - lost
    return [
        row[y] - max(v for k, v in enumerate(row) if k != y)
        for row, y in zip(z, probes.y.tolist(), strict=True)
    ]


def literal_score(probes, change, widths):
    """The soft minimum of the smoothed group accuracies, probe by probe."""
    groups = probes.groups.tolist()
    right = dict.fromkeys(widths, 0.0)
    for m, g in zip(literal_margins(probes, change), groups, strict=True):
        right[g] += 1 / (1 + math.exp(-m / widths[g])) / groups.count(g)
    return -SOFTNESS * math.log(sum(math.exp(-v / SOFTNESS) for v in right.values()))


def literal_widths(probes, change):
    """One width per group, by the definition."""
    margins, groups = literal_margins(probes, change), probes.groups.tolist()
    widths = {}
    for g in set(groups):
        own = [m for m, h in zip(margins, groups, strict=True) if h == g]
        widths[g] = WIDTH * statistics.pstdev(own) / len(own) ** (1 / 3)
    floor = 1e-3 * statistics.pstdev(margins)
    return {g: max(width, floor) for g, width in widths.items()}


@pytest.mark.parametrize("change", CHANGES)
def test_score_gradient_and_hessian_equal_the_literal_ones(random_probes, change):
    probes = random_probes(1, n=60, d=3, c=3, kind="signed")
    sample = Sample.of(probes, [torch.arange(60)])
    fit = start_from(sample, change)
    batch = Batch.of(sample, [fit])
    numbers = fit.numbers[None]
    widths = literal_widths(probes, change)
    sharp, _ = batch.scales(numbers)
    assert [widths[g] for g in probes.groups[sample.rows].tolist()] == pytest.approx(
        (1 / sharp[0]).tolist()
    )
    found = score(batch, sharp, numbers)
    unit = statistics.pstdev(literal_margins(probes, Change(0)))
    cost = PENALTY * float((numbers / unit).square().sum())
    assert float(found.value) == pytest.approx(
        literal_score(probes, change, widths) - cost, abs=1e-9
    )
    for at in range(numbers.shape[1]):
        step = torch.zeros_like(numbers)
        step[0, at] = 1e-5
        up, down = (score(batch, sharp, numbers + sign * step) for sign in (1, -1))
        assert float(found.gradient[0, at]) == pytest.approx(
            float(up.value - down.value) / 2e-5, abs=1e-6
        )
        bend = (up.gradient - down.gradient)[0] / 2e-5
        assert torch.allclose(found.hessian[0, at], bend, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_the_numbers_of_a_fit_and_back(random_probes, change):
    probes = random_probes(2, n=60, d=3, c=3, kind="signed")
    sample = Sample.of(probes, [torch.arange(60)])
    again = change_of(sample, start_from(sample, change))
    assert torch.allclose(changed_logits(probes, again), changed_logits(probes, change), atol=1e-9)
    right = correct(probes, changed_logits(probes, change))
    shares = torch.tensor(
        [right[probes.groups == g].double().mean() for g in probes.groups.unique()]
    )
    assert exact_keys(sample, [(0, change)]) == [int(pack(shares.min(), shares.mean()))]


def test_a_climb_ends_at_the_top_and_a_refit_is_better_than_its_start(headed):
    probes = headed(0, n=600, d=6, c=3)
    sample = Sample.of(probes, [torch.arange(600)])
    start = Change(2, ((0, 0.3), (2, -0.1)), 0.2, (Change(1, ((1, 0.1),)),))
    fit = start_from(sample, start)
    batch = Batch.of(sample, [fit])
    sharp, _ = batch.scales(fit.numbers[None])
    numbers, value = climb(batch, fit.numbers[None], 60)
    for at in range(numbers.shape[1]):
        for step in (-0.1, 0.1):
            beside = numbers.clone()
            beside[0, at] += step
            assert score(batch, sharp, beside).value < value
    (found,) = refit(sample, [(0, start)])
    top = change_of(sample, found)
    assert found.value == pytest.approx(
        literal_score(probes, top, literal_widths(probes, top)), abs=1e-3
    )
    assert found.value > literal_score(probes, start, literal_widths(probes, start)) + 0.01


def test_the_steepest_weights_are_tried_and_no_weight_twice(headed):
    probes = headed(0, n=400, d=20, c=3)
    sample = Sample.of(probes, [torch.arange(400)])
    (fit,) = refit(sample, [(0, Change(2, ((4, 0.1),)))])
    now = change_of(sample, fit)
    groups = probes.groups.unique().tolist()
    width = 1 / Batch.of(sample, [fit]).scales(fit.numbers[None])[0][0]
    widths = {g: float(width[sample.group == n][0]) for n, g in enumerate(groups)}
    features, steep = probes.features.double(), {}
    for j in range(20):
        unit = 1e-4 / float(features[:, j].std(correction=0))
        shift = now.shift + unit * float(features[:, j].mean())
        beside = Change(2, (*now.weights, (j, unit)), shift)
        steep[j] = abs(literal_score(probes, beside, widths) - literal_score(probes, now, widths))
    steep.pop(4)
    found = promising(sample, [2], [fit], 2**14, quiet)
    order = sorted(steep, key=lambda j: -steep[j])[:PROMISING]
    assert [one.cells for one in found] == [((2, 4), (2, j)) for j in order]
    every = [one.cells for one in promising(sample, [0, 1, 2], [fit], 2**20, quiet)]
    assert len(set(every)) == PROMISING and {row for _, (row, _) in every} & {0, 1}
    (best,) = add_weight(sample, [0, 1, 2], [fit], 2**20, quiet)
    assert best.cells in every and best.value > fit.value
    assert len(best.numbers) - len(best.rows) == 2


def test_steps_do_not_depend_on_the_memory_and_come_out_the_same_twice(headed):
    probes, rows = headed(3, n=300, d=6), torch.arange(250)
    path = fit_sizes(probes, rows, None, 3)
    assert path == fit_sizes(probes, rows, None, 3)
    small = fit_sizes(probes, rows, None, 3, max_bytes=2**14)
    assert [f.change.weights[-1][0] for f in small.steps] == [
        f.change.weights[-1][0] for f in path.steps
    ]


def test_an_edit_that_helps_at_every_size_stays_finite():
    draw = torch.Generator().manual_seed(0)
    classes, marks = torch.arange(400) // 2 % 2, torch.arange(400) % 2
    features = torch.randn(400, 4, generator=draw)
    features[:, 1] = 2.0 * classes - 1 + 0.7 * torch.randn(400, generator=draw)
    probes = Probes(features, marks, classes, logits=torch.randn(400, 2, generator=draw))
    sample = Sample.of(probes, [torch.arange(400)])
    (fit,) = refit(sample, [(0, Change(1, ((1, -1e6),)))])
    assert float(fit.numbers.abs().max()) < 1e7
    best = add_weight(sample, [1], [Fit.none(0)], 2**20, quiet)[0]
    assert float(best.numbers.abs().max()) < 1e3


def cells_of(change):
    return change.rows, [(part.row, j) for part in change.by_row for j, _ in part.weights]


def numbers_of(change):
    shifts = [part.shift for part in change.by_row]
    return shifts + [t for part in change.by_row for _, t in part.weights]


@pytest.mark.parametrize("classes", [2, 4])
def test_parts_side_by_side_find_what_each_finds_alone(headed, classes):
    probes = headed(4, n=300, d=10, c=classes)
    every = torch.arange(300)
    without = every[probes.groups != 1]  # a part may lack a group
    parts = [every, every[30:], without[:-40], every[:50]]
    together = fit_parts(probes, parts, None, 3)
    for found, rows in zip(together, parts, strict=True):
        alone = fit_sizes(probes, rows, None, 3)
        assert [f.key for f in found] == [f.key for f in alone]
        for one, other in zip(found, alone, strict=True):
            assert cells_of(one.change) == cells_of(other.change)
            assert numbers_of(one.change) == pytest.approx(numbers_of(other.change), rel=1e-6)
    assert len({str(found.steps[-1].change) for found in together}) > 1


def test_at_the_top_the_order_of_sums_takes_and_refuses_no_step():
    probes = made(64, 6, 1000, seed=4)  # where it once did
    draw, found = torch.Generator().manual_seed(0), []
    for rows in (torch.arange(1000), torch.randperm(1000, generator=draw)):
        sample = Sample.of(probes, [rows])
        fits = promising(sample, range(6), [Fit.none(0)], 2**26, quiet)
        numbers = torch.stack([fit.numbers for fit in fits])
        found.append(climb(Batch.of(sample, fits), numbers, 12)[0])
    assert torch.allclose(*found, rtol=1e-10, atol=0)


def test_the_order_of_sums_decides_nothing():
    probes = made(256, 6, 4000, seed=2)  # where a GPU once found other numbers
    draw, found = torch.Generator().manual_seed(0), []
    for rows in (torch.arange(4000), torch.randperm(4000, generator=draw)):
        sample = Sample.of(probes, [rows])
        fits = refit(sample, [(0, Change(5, ((72, 8.4),), -3.0))])
        for _ in range(2):
            fits.append(add_weight(sample, range(6), fits[-1:], 2**26, quiet)[0])
        found.append([change_of(sample, fit) for fit in fits])
    for one, other in zip(*found, strict=True):
        assert cells_of(one) == cells_of(other)
        # Less than an edit is rounded by; a step taken by one and not by the other is far more.
        assert numbers_of(one) == pytest.approx(numbers_of(other), rel=1e-8)


def test_of_equal_weights_the_first_is_tried_whatever_the_order_of_sums(headed):
    base = headed(0, n=401, d=7)
    probes = replace(base, features=base.features.repeat(1, 9), weight=base.weight.repeat(1, 9) / 9)
    sample = Sample.of(probes, [torch.arange(401)])
    found = promising(sample, [1], [Fit.none(0)], 2**20, quiet)
    columns = [column for ((_, column),) in (fit.cells for fit in found)]
    assert columns[:9] == list(range(columns[0], 63, 7))


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


def shortcuts_of_two_rows(seed, n=1600):
    """Four classes, each in a feature of its own; the attribute is in features 4 and 5, which
    rows 0 and 3 look at."""
    draw = torch.Generator().manual_seed(seed)
    classes, marks = torch.arange(n) % 4, (torch.arange(n) // 4) % 2
    features = torch.randn(n, 8, generator=draw)
    features[torch.arange(n), classes] += 2.5
    features[:, 4:6] += 2.0 * marks[:, None]
    weight = torch.eye(4, 8)
    weight[3, 4] = weight[0, 5] = 1.5
    return Probes(features, marks, classes, weight, torch.tensor([-1.5, 0.0, 0.0, -1.5]))


def accuracy(fresh, found):
    right = predictions(fresh, changed_logits(fresh, found.change)) == fresh.y
    return group_metrics(fresh, right).worst


@pytest.mark.parametrize("seed", [0, 1])
def test_the_second_step_takes_the_second_shortcut_and_holds_on_fresh_probes(seed):
    probes, fresh = two_shortcuts(seed), two_shortcuts(seed + 100)
    first, second = fit_sizes(probes, torch.arange(len(probes)), None, 2).steps
    assert [j for j, _ in first.change.weights] == [second.change.weights[0][0]]
    assert {j for j, _ in second.change.weights} == {4, 5} and not second.change.others
    assert accuracy(fresh, second) > accuracy(fresh, first) + 0.05


@pytest.mark.parametrize("seed", [0, 1])
def test_weights_are_taken_of_the_rows_that_have_the_shortcuts(seed):
    probes, fresh = shortcuts_of_two_rows(seed), shortcuts_of_two_rows(seed + 100)
    everything = torch.arange(len(probes))
    steps = fit_sizes(probes, everything, None, 2).steps
    assert set(steps[-1].change.rows) == {0, 3} and steps[-1].change.numbers == 4
    one_row = fit_sizes(probes, everything, 3, 2).steps
    assert all(set(found.change.rows) == {3} for found in one_row)
    assert accuracy(fresh, steps[-1]) > max(accuracy(fresh, found) for found in one_row) + 0.05


def test_a_tag_has_one_row_and_its_threshold():
    base = two_shortcuts(0, n=600)
    weight = base.weight[1:] - base.weight[:1]
    probes = Probes(
        base.features, base.a, base.y, weight, base.bias[1:] - base.bias[:1], threshold=0.5, tag=0
    )
    one, two = (fit_sizes(p, torch.arange(600), None, 2).steps for p in (probes, base))
    assert [f.worst for f in one] == pytest.approx([f.worst for f in two], abs=0.01)
    assert all(set(found.change.rows) == {0} for found in one)


def test_an_edit_of_two_rows_is_reported_as_one():
    probes = shortcuts_of_two_rows(0)
    done = neutralize(probes, Search(size="k_weights_bias", max_weights=2))
    assert {cell.row for cell in done.edit.cells} == {0, 3}
    text, told = edit_text(done), edit_numbers(done)
    assert "4 numbers of the last layer edited: classes " in text
    for cell in done.edit.cells:
        what = "bias" if cell.column is None else f"weight of feature {cell.column}"
        assert f"  {what} of class {cell.row}: " in text
    rung = told["ladder"]["rungs"][-1]
    assert {rung["row"], *(part["row"] for part in rung["others"])} == {0, 3}
    report = done.ladder.report_rows
    before, after = (
        predictions(probes, z)[report] for z in (probes.z, stack_logits(probes, done.stack))
    )
    others = (before != 0) & (before != 3)
    changed = float((others & (before != after)).sum() / others.sum())
    assert done.collateral == done.ladder.edit.collateral == pytest.approx(changed)
    assert edit_picture(done).width > 0
