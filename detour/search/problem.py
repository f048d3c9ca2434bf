"""Margins of one row: what a prediction of that row depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..edit.record import Change
from ..probes.features import Probes


@dataclass(frozen=True, eq=False)
class Problem:
    """How correctness depends on row c, for the probes where it depends on it at all.

    A probe is predicted c iff its margin is above 0 (or is 0 and `wins_tie`); its margin
    after a change is `m - t * a_j + s`. K probes matter: those of class c (`sign` +1, right
    iff predicted c) and those whose best other class is their own (`sign` -1, right iff
    not predicted c). Every other probe is wrong whatever row c does.

    rows `[K]` (numbers into the probes), margin `[K]` float64, sign `[K]` int8, group `[K]`
    (0..G-1, non-empty groups only), wins_tie `[K]`, size `[G]` (all probes of the group).
    """

    row: int
    rows: Tensor
    margin: Tensor
    sign: Tensor
    group: Tensor
    wins_tie: Tensor
    size: Tensor

    @property
    def chosen(self) -> Tensor:
        """Which of the K probes are predicted c as things are."""
        return (self.margin > 0) | ((self.margin == 0) & self.wins_tie)

    def moved(self, probes: Probes, change: Change) -> Problem:
        """The same problem after a change of this row."""
        margin = self.margin.clone()
        for column, t in change.weights:
            margin -= t * probes.columns(self.rows, column, column + 1)[:, 0]
        return replace(self, margin=margin + change.shift)

    def part(self, keep: Tensor) -> Problem:
        """A sample of the K probes; sizes shrink with them, so that accuracies stay alike."""
        groups = len(self.size)
        share = torch.bincount(self.group[keep], minlength=groups).double()
        share /= torch.bincount(self.group, minlength=groups).clamp_min(1)
        size = torch.where(share > 0, self.size * share, self.size)
        kept = {n: getattr(self, n)[keep] for n in ("rows", "margin", "sign", "group", "wins_tie")}
        return replace(self, size=size, **kept)


@dataclass(frozen=True, eq=False)
class Chosen:
    """What the problems of all rows share: the probes `rows [n]` (numbers) that are looked at."""

    probes: Probes
    rows: Tensor

    @cached_property
    def groups(self) -> tuple[Tensor, Tensor]:
        """The group of each probe, 0..G-1 without empty ones, `[n]`, and their sizes `[G]`."""
        group = self.probes.groups[self.rows].unique(return_inverse=True)[1]
        return group, torch.bincount(group).double()

    @cached_property
    def leading(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The largest logit and the largest of the others, float64, and the classes of both; each
        `[n]`. Ties as in `argmax`: the lower class index comes first."""
        parts = []
        for rows in self.rows.split(max(1, PIECE // self.probes.z.shape[1])):
            z = self.probes.z[rows]
            first, at_first = z.amax(1), z.argmax(1)
            z.scatter_(1, at_first[:, None], -torch.inf)
            parts.append((first.double(), z.amax(1).double(), at_first, z.argmax(1)))
        first, second, at_first, at_second = (torch.cat(each) for each in zip(*parts, strict=True))
        return first, second, at_first, at_second


PIECE = 2**22
"""Logits are looked at in pieces of so many."""


def margins(probes: Probes, row: int, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Margin, best other class and who wins a tie, for one row of the head.

    `m_i = z_ic - max_{k != c} z_ik` in float64, `[n]`; with a threshold
    `m_i = z_ic - logit(threshold)`, the "other class" is 0 (tag absent) and a tie is not
    the tag. Otherwise ties follow `argmax`: the lower class index wins.
    """
    return margins_of(Chosen(probes, rows), row)


def margins_of(chosen: Chosen, row: int) -> tuple[Tensor, Tensor, Tensor]:
    """`margins` for one row of several."""
    probes, rows = chosen.probes, chosen.rows
    z = probes.z[:, row][rows].double()
    if probes.cut is not None:
        never = torch.zeros(len(rows), dtype=torch.bool)
        return z - probes.cut, torch.zeros(len(rows), dtype=torch.long), never
    first, second, at_first, at_second = chosen.leading
    is_first = at_first == row
    best = torch.where(is_first, at_second, at_first)
    return z - torch.where(is_first, second, first), best, row < best


def problem(probes: Probes, row: int, rows: Tensor) -> Problem:
    """The problem of making row `row` right in every group of the probes `rows`."""
    return problem_of(Chosen(probes, rows), row)


def problem_of(chosen: Chosen, row: int) -> Problem:
    """`problem` for one row of several."""
    margin, other, wins_tie = margins_of(chosen, row)
    group, size = chosen.groups
    y, own = chosen.probes.y[chosen.rows], chosen.probes.label(row)
    sign = (y == own).to(torch.int8) - ((y != own) & (other == y)).to(torch.int8)
    keep = sign.nonzero().flatten()
    return Problem(
        row=row,
        rows=chosen.rows[keep],
        margin=margin[keep],
        sign=sign[keep],
        group=group[keep],
        wins_tie=wins_tie[keep],
        size=size,
    )


def joined(parts: Sequence[Problem]) -> Problem:
    """The problem of one row on the probes of several parts; its groups mean nothing."""
    rows, at = torch.cat([p.rows for p in parts]).unique(return_inverse=True)
    found = {}
    for name in ("margin", "sign", "group", "wins_tie"):
        values = torch.cat([getattr(p, name) for p in parts])
        found[name] = values.new_zeros(len(rows))
        found[name][at] = values  # the same in all parts that have the probe
    return replace(parts[0], rows=rows, **found)


def searched_rows(probes: Probes, target_class: int | None) -> list[int]:
    """The rows of the head that a search tries: the target, or all (one for two classes).

    Raises ValueError if the target is not a row of the head.
    """
    if probes.tag is not None:
        if target_class not in (None, probes.tag):
            raise ValueError(
                f"The target class is {target_class}, but these probes are about tag {probes.tag}. "
                "Leave the target empty."
            )
        return [probes.tag]
    n = probes.n_classes
    if target_class is None:
        return [1] if n == 2 else list(range(n))
    if not 0 <= target_class < n:
        raise ValueError(
            f"The target class is {target_class}; it must be a number from 0 to {n - 1}."
        )
    return [target_class]


def require_contrast(probes: Probes, rows: Tensor) -> None:
    """Refuse probes of one class only or of one attribute only.

    Raises ValueError with what is missing.
    """
    for values, what, name in (
        (probes.y[rows], "class", probes.class_name),
        (probes.a[rows], "attribute", probes.attribute_name),
    ):
        seen = values.unique().tolist()
        if len(seen) < 2:
            have = f"only {name(seen[0])}" if seen else f"no {what}"
            raise ValueError(
                f"The probes to choose on have {have}. Add pictures of another {what}: the "
                "edit is found by comparing groups (class, attribute)."
            )


def has_contrast(probes: Probes, rows: Tensor) -> bool:
    """Whether the probes `rows` have at least two classes and two attributes."""
    return min(len(values[rows].unique()) for values in (probes.y, probes.a)) > 1


@dataclass(frozen=True)
class Found:
    """What a search found, with its score on the probes it was chosen on.

    worst, mean: worst-group and mean (balanced) accuracy, 0..1, in exact arithmetic,
    before the edited numbers are rounded to float32. key: both in one comparable number.
    approximate: the search did not try everything.
    """

    change: Change
    worst: float
    mean: float
    key: int
    approximate: bool = False
