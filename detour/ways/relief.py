"""Guidance relief: inside the window the guidance scale goes towards 1, where the prompt alone is
followed and the negative prompt need not be computed.

With w the scale and lam the relief of this evaluation,

    w' = 1 + (w - 1) * (1 - lam)

lam 0 leaves it, lam 1 is no guidance, lam below 0 is more of it. The formula is ours; that guidance
at high noise levels does harm is from Kynkäänniemi et al. 2024 (arXiv 2404.07724). A model that was
distilled from a guided one is given its scale as an input (embedded guidance): that goes towards 1
in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .way import Coverage, Way


@dataclass(frozen=True)
class Relief(Way):
    """All settings of a relief: its schedule."""


@dataclass
class ReliefCoverage(Coverage):
    """Counts the evaluations of one run and the rows of its model calls.

    calls: evaluations by the guider; relieved: those with another scale; unguided: those that had
        a scale of 1 anyway; asked: those brought to 1 in which the negative prompt came all the
        same.
    relieved_before: those that another relief had brought to 1.
    overruled: those in which another node put a scale of its own in the place of the relieved one.
    embedded: model calls with another embedded guidance.
    rows: computed; saved: not computed, since the scale was 1.
    """

    relieved: int = 0
    unguided: int = 0
    asked: int = 0
    relieved_before: int = 0
    overruled: int = 0
    embedded: int = 0
    rows: int = 0
    saved: int = 0

    def missed(self) -> str | None:
        """As for every way; and where there was no guidance to relieve, or another node's won."""
        if self.relieved or self.embedded:
            return None
        if self.rows and not self.calls:
            return "Nothing was relieved: this sampler calls the model past its guider."
        if self.overruled:
            return (
                "Nothing was relieved: another node behind this one sets CFG, as CFG Override "
                "does; connect this node behind it."
            )
        if self.relieved_before:
            return (
                "Nothing was left to relieve: another Guidance Relief before this one brings CFG "
                "to 1 in these steps. Do without one of them, or set another window."
            )
        if self.unguided:
            return (
                "Nothing was relieved: CFG is 1 (or the guider has no negative prompt), and this "
                "model has no guidance embedded. Raise CFG, or do without the relief."
            )
        return super().missed()

    def done(self) -> str:
        """In how many evaluations guidance was relieved, and how many rows that saved."""
        told = []
        if self.relieved or not self.embedded:
            told.append(f"relieved guidance in {self.relieved} of {self.calls} evaluations")
        if self.overruled:
            told.append(f"in {self.overruled} more, another node set CFG")
        if self.embedded:
            told.append(f"relieved embedded guidance in {self.embedded} model calls")
        if self.asked and not self.saved:
            told.append("0 rows saved, since something needs the negative prompt all the same")
        elif self.relieved and self.rows:
            told.append(f"{self.saved} of {self.rows + self.saved} rows saved")
        return "; ".join(told)


def relieved(scale: float, lam: float) -> float:
    """A guidance scale on its way to 1; as it is at lam 0."""
    return scale if lam == 0.0 else 1.0 + (scale - 1.0) * (1.0 - lam)


def is_unguided(scale: float) -> bool:
    """Whether hosts take a scale as 1 and leave the negative prompt out."""
    return math.isclose(scale, 1.0)


def relieved_rows(guidance: torch.Tensor, lams: Sequence[float]) -> torch.Tensor:
    """Embedded guidance `[rows]` on its way to 1, with one lam for all rows or one for each; a row
    of lam 0 keeps every bit. The device is not waited for."""
    lam = torch.tensor(lams, dtype=torch.float64)
    kept = (1.0 - lam).to(guidance.device, guidance.dtype, non_blocking=True)
    acts = (lam != 0).to(guidance.device, non_blocking=True)
    return torch.where(acts, 1.0 + (guidance - 1.0) * kept, guidance)
