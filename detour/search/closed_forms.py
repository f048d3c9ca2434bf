"""Closed forms: an edit from group means or from paired pictures, with no search."""

from __future__ import annotations

import torch
from torch import Tensor

from ..edit.record import Change
from ..judge.gap import match_units, mean_rise
from ..probes.features import Probes, pieces
from .problem import margins, searched_rows

FLOOR = 0.01
"""A feature's spread counts as at least this part of the average one, so that features that
hardly ever move are not picked for their tiny spread."""


def from_group_means(
    probes: Probes,
    rows: Tensor | None = None,
    target_class: int | None = None,
    with_bias: bool = False,
    attribute: int = 1,
) -> Change:
    """`evidence`: the weight whose feature differs most with the attribute, set to close the
    margin's gap.

    The gap of a quantity is its mean over the pictures with the attribute minus that without,
    within each class, averaged over the classes that have both. j has the largest gap of
    `a_j` divided by its spread inside groups; `t = gap(m) / gap(a_j)`, so that at degree 1
    the margin of the target class has no gap left. With the bias, `s = -(P + Q) / 2`, P and
    Q the means of `m - t * a_j` over the groups of the target class and of the others;
    with pictures of one side only, `s = t * mean a_j` over those without the attribute.

    rows: probes to choose on (all if None). target_class: needed unless there are two classes.
    attribute: the one that is the spurious feature; all others are "without".
    Raises ValueError if no class has both, or no feature differs. Source: ours.
    """
    row = _target(probes, target_class)
    rows = torch.arange(len(probes)) if rows is None else rows
    has, y = probes.a[rows] == attribute, probes.y[rows]
    cells = _cells(y, has, attribute)
    means, squares = _moments(probes, rows, cells)
    gap = (means[0::2] - means[1::2]).mean(dim=0)
    spread = (squares - means.square()).clamp_min(0).mean(dim=0).sqrt()
    column = _clearest(gap, spread)
    m = margins(probes, row, rows)[0]
    levels = torch.stack([m[cell].mean() for cell in cells])
    t = float((levels[0::2] - levels[1::2]).mean() / gap[column])
    if not with_bias:
        return Change(row, ((column, t),))
    a = probes.columns(rows, column, column + 1)[:, 0]
    own = y == probes.label(row)
    return Change(row, ((column, t),), _centre(m - t * a, t * a, own, y, has))


def from_pairs(
    probes: Probes,
    rows: Tensor | None = None,
    target_class: int | None = None,
    with_bias: bool = False,
    attribute: int = 1,
) -> Change:
    """`paired`: the same pictures without and with the feature; needs no class labels.

    Per unit, `da` is the mean of the pictures with the attribute minus that of those without:
    `j = argmax |mean da_j| / (sd da_j + eps)`, `t = mean dz_c / mean da_j`; eps is the average
    spread times `1 / sqrt(2 (pairs - 1))`, so that with few pairs no feature is picked for a
    spread that is small by chance. With the bias `s = t * mean a_j` over the pictures without
    it. For two classes the margin takes the place of `z_c`, because only the difference of the
    two logits counts.

    Raises ValueError if fewer than two units have both, or no feature differs. Source: ours.
    """
    row = _target(probes, target_class)
    rows = torch.arange(len(probes)) if rows is None else rows
    has, index, count = match_units(probes, rows, attribute)
    with_a, without_a = (_unit_means(probes, rows, index, side, count) for side in (has, ~has))
    change = with_a - without_a
    # From so few pairs a spread is known only to this share of itself.
    column = _clearest(change.mean(dim=0), change.std(dim=0), (2 * (count - 1)) ** -0.5)
    z = margins(probes, row, rows)[0] if probes.is_binary else probes.z[rows, row].double()
    rise = mean_rise(z, index, has, count)
    t = float(rise.mean() / change[:, column].mean())
    shift = t * float(without_a[:, column].mean()) if with_bias else 0.0
    return Change(row, ((column, t),), shift)


def _target(probes: Probes, target_class: int | None) -> int:
    found = searched_rows(probes, target_class)
    if len(found) > 1:
        raise ValueError(
            f"With {probes.n_classes} classes this method needs a target class: the one that "
            "takes the shortcut."
        )
    return found[0]


def _cells(y: Tensor, has: Tensor, attribute: int) -> list[Tensor]:
    """Masks of the groups with and without the attribute, class by class."""
    both = [c for c in y.unique().tolist() if has[y == c].any() and not has[y == c].all()]
    if not both:
        raise ValueError(
            f"No class has probes both with and without attribute {attribute}. Add the missing "
            "pictures: a gap needs both."
        )
    return [(y == c) & side for c in both for side in (has, ~has)]


def _clearest(gap: Tensor, spread: Tensor, least: float = FLOOR) -> int:
    if not bool((gap != 0).any()):
        raise ValueError(
            "No feature differs between the pictures with and without the attribute. Are they "
            "the same pictures?"
        )
    floor = max(FLOOR, least) * spread.mean() + torch.finfo(torch.float64).tiny
    return int((gap.abs() / (spread + floor)).argmax())


def _centre(margin: Tensor, moved: Tensor, own: Tensor, y: Tensor, has: Tensor) -> float:
    sides = []
    for side in (own, ~own):
        groups = [
            margin[side & (y == c) & part].mean()
            for c in y[side].unique().tolist()
            for part in (has, ~has)
            if (side & (y == c) & part).any()
        ]
        if groups:
            sides.append(torch.stack(groups).mean())
    if len(sides) == 2:
        return -float(sides[0] + sides[1]) / 2
    return float(moved[~has].mean())


def _moments(probes: Probes, rows: Tensor, cells: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Means of the features and of their squares in each cell, two times `[cells, D]`."""
    width = probes.features.shape[1]
    selector = torch.stack([cell.double() / cell.sum() for cell in cells])
    means = torch.zeros(len(cells), width, dtype=torch.float64)
    squares = torch.zeros_like(means)
    for start, stop in _row_pieces(probes, rows):
        block = probes.columns(rows[start:stop], 0, width)
        means += selector[:, start:stop] @ block
        squares += selector[:, start:stop] @ block.square()
    return means, squares


def _unit_means(probes: Probes, rows: Tensor, index: Tensor, side: Tensor, units: int) -> Tensor:
    width = probes.features.shape[1]
    total = torch.zeros(units, width, dtype=torch.float64)
    for start, stop in _row_pieces(probes, rows):
        use = (side & (index >= 0))[start:stop]
        block = probes.columns(rows[start:stop][use], 0, width)
        total.index_add_(0, index[start:stop][use], block)
    count = torch.bincount(index[side & (index >= 0)], minlength=units)
    return total / count[:, None]


def _row_pieces(probes: Probes, rows: Tensor) -> list[tuple[int, int]]:
    return [(a, min(b, len(rows))) for a, b in pieces(probes.features) if a < len(rows)]
