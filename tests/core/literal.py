"""Small problems, and the slow, literal definition that the searches are held against."""

from fractions import Fraction
from itertools import combinations, pairwise

import pytest
import torch

from detour.probes.features import Probes


def make_probes(seed=0, n=14, d=3, c=3, attributes=2, kind="integers", **more):
    """Random probes with ties and zeros (`integers`), signed or ReLU-like features."""
    draw = torch.Generator().manual_seed(seed)
    classes = torch.randint(c, (n,), generator=draw)
    marks = torch.randint(attributes, (n,), generator=draw)
    classes[:2], marks[:2] = torch.tensor([0, 1]), torch.tensor([0, 1])
    if kind == "integers":
        features = torch.randint(-2, 3, (n, d), generator=draw).float()
        logits = torch.randint(-3, 4, (n, c), generator=draw).float()
    else:
        features = torch.randn(n, d, generator=draw)
        features = features.relu() if kind == "relu" else features
        logits = torch.randn(n, c, generator=draw)
    return Probes(features, marks, classes, logits=logits, **more)


def exact(tensor):
    """The numbers of a matrix as fractions."""
    return [[Fraction(float(v)) for v in row] for row in tensor.tolist()]


def literal_score(z, classes, groups):
    """(worst-group, mean) accuracy of logits in fractions; argmax, the lower index wins."""
    hits = {}
    for row, y, g in zip(z, classes, groups, strict=True):
        hits.setdefault(g, []).append(row.index(max(row)) == y)
    shares = [Fraction(sum(v), len(v)) for v in hits.values()]
    return min(shares), sum(shares) / len(shares)


def literal_thresholds(z, column, classes, c):
    """Every t at which the correctness of some probe changes."""
    found = set()
    for row, a, y in zip(z, column, classes, strict=True):
        others = [v if k != c else None for k, v in enumerate(row)]
        top = max(v for v in others if v is not None)
        if a != 0 and y in (c, others.index(top)):
            found.add((row[c] - top) / a)
    return sorted(found)


def literal_points(thresholds):
    """One number in every open interval between sorted thresholds, by the rule of design 3."""
    if not thresholds:
        return [Fraction(0)]
    gaps = sorted(b - a for a, b in pairwise(thresholds))
    if gaps:
        half = len(gaps) // 2
        median = gaps[half] if len(gaps) % 2 else (gaps[half - 1] + gaps[half]) / 2
        first = last = median / 2
    else:
        first = last = max(abs(thresholds[0]), Fraction(1)) / 2
    inside = [(a + b) / 2 for a, b in pairwise(thresholds)]
    return [thresholds[0] - first, *inside, thresholds[-1] + last]


def moved(z, column, c, t, s=Fraction(0)):
    """Logits after `W[c, j] -= t` and `b[c] += s`."""
    return [
        [v - t * a + s if k == c else v for k, v in enumerate(row)]
        for row, a in zip(z, column, strict=True)
    ]


class Oracle:
    """Every weight, every threshold, one at a time."""

    def __init__(self, probes):
        self.z = exact(probes.z)
        self.features = exact(probes.features)
        self.classes = probes.y.tolist()
        self.groups = probes.groups.tolist()
        self.rows = [1] if probes.n_classes == 2 else list(range(probes.n_classes))
        self.now = literal_score(self.z, self.classes, self.groups)

    def column(self, j):
        return [row[j] for row in self.features]

    def score(self, c, column, t, s=Fraction(0)):
        return literal_score(moved(self.z, column, c, t, s), self.classes, self.groups)

    def best(self, columns):
        """The best (score, |t|, t, c, j) over all rows and the given {j: column}."""
        results = []
        for c in self.rows:
            for j, column in columns.items():
                for t in literal_points(literal_thresholds(self.z, column, self.classes, c)):
                    worst, mean = self.score(c, column, t)
                    results.append((-worst, -mean, abs(t), c, j, t))
        worst, mean, size, c, j, t = min(results)
        return (-worst, -mean), size, t, c, j

    def best_weight(self):
        return self.best(dict(enumerate(zip(*self.features, strict=True))))

    def best_shift(self):
        return self.best({None: [Fraction(-1)] * len(self.z)})

    def best_pair_score(self):
        """The best score over all crossings: every interval of t, every interval of s."""
        best = self.now
        for c in self.rows:
            margins = [row[c] - max(v for k, v in enumerate(row) if k != c) for row in self.z]
            for column in zip(*self.features, strict=True):
                points = list(zip(margins, column, strict=True))
                crossings = {
                    (m - n) / (a - b) for (m, a), (n, b) in combinations(points, 2) if a != b
                }
                for t in literal_points(sorted(crossings)):
                    turned = moved(self.z, column, c, t)
                    ones = [Fraction(-1)] * len(column)
                    shifts = literal_thresholds(turned, ones, self.classes, c)
                    for s in literal_points(shifts):
                        best = max(best, self.score(c, column, t, s))
        return best


@pytest.fixture(scope="session")
def random_probes():
    return make_probes


@pytest.fixture(scope="session")
def oracle():
    return Oracle
