"""Per-group accuracy and what is made of it, by its names in the field; paired bootstrap
intervals by unit, and what may be claimed of an edit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..probes.features import Probes

Z95 = 1.959963984540054
NAMED, NAME_LENGTH = 4, 60
"""So many groups a sentence names, with so many letters each; of more it tells how many."""


@dataclass(frozen=True)
class GroupMetrics:
    """Accuracies (0..1) of one set of predictions; groups are numbered as in `Probes`.

    counts, right, accuracy, low, high: per group; accuracy and its Wilson 95 % interval are
    None for an empty group. units: per group, of how many photos or seeds the pictures are; the
    interval is that of so many pictures, since those of one photo err together. worst, mean: the
    lowest and the unweighted mean accuracy of the non-empty groups. adjusted: the mean weighted
    by training counts (WILDS `adj_acc_avg`), None where these are not known. worst_group: the
    number of the worst group. unmeasured: the numbers of the groups that the probes have, but
    not among those measured on; worst, mean and adjusted say nothing of them.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    right: tuple[int, ...]
    accuracy: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    worst: float
    worst_group: int
    mean: float
    adjusted: float | None
    units: tuple[int, ...]
    unmeasured: tuple[int, ...] = ()

    @property
    def of_groups(self) -> str:
        """` of 3 of 4 groups` where some are not measured, else nothing: for any worst group."""
        if not self.unmeasured:
            return ""
        measured = sum(count > 0 for count in self.counts)
        return f" of {measured} of {measured + len(self.unmeasured)} groups"

    @property
    def unmeasured_names(self) -> str:
        """The groups that are not measured, in words; the first few of many."""
        return listed([self.names[g] for g in self.unmeasured])

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the figures, and one entry per non-empty group."""
        groups = [
            {
                "name": self.names[g],
                "n": self.counts[g],
                "right": self.right[g],
                "accuracy": self.accuracy[g],
                "low": self.low[g],
                "high": self.high[g],
            }
            for g in range(len(self.counts))
            if self.counts[g]
        ]
        return {
            "worst_group_accuracy": self.worst,
            "worst_group": self.names[self.worst_group],
            "mean_accuracy": self.mean,
            "adjusted_average_accuracy": self.adjusted,
            "unmeasured_groups": [self.names[g] for g in self.unmeasured],
            "groups": groups,
        }


def listed(names: Sequence[str]) -> str:
    """Names of groups in one phrase; of many, the first few and how many more."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f"({name[:NAME_LENGTH]})" for name in names[:NAMED]) + more


def count_units(units: Tensor) -> int:
    """Of how many photos or seeds pictures with these unit numbers are."""
    return len(units.unique())


