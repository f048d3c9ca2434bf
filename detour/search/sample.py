"""Probes that edits are fitted to, group by group, and parts of them, fitted side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..checks import MOST_WEIGHTS
from ..probes.features import Probes

FEW_GROUPS = 16
"""Up to so many groups their sums are one product of matrices."""
BLOCK = 2**22
"""Features are read in blocks of so many."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Some probes, group by group: rows `[n]` are their numbers, group `[n]` 0..G-1 rising.

    inside `[S, n]` float64: 1 where a probe is in a part, 0 where not. The S parts (of
    cross-fitting) share all that is read of the probes.
    """

    probes: Probes
    rows: Tensor
    group: Tensor
    inside: Tensor

    @classmethod
    def of(cls, probes: Probes, parts: Sequence[Tensor]) -> Sample:
        """The probes of some parts (their numbers each) in the order of their groups."""
        rows = parts[0] if len(parts) == 1 else torch.cat(list(parts)).unique()
        group = probes.groups[rows].unique(return_inverse=True)[1]
        order = group.argsort(stable=True)
        rows = rows[order]
        inside = torch.stack([torch.isin(rows, part) for part in parts]).double()
        return cls(probes, rows, group[order], inside)

    @cached_property
    def size(self) -> Tensor:
        """How many probes of each part each group has, `[S, G]`."""
        return self.sums(self.inside)

    @cached_property
    def share(self) -> Tensor:
        """What a probe counts in the accuracy of its group, `[S, n]`."""
        return self.inside / self.size.clamp_min(1)[:, self.group]

    @cached_property
    def absent(self) -> Tensor:
        """Infinity for the groups that a part lacks, so that they are no worst group, else 0;
        `[S, G]`."""
        return torch.zeros_like(self.size).masked_fill(self.size == 0, torch.inf)

    @cached_property
    def own(self) -> Tensor:
        """The row of the head that is to be the largest for each probe `[n]`; -1 is the
        threshold."""
        y = self.probes.y[self.rows]
        return y if self.probes.tag is None else torch.where(y == 1, self.probes.tag, -1)

    @cached_property
    def _best(self) -> tuple[Tensor, Tensor]:
        """The largest logits of each probe and their rows: enough for any few rows left out."""
        if self.probes.cut is None:
            z = self.probes.z[self.rows]
            found = z.topk(min(z.shape[1], MOST_WEIGHTS + 2), dim=1)
            return found.values.double(), found.indices
        tag = self.probes.z[self.rows, self.probes.tag].double()[:, None]
        both = torch.cat([tag, torch.full_like(tag, self.probes.cut)], dim=1)
        return both, torch.tensor([self.probes.tag or 0, -1]).expand(len(tag), 2)

    def logits(self, rows: Sequence[int]) -> Tensor:
        """Logits of some rows of the head, `[r, n]` float64."""
        wanted = torch.tensor(list(rows), dtype=torch.long)
        return self.probes.z[self.rows, wanted[:, None]].double()

    def rest(self, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """What an edit of these rows does not move: the own logit (0 where it is of one of
        them), the best of the other classes' logits, and its row; each `[n]`."""
        values, at = self._best
        edited = torch.tensor(list(rows), dtype=torch.long)
        left_out = (at == self.own[:, None]) | torch.isin(at, edited)
        best, first = values.masked_fill(left_out, -torch.inf).max(dim=1)
        own = self._own_logits.masked_fill(torch.isin(self.own, edited), 0)
        return own, best, at.gather(1, first[:, None])[:, 0]

    @cached_property
    def _own_logits(self) -> Tensor:
        if self.probes.cut is not None:
            tag = self.logits([self.probes.tag or 0])[0]
            return torch.where(self.own < 0, self.probes.cut, tag)
        return self.probes.z[self.rows].gather(1, self.own[:, None])[:, 0].double()

    def read(self, columns: Sequence[int]) -> Tensor:
        """Features `[k, n]` of some columns."""
        return self.probes.cells(self.rows, torch.tensor(list(columns), dtype=torch.long)).T

    @cached_property
    def units(self) -> tuple[Tensor, Tensor]:
        """Mean and spread of every feature in each part, two times `[S, D]`; no spread is 0."""
        width, found = self.probes.features.shape[1], []
        step = max(1, BLOCK // len(self.rows))
        weight = self.inside / self.inside.sum(1, keepdim=True)
        for first in range(0, width, step):
            block = self.probes.columns(self.rows, first, min(width, first + step))
            # Of a feature that is constant this is exact, and so is its spread, 0.
            mean = (self.inside @ block) / self.inside.sum(1, keepdim=True)
            off = [part @ (block - own).square_() for part, own in zip(weight, mean, strict=True)]
            found.append((mean, torch.stack(off).sqrt()))
        mean, spread = (torch.cat(each, dim=1) for each in zip(*found, strict=True))
        return mean, torch.where(spread > 0, spread, 1.0)

    @cached_property
    def spread(self) -> Tensor:
        """The spread of the margins without an edit in each part, `[S]`."""
        own, best, _ = self.rest(())
        margins = (own - best).expand(len(self.inside), -1)
        return self.spreads(margins, torch.arange(len(margins)))[1]

    @cached_property
    def _ends(self) -> Tensor:
        return torch.bincount(self.group).cumsum(0) - 1

    @cached_property
    def _members(self) -> Tensor:
        """1 where a probe is of a group, `[G, n]`."""
        return torch.nn.functional.one_hot(self.group).double().T.contiguous()

    def sums(self, values: Tensor) -> Tensor:
        """Sums over the probes of each group: `[..., n]` to `[..., G]`."""
        if len(self._ends) <= FEW_GROUPS:
            return values @ self._members.T
        total = values.cumsum(-1)[..., self._ends]
        return torch.cat([total[..., :1], total.diff(dim=-1)], dim=-1)

    def of_group(self, values: Tensor) -> Tensor:
        """What each probe has of its group: `[B, G]` to `[B, n]`."""
        if len(self._ends) <= FEW_GROUPS:
            return values @ self._members  # quicker, and the same numbers
        return values.index_select(1, self.group)

    def spreads(self, margins: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
        """The spread of margins `[B, n]`, each of a part `[B]`: in every group `[B, G]`, and in
        all, never 0, `[B]`."""
        share, size = self.share[part], self.size[part]
        middle = self.sums(margins * share)
        square = self.sums((margins - self.of_group(middle)).square_().mul_(share))
        total = size.sum(1, keepdim=True)
        mean = (middle * size).sum(1, keepdim=True) / total
        whole = (((middle - mean).square() + square) * size).sum(1) / total[:, 0]
        return square.sqrt(), torch.where(whole > 0, whole.sqrt(), 1.0)
