"""Paired bootstrap of a difference in worst-group accuracy, by unit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .probes import Probes

ROUNDS = 1000
BATCH_BYTES = 64 * 2**20


def worst_difference(
    probes: Probes, first: Tensor, second: Tensor, rows: Tensor, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of (worst-group accuracy of first minus second) on the probes `rows`.

    first, second: which probes are right, `[N]` bool. Units are drawn with replacement,
    the same draw for both (percentile bootstrap, Efron 1979; 1000 rounds). Groups that a
    draw misses are left out of it.
    """
    _, unit = probes.unit_numbers[rows].unique(return_inverse=True)
    place = unit * probes.n_groups + probes.groups[rows]
    count = int(unit.max()) + 1

    def table(values: Tensor) -> np.ndarray:
        flat = torch.bincount(place, values.double(), minlength=count * probes.n_groups)
        return flat.view(count, probes.n_groups).numpy()

    sizes = table(torch.ones_like(place))
    tables = np.concatenate([sizes, table(first[rows]), table(second[rows])], axis=1)
    draw = np.random.default_rng(seed)
    batch = max(1, BATCH_BYTES // (16 * count))
    differences = []
    for start in range(0, ROUNDS, batch):
        draws = min(batch, ROUNDS - start)
        weight = draw.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)
        size, one, two = np.split(weight @ tables, 3, axis=1)
        share = [np.where(size > 0, hit / np.maximum(size, 1), np.inf) for hit in (one, two)]
        differences.append(share[0].min(axis=1) - share[1].min(axis=1))
    low, high = np.quantile(np.concatenate(differences), [0.025, 0.975])
    return float(low), float(high)