def wilson(right: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of the share right / count (Wilson 1927); count must be positive."""
    share, z2 = right / count, Z95 * Z95
    centre = share + z2 / (2 * count)
    spread = Z95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    low, high = ((centre + sign * spread) / (1 + z2 / count) for sign in (-1, 1))
    return min(share, max(0.0, low)), max(share, min(1.0, high))


def share_interval(hits: int, count: int, units: int) -> tuple[float, float]:
    """The interval of hits / count pictures, which are of `units` photos or seeds: that of so
    many pictures, since those of one photo err together (ours)."""
    return wilson(hits / count * units, units)


def group_metrics(probes: Probes, right: Tensor, rows: Tensor | None = None) -> GroupMetrics:
    """The metrics of the probes `rows` (all if None), given which probes are right `[N]` bool.

    Raises ValueError if there is no probe.
    """
    groups, units = probes.groups, probes.unit_numbers
    unmeasured = () if rows is None else tuple(probes.unmeasured(rows))
    if rows is not None:
        groups, units, right = groups[rows], units[rows], right[rows]
    if len(groups) == 0:
        raise ValueError("There are no probes to measure on. Add probes or change the split.")
    counts = torch.bincount(groups, minlength=probes.n_groups).tolist()
    hits = torch.bincount(groups[right], minlength=probes.n_groups).tolist()
    accuracy = [k / n if n else None for k, n in zip(hits, counts, strict=True)]
    # One number for each pair (group, unit) that there is.
    unit = units.unique(return_inverse=True)[1]
    seen = (groups * len(units) + unit).unique() // len(units)
    units_seen = torch.bincount(seen, minlength=probes.n_groups).tolist()
    intervals = [
        share_interval(hit, n, unit) if n else (None, None)
        for hit, n, unit in zip(hits, counts, units_seen, strict=True)
    ]
    known = {g: value for g, value in enumerate(accuracy) if value is not None}
    worst_group = min(known, key=lambda g: known[g])
    return GroupMetrics(
        names=tuple(probes.group_name(g) for g in range(probes.n_groups)),
        counts=tuple(counts),
        right=tuple(hits),
        accuracy=tuple(accuracy),
        low=tuple(low for low, _ in intervals),
        high=tuple(high for _, high in intervals),
        worst=known[worst_group],
        worst_group=worst_group,
        mean=sum(known.values()) / len(known),
        adjusted=_adjusted(probes, known),
        units=tuple(units_seen),
        unmeasured=unmeasured,
    )


def _adjusted(probes: Probes, known: dict[int, float]) -> float | None:
    if probes.train_counts is None:
        return None
    weight = {g: probes.train_counts[g] for g in known}
    total = sum(weight.values())
    return sum(weight[g] * known[g] for g in known) / total if total > 0 else None


def collateral(before: Tensor, after: Tensor, edited: set[int]) -> float:
    """Share (0..1) of the predictions of other classes than the edited ones that changed.

    before, after: predictions `[N]`. 0 if there is no prediction of another class.
    """
    others = torch.ones_like(before, dtype=torch.bool)
    for row in edited:
        others &= before != row
    count = int(others.sum())
    return int((others & (before != after)).sum()) / count if count else 0.0


ROUNDS = 1000
BATCH_BYTES = 64 * 2**20


def worst_difference(
    probes: Probes,
    first: Tensor,
    second: Tensor,
    rows: Tensor,
    seed: int = 0,
    coverage: float = 0.95,
) -> tuple[float, float]:
    """Interval of (worst-group accuracy of first minus second) on the probes `rows`.

    first, second: which probes are right, `[N]` bool. Units are drawn with replacement,
    the same draw for both (percentile bootstrap, Efron 1979; 1000 rounds). Groups that a
    draw misses are left out of it. coverage: share of the draws inside.
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
    tail = (1 - coverage) / 2
    low, high = np.quantile(torch.cat(differences).numpy(), [tail, 1 - tail])
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


FEWEST_UNITS = 6
"""Fewer photos or seeds of a group than this prove nothing: of five, all may turn right by luck
(2^-5 = 3 %, in either direction 6 %)."""


@dataclass(frozen=True)
class Gain:
    """Worst-group accuracy after minus before (0..1), with its 95 % interval, and the verdict.

    verdict: `improved` or `worse` where the interval is on one side of 0, else `unclear`;
    `unmeasured` where some group of the probes is not among those reported on, `few` where one
    has fewer than `FEWEST_UNITS` photos or seeds there, `seen` where the figures are of probes
    that chose the edit: then nothing is claimed, whatever the interval.
    """

    difference: float
    low: float
    high: float
    verdict: str


def gain(
    probes: Probes,
    right: tuple[Tensor, Tensor],
    rows: Tensor,
    seen: bool = False,
    seed: int = 0,
) -> Gain:
    """The gain on the probes `rows`, given which are right before and after, two times `[N]` bool.

    seen: whether these rows chose the edit. The interval is that of the paired bootstrap by unit.
    """
    was, now = (group_metrics(probes, one, rows) for one in right)
    low, high = worst_difference(probes, right[1], right[0], rows, seed)
    return Gain(now.worst - was.worst, low, high, _verdict(now, low, high, seen))


def claimable(gain: Gain | None, learned: bool) -> Gain | None:
    """The gain, with nothing to claim where the classifier itself learned from these probes."""
    return replace(gain, verdict="seen") if gain is not None and learned else gain


def _verdict(metrics: GroupMetrics, low: float, high: float, seen: bool) -> str:
    if seen:
        return "seen"
    if metrics.unmeasured:
        return "unmeasured"
    if min(n for n in metrics.units if n) < FEWEST_UNITS:
        return "few"
    if low > 0:
        return "improved"
    return "worse" if high < 0 else "unclear"
