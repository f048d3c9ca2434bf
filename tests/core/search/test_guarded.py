"""The search behind `mistakes` against every weight, every threshold and every shift."""

from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import pytest
import torch
from literal import exact, literal_points, literal_thresholds, moved

from detour.edit.apply import changed_logits, predictions
from detour.search.guarded import PROMISING, fit_mistakes, guarded_problem, telling_columns
from detour.search.mistakes import WRONG
from detour.search.settings import KEEP_RIGHT


def judged(probes):
    """The probes with right and wrong as their attributes."""
    return replace(probes, attributes=(predictions(probes, probes.z) != probes.y).long())


def literal_key(probes, z, c, keep):
    """Share mended less share broken of predictions by logits; None where the guard is broken."""
    own, others, mended = [], [], []
    for row, y, wrong in zip(z, probes.y.tolist(), probes.a.tolist(), strict=True):
        right = row.index(max(row)) == y
        (mended if wrong == WRONG else own if y == c else others).append(right)
    if any(sum(side) < Fraction(str(keep)) * len(side) for side in (own, others)):
        return None
    return Fraction(sum(mended), len(mended)) + Fraction(sum(own + others), len(own + others)) - 1


def literal_best(probes, steps, keep):
    """The best key over rows and columns; `steps`: the numbers (t, s) to try of one column."""
    found = [Fraction(0)]
    z = exact(probes.z)
    for c in [1] if probes.n_classes == 2 else range(probes.n_classes):
        for column in zip(*exact(probes.features), strict=True):
            for t, s in steps(probes, z, column, c):
                found.append(literal_key(probes, moved(z, column, c, t, s), c, keep))
    return max(key for key in found if key is not None)


def weights(probes, z, column, c):
    thresholds = literal_thresholds(z, column, probes.y.tolist(), c)
    return [(t, Fraction(0)) for t in literal_points(thresholds)]


def pairs(probes, z, column, c):
    margins = [row[c] - max(v for k, v in enumerate(row) if k != c) for row in z]
    points = list(zip(margins, column, strict=True))
    crossings = {(m - n) / (a - b) for (m, a), (n, b) in combinations(points, 2) if a != b}
    ones = [Fraction(-1)] * len(column)
    return [
        (t, s)
        for t in literal_points(sorted(crossings))
        for s in literal_points(
            literal_thresholds(moved(z, column, c, t), ones, probes.y.tolist(), c)
        )
    ]


def agrees(probes, found, key, keep):
    """The key is the literal one, and the edited head's predictions have it."""
    assert found.key / 2**30 == pytest.approx(float(key), abs=1e-8)
    z = changed_logits(probes, found.change)
    row = [[Fraction(v) for v in line] for line in z.tolist()]
    if found.change.numbers:
        assert literal_key(probes, row, found.change.row, keep) == key
        best = torch.tensor([line.index(max(line)) for line in row])
        assert torch.equal(predictions(probes, z), best)


@pytest.mark.parametrize("kind", ["integers", "signed", "relu"])
@pytest.mark.parametrize(
    ("seed", "c", "keep"), [(0, 2, KEEP_RIGHT), (1, 2, 0.7), (2, 3, KEEP_RIGHT), (3, 4, 0.8)]
)
def test_one_weight_and_bias_are_the_best_there_are(random_probes, seed, c, keep, kind):
    probes = judged(random_probes(seed, n=44, c=c, kind=kind))
    sizes = fit_mistakes(probes, torch.arange(len(probes)), keep=keep)
    agrees(probes, sizes.one_weight, literal_best(probes, weights, keep), keep)
    few = judged(random_probes(seed, n=13, d=2, c=c, kind=kind))
    sizes = fit_mistakes(few, torch.arange(len(few)), keep=keep)
    (both,) = sizes.steps
    agrees(few, both, literal_best(few, pairs, keep), keep)
    assert both.key >= sizes.one_weight.key


def test_an_edit_that_breaks_too_many_right_ones_is_none(headed):
    """All false alarms could be mended by a shift that breaks a tenth of the true alarms; who lets
    so many break gets it."""
    probes = headed(0, n=100, d=2)
    z = torch.zeros(100, 2)
    y = (torch.arange(100) < 60).long()
    z[:60, 1] = 5.0
    z[60:70, 1] = 1.0  # false alarms
    z[70:, 1] = -1.0
    for weak, keep, made in (
        (3, KEEP_RIGHT, True),
        (6, KEEP_RIGHT, False),
        (6, 0.9, True),
        (6, 0.91, False),
    ):
        z[:weak, 1] = 0.5  # true alarms below the false ones: 3 or 6 of 60
        now = replace(
            probes, logits=z, weight=None, bias=None, classes=y, features=torch.ones(100, 1)
        )
        shift = fit_mistakes(judged(now), torch.arange(100), keep=keep).bias_only
        assert shift is not None and (shift.change.numbers == 1) == made


def test_the_telling_weights_are_those_that_the_margin_does_not_tell(headed):
    """Feature 1 carries the shortcut, feature 0 the class; of 40 no other tells anything."""
    probes = judged(headed(0, n=400, d=40))
    problem = guarded_problem(probes, 1, torch.arange(400))
    told = telling_columns(probes, problem)
    assert len(told) == PROMISING and set(told[:2]) == {0, 1}
    cell = 2 * problem.group + (problem.sign > 0)
    weight = 1 / torch.bincount(cell).double()[cell]
    score = []
    for j in range(40):  # the slow way: one weighted regression for each
        a = probes.features[problem.rows, j].double()
        x = torch.stack([torch.ones(len(a)).double(), problem.margin, a], dim=1)
        left = [
            torch.linalg.lstsq(weight.sqrt()[:, None] * x[:, :k], weight.sqrt() * problem.sign)
            for k in (2, 3)
        ]
        fits = [x[:, :k] @ one.solution for k, one in zip((2, 3), left, strict=True)]
        score.append(float((weight * (fits[1] - fits[0]) ** 2).sum()))
    slow = torch.tensor(score).argsort(descending=True).tolist()
    assert told[:2] == slow[:2] and len(set(told) & set(slow[:PROMISING])) >= PROMISING - 1
