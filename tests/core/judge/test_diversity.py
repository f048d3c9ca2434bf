"""Diversity of pictures against its literal definition."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from detour.judge.diversity import feature_diversity, picture_diversity


def literal(items, distance):
    """The mean over pairs, and its jackknife interval, written out."""

    def mean(some):
        pairs = list(itertools.combinations(some, 2))
        return sum(distance(a, b) for a, b in pairs) / len(pairs)

    whole = mean(items)
    without = [mean(items[:place] + items[place + 1 :]) for place in range(len(items))]
    centre = sum(without) / len(without)
    spread = sum((each - centre) ** 2 for each in without) * (len(items) - 1) / len(items)
    half = 1.96 * math.sqrt(spread)
    return whole, (max(0.0, whole - half), whole + half)


def test_pictures_differ_by_what_is_left_without_their_mean_colour():
    pictures = torch.rand(5, 16, 16, 3, generator=torch.Generator().manual_seed(0))

    def distance(a, b):
        a, b = (each - each.mean(dim=(0, 1)) for each in (a, b))
        return 100 * (a - b).square().mean().sqrt().item()

    found = picture_diversity(pictures)
    mean, interval = literal(list(pictures), distance)
    assert found.mean == pytest.approx(mean, rel=1e-4)
    assert found.interval == pytest.approx(interval, rel=1e-3)
    tinted = pictures[:1] + torch.rand(4, 1, 1, 3)
    assert picture_diversity(tinted).mean == pytest.approx(0, abs=1e-3)


def test_features_differ_by_their_directions():
    features = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))

    def distance(a, b):
        return 100 * (1 - torch.nn.functional.cosine_similarity(a, b, dim=0).item())

    found = feature_diversity(features)
    mean, interval = literal(list(features), distance)
    assert found.mean == pytest.approx(mean, rel=1e-5)
    assert found.interval == pytest.approx(interval, rel=1e-4)
    assert feature_diversity(features * 7).mean == pytest.approx(mean, rel=1e-5)


def test_two_pictures_have_no_interval_and_one_has_no_diversity():
    assert picture_diversity(torch.rand(2, 8, 8, 3)).interval is None
    for bad in (torch.rand(1, 8, 8, 3), torch.full((3, 8, 8, 3), float("nan"))):
        with pytest.raises(ValueError, match="iversity"):
            picture_diversity(bad)
