"""Whether right and wrong pictures can be told apart by what the last layer sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..probes.features import Probes
from ..probes.parts import FOLDS

ROUNDS = 199
"""Permutations: the smallest p-value is 1 / 200."""
MOST = 2000
"""Of more pictures so many, spread evenly, are looked at."""
LEVEL = 0.05


@dataclass(frozen=True)
class Apart:
    """A read-out of the features, judged on pictures that it was not fitted on.

    auc: how often it puts a wrong picture above a right one of the same prediction (0.5 is
    chance). p: the share of permuted labels with which it does as well. count: pictures.
    """

    auc: float
    p: float
    count: int

    @property
    def told(self) -> bool:
        """Whether that is clearly more than chance."""
        return self.p <= LEVEL


def told_apart(probes: Probes, wrong: Tensor, predicted: Tensor, rows: Tensor, seed: int) -> Apart:
    """Whether a ridge regression tells wrong from right pictures `[N]` of one prediction `[N]`.

    Out of five folds by unit, with labels permuted among units of the same prediction and size. An
    edit of the last layer that sees no difference between them cannot mend a wrong picture and
    spare the right ones of its prediction. Predictions that are always right, or always wrong,
    tell nothing and are left out. Of two classes one read-out serves both predictions, turned
    round for one of them, as one edit would; of more each prediction has its own. Source: ours;
    ridge out of fold by its kernel, the p-value after Phipson and Smyth (2010).
    """
    rows = _informative(rows, wrong, predicted)
    if len(rows) == 0:
        return Apart(0.5, 1.0, 0)
    strata = predicted[rows].unique(return_inverse=True)[1]
    label = wrong[rows].double()
    draw = torch.Generator().manual_seed(seed)
    labels = torch.stack([label, *_permuted(label, strata, probes.unit_numbers[rows], draw)], dim=1)
    one = torch.nn.functional.one_hot(strata).double()
    share = (one.T @ label) / one.sum(0)
    if probes.n_classes == 2:
        turned = 1.0 - 2.0 * strata
        alike = turned[:, None] * turned
    else:
        alike = (strata[:, None] == strata).double()
    scores = _out_of_fold(probes, rows, alike, seed) @ (labels - share[strata, None])
    aucs = _auc(scores, labels, strata)
    as_good = int((aucs[1:] >= aucs[0]).sum())
    return Apart(float(aucs[0]), (1 + as_good) / (1 + ROUNDS), len(rows))


def _informative(rows: Tensor, wrong: Tensor, predicted: Tensor) -> Tensor:
    kept = [
        own
        for c in predicted[rows].unique().tolist()
        if 0 < int(wrong[own := rows[predicted[rows] == c]].sum()) < len(own)
    ]
    found = torch.cat(kept).sort().values if kept else rows[:0]
    if len(found) > MOST:
        found = found[torch.linspace(0, len(found) - 1, MOST).round().long()]
    return found


def _out_of_fold(probes: Probes, rows: Tensor, alike: Tensor, seed: int) -> Tensor:
    """What makes scores `[n]` of labels `[n]`: `K (K' + l)^-1` of each fold's others.

    alike `[n, n]`: what a label says of another picture: 1 the same, -1 the opposite, 0 nothing.
    """
    unit = probes.unit_numbers[rows].unique(return_inverse=True)[1]
    draw = torch.Generator().manual_seed(seed)
    # By lot: folds with their share of each label would favour the labels as they are.
    fold = torch.randperm(int(unit.max()) + 1, generator=draw)[unit] % FOLDS
    x = probes.columns(rows, 0, probes.features.shape[1])
    x = x - x.mean(0)
    spread = x.square().mean(0).sqrt()
    x = x / torch.where(spread > 0, spread, 1.0)
    kernel = alike * (x @ x.T) / x.shape[1]
    penalty = kernel.diagonal().mean().clamp_min(torch.finfo(torch.float64).tiny)
    hat = torch.zeros_like(kernel)
    for number in range(FOLDS):
        judged, known = (found.nonzero().flatten() for found in (fold == number, fold != number))
        if len(known) and len(judged):
            inner = kernel[known][:, known] + penalty * torch.eye(len(known), dtype=torch.float64)
            hat[judged[:, None], known] = torch.linalg.solve(inner, kernel[known][:, judged]).T
    return hat


def _permuted(label: Tensor, strata: Tensor, units: Tensor, draw: torch.Generator) -> Tensor:
    """The labels in other orders `[ROUNDS, n]`: pictures of one unit move together."""
    result = label.repeat(ROUNDS, 1)
    for places in _blocks(strata, units):
        order = torch.rand(ROUNDS, len(places), generator=draw).argsort(dim=1)
        result[:, places.flatten()] = label[places[order]].flatten(1)
    return result


def _blocks(strata: Tensor, units: Tensor) -> Iterator[Tensor]:
    """Places `[U, size]` of units that have as many pictures of one prediction as each other."""
    members: dict[tuple[int, int], list[int]] = {}
    for place, key in enumerate(zip(strata.tolist(), units.tolist(), strict=True)):
        members.setdefault(key, []).append(place)
    alike: dict[tuple[int, int], list[list[int]]] = {}
    for (stratum, _), places in members.items():
        alike.setdefault((stratum, len(places)), []).append(places)
    yield from map(torch.tensor, alike.values())


def _auc(scores: Tensor, labels: Tensor, strata: Tensor) -> Tensor:
    """The share of pairs (wrong, right) of one stratum in order, of each column `[B]`."""
    ordered, pairs = torch.zeros(scores.shape[1], dtype=torch.float64), 0.0
    for stratum in strata.unique().tolist():
        mine, label = scores[strata == stratum], labels[strata == stratum]
        count, n = label.sum(0), len(label)
        rank = mine.argsort(dim=0, stable=True).argsort(dim=0).double() + 1
        ordered += (rank * label).sum(0) - count * (count + 1) / 2
        pairs += float(count[0] * (n - count[0]))
    return ordered / pairs
