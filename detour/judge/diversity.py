"""How different pictures of one prompt are from one another.

The mean distance of all pairs, with a jackknife interval over the pictures (Efron and Stein 1981):
the pictures are the sample, the pairs are not independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 16
"""Pictures are compared at this size: composition and colours count, texture does not. Ours."""


@dataclass(frozen=True)
class Diversity:
    """The mean distance of all pairs, and its 95 % interval; None for fewer than three pictures."""

    mean: float
    interval: tuple[float, float] | None


def picture_diversity(pictures: Tensor) -> Diversity:
    """Of pictures `[N, H, W, C]` in 0..1: root mean square differences of pairs, in percent.

    Each picture's mean colour is taken out before, since a tint is no variety.
    Raises ValueError for fewer than two pictures, or for values that are not finite.
    """
    small = functional.adaptive_avg_pool2d(pictures[..., :3].float().movedim(-1, 1), SIDE)
    plain = (small - small.mean(dim=(2, 3), keepdim=True)).flatten(1)
    return _of_distances(torch.cdist(plain, plain) * 100 / math.sqrt(plain.shape[1]))


def feature_diversity(features: Tensor) -> Diversity:
    """Of a classifier's features `[N, D]`: one minus the cosine of pairs, in percent.

    Raises ValueError for fewer than two pictures, or for values that are not finite.
    """
    directions = functional.normalize(features.double(), dim=1)
    return _of_distances((1 - directions @ directions.T).clamp_min(0) * 100)


def _of_distances(distances: Tensor) -> Diversity:
    """From distances `[N, N]` of which the diagonal does not count."""
    count = len(distances)
    if count < 2:
        raise ValueError("Diversity needs two pictures at least.")
    if not bool(torch.isfinite(distances).all()):
        raise ValueError("The pictures hold NaN or infinity: their diversity cannot be told.")
    distances = distances.double().cpu().clone().fill_diagonal_(0)
    total, of_each = distances.sum(), distances.sum(dim=1)
    mean = (total / (count * (count - 1))).item()
    if count < 3:
        return Diversity(mean, None)
    without = (total - 2 * of_each) / ((count - 1) * (count - 2))
    spread = (without - without.mean()).square().sum() * (count - 1) / count
    half = 1.96 * math.sqrt(spread.item())
    return Diversity(mean, (max(0.0, mean - half), mean + half))
