"""Paired bootstrap of a difference in worst-group accuracy, by unit."""

from __future__ import annotations

from collections import Counter

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
    present, group = probes.groups[rows].unique(return_inverse=True)
    cell = 4 * group + 2 * first[rows].long() + second[rows].long()
    times, table = _kinds(probes.unit_numbers[rows], cell, 4 * len(present))
    units = int(times.sum())
    draw = np.random.default_rng(seed)
    batch = max(1, BATCH_BYTES // (32 * sum(table.shape)))
    differences = []
    for start in range(0, ROUNDS, batch):
        draws = min(batch, ROUNDS - start)
        drawn = torch.from_numpy(draw.multinomial(units, times / units, size=draws)).double()
        found = torch.sparse.mm(table, drawn.T).view(len(present), 2, 2, draws)
        size = found.sum((1, 2))
        hits = found[:, 1].sum(1), found[:, :, 1].sum(1)
        share = [(hit / size).nan_to_num(torch.inf).amin(0) for hit in hits]
        differences.append(share[0] - share[1])
    low, high = np.quantile(torch.cat(differences).numpy(), [0.025, 0.975])
    return float(low), float(high)


def _kinds(unit: Tensor, cell: Tensor, cells: int) -> tuple[np.ndarray, Tensor]:
    """How many units `[K]` there are of each kind, and how often it has each cell `[cells, K]`.

    Units with the same cells (group, right by first, right by second) are of one kind: drawing
    kinds by their counts is drawing units, and of thousands of probes there are a few kinds.
    """
    members: dict[int, list[int]] = {}
    for number, one in zip(unit.tolist(), cell.tolist(), strict=True):
        members.setdefault(number, []).append(one)
    found = sorted(Counter(tuple(sorted(own)) for own in members.values()).items())
    places = [(one, kind) for kind, (own, _) in enumerate(found) for one in own]
    ones = torch.ones(len(places), dtype=torch.float64)
    table = torch.sparse_coo_tensor(
        torch.tensor(places).T, ones, (cells, len(found)), check_invariants=True
    )
    return np.array([count for _, count in found], dtype=float), table
