"""How varied pictures are, and how far from real ones: Vendi score, Frechet distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch

COMPONENTS = 12
"""Principal components in which distances are taken: few, since a rare group has few pictures."""


def vendi(people: torch.Tensor) -> float:
    """The Vendi score (Friedman and Dieng 2023) of people `[N, fields]`: how many altogether
    different ones would be as varied. Two are alike by the share of their parts that are equal,
    so that a tint, or noise, counts for nothing.

    It grows with N: compare equal numbers. Raises ValueError for nobody.
    """
    if not len(people):
        raise ValueError("There are no people to score.")
    alike = (people[:, None] == people[None]).double().mean(dim=2)
    values = torch.linalg.eigvalsh(alike / len(people)).clamp_min(0)
    values = values[values > 0]
    return float(torch.exp(-(values * values.log()).sum()))


@dataclass(frozen=True)
class Components:
    """The first principal components of pictures: mean `[pixels]`, axes `[pixels, COMPONENTS]`."""

    mean: torch.Tensor
    axes: torch.Tensor

    @classmethod
    def of(cls, pictures: torch.Tensor) -> Components:
        """Of pictures `[N, 3, H, W]`."""
        flat = pictures.flatten(1).double()
        mean = flat.mean(dim=0)
        _, axes = torch.linalg.eigh(torch.cov(flat.T))
        return cls(mean, axes[:, -COMPONENTS:])

    def places(self, pictures: torch.Tensor) -> torch.Tensor:
        """Where pictures `[N, 3, H, W]` lie in them, `[N, COMPONENTS]`."""
        return (pictures.flatten(1).double() - self.mean) @ self.axes


def frechet(first: torch.Tensor, second: torch.Tensor) -> float:
    """Frechet distance (Dowson and Landau 1982; as in FID) between normal distributions with the
    means and covariances of `[N, D]` and `[M, D]`."""
    one, other = torch.cov(first.T), torch.cov(second.T)
    values, vectors = torch.linalg.eigh(one)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    between = torch.linalg.eigvalsh(root @ other @ root).clamp_min(0).sqrt().sum()
    apart = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    return float(apart + one.trace() + other.trace() - 2 * between)
