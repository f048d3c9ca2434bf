"""Prompt fade: inside the window the prompt's embedding goes to the negative prompt's, or to noise.

Towards the negative prompt n:  out = torch.lerp(c, n, lam). The formula is ours.

Towards noise, with z standard normal and mean, std those of the prompt's own row:

    y   = sqrt(1 - lam) c + std(c) sqrt(lam) z
    out = mean(c) + std(c) (y - mean(y)) / std(y)

Adding noise to the embedding and rescaling the sum to its mean and spread is CADS (Sadat et al.
2024, arXiv 2310.17347), with gamma = 1 - lam and all of the sum rescaled (psi = 1). Ours: noise
of the embedding's own spread, so that lam 1 is noise alone; noise that is drawn once, not anew
for each step; and zeros that stay, since hosts fill with them what no text encoder wrote.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..checks import quoted, require_choice
from .way import Coverage, Way

TOWARD = ("negative", "noise")
LARGEST_SEED = 2**64 - 1
"""As the hosts' own seeds."""
MOST_REPEATS = 4
"""How much longer than the longer of two prompts a common length may be."""


@dataclass(frozen=True)
class Fade(Way):
    """All settings of a fade.

    toward: one of `TOWARD`. seed: of the noise.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    toward: str = "negative"
    seed: int = 0

    def __post_init__(self) -> None:
        require_choice("toward", self.toward, TOWARD)
        whole = isinstance(self.seed, int) and not isinstance(self.seed, bool)
        if not whole or not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(
                f"seed is {quoted(self.seed)}; it must be a whole number from 0 to {LARGEST_SEED}."
            )
        lowest = min(self.schedule.strength, *(v for _, v in self.schedule.points), 0.0)
        if lowest < 0.0:
            raise ValueError(
                f"This fade would go down to {lowest:g}: its strength and the values of its points "
                "must be from 0 to 1."
            )


@dataclass
class FadeCoverage(Coverage):
    """Counts the evaluations of the prompt in one run. faded: those in which it was faded."""

    faded: int = 0

    def record(self, progress: Sequence[float], lams: Sequence[float]) -> None:
        """Count one evaluation with rows at these places, faded as far as this."""
        self.visit(progress)
        self.faded += any(lams)

    def missed(self) -> str | None:
        """As for every way; and where the prompt was never evaluated in a way that can be seen."""
        if self.calls == 0:
            return "Nothing was faded: another node evaluates the prompt in a way of its own."
        return super().missed()

    def done(self) -> str:
        """How often the prompt was faded."""
        return f"faded in {self.faded} of {self.calls} evaluations of the prompt"


def toward_negative(
    c: torch.Tensor, n: torch.Tensor, lam: float | torch.Tensor, *, repeats: bool = False
) -> torch.Tensor:
    """The prompt's embedding `c [B, T, D]` on its way to the negative prompt's `n [B', S, D]`.

    lam: a number or `[rows]`; B and B' are 1 or rows. repeats: see `of_one_length`. Vectors
    `[B, D]` work as well. Raises ValueError if the widths differ.
    """
    if c.ndim != n.ndim or c.shape[-1] != n.shape[-1]:
        raise ValueError(
            f"The prompt's embedding is {tuple(c.shape)}, the negative prompt's {tuple(n.shape)}: "
            "make both with the same text encoder."
        )
    n = n.to(c.device, c.dtype, non_blocking=True)
    if c.ndim > 2:
        c, n = of_one_length(c, n, repeats)
    if not isinstance(lam, torch.Tensor):
        return torch.lerp(c, n, lam)
    c, n, weight = _by_rows(c, n, lam)
    return torch.where(weight == 1, n, torch.where(weight == 0, c, torch.lerp(c, n, weight)))


def of_one_length(
    c: torch.Tensor, n: torch.Tensor, repeats: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two embeddings with as many tokens in both.

    repeats: whether the model only attends to the text, as U-Nets do. Then the tokens of both
        are repeated to their least common multiple, which changes nothing: each weight of the
        softmax is shared by equal tokens. Where that would be very long, and where text and
        picture share one attention, so that repeating would make the text count more, the
        negative prompt's tokens are repeated and cut to the prompt's count.
    """
    mine, other = c.shape[1], n.shape[1]
    common = math.lcm(mine, other)
    if repeats and common <= MOST_REPEATS * max(mine, other):
        return _repeated(c, common), _repeated(n, common)
    return c, _repeated(n, math.ceil(mine / other) * other)[:, :mine]


def _repeated(tokens: torch.Tensor, count: int) -> torch.Tensor:
    return tokens.repeat(1, count // tokens.shape[1], *[1] * (tokens.ndim - 2))


def toward_noise(c: torch.Tensor, z: torch.Tensor, lam: float | torch.Tensor) -> torch.Tensor:
    """The prompt's embedding `c [B, ..., D]` on its way to noise of its own mean and spread.

    z: standard normal, `[Z, ..., D]`, see `draw`. lam: a number or `[rows]`; B and Z are 1 or rows.
    A row of lam 0 is the prompt's own, and so is what is exactly 0 in it.
    """
    if not isinstance(lam, torch.Tensor):
        lam = torch.full((max(len(c), len(z)),), lam)
    given, z, weight = _by_rows(c, z.to(c.device, non_blocking=True), lam)
    wide, weight = given.float(), weight.float()
    written = wide != 0
    mean, std = _mean_and_std(wide, written)
    mixed = (1 - weight).sqrt() * wide + weight.sqrt() * std * z
    own_mean, own_std = _mean_and_std(mixed, written)
    scaled = mean + std * (mixed - own_mean) / own_std.clamp_min(torch.finfo(torch.float32).tiny)
    return torch.where(written & (weight > 0), scaled.to(given.dtype), given)


def draw(seed: int, rows: Sequence[int], *shapes: Sequence[int]) -> list[torch.Tensor]:
    """Standard normal noise `[len(rows), *shape]` for each of the shapes of a prompt's parts.

    rows: places in the whole batch, each with noise of its own, whatever the batch's size. Drawn
    on the CPU, so that it is the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        [torch.randn(tuple(shape), generator=generator) for shape in shapes]
        for _ in range(max(rows) + 1)
    ]
    return [torch.stack([drawn[row][part] for row in rows]) for part in range(len(shapes))]


def _by_rows(
    c: torch.Tensor, other: torch.Tensor, lam: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Both with a row for each lam, and lam as `[rows, 1, ...]`."""
    rows = len(lam)
    weight = lam.to(c.device, c.dtype, non_blocking=True).view(-1, *[1] * (c.ndim - 1))
    return c.expand(rows, *c.shape[1:]), other.expand(rows, *other.shape[1:]), weight


def _mean_and_std(rows: torch.Tensor, counted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the counted elements of each row, `[rows, 1, ...]`; 0 where there are none."""
    every = tuple(range(1, rows.ndim))
    count = counted.sum(every, keepdim=True).clamp_min(1)
    mean = (rows * counted).sum(every, keepdim=True) / count
    spread = ((rows - mean).square() * counted).sum(every, keepdim=True) / count
    return mean, spread.sqrt()
