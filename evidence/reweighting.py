"""Rivals that need no group labels to fit: AFR, and a head that learns from edited features."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from detour.classifier.head import Head
from detour.judge.groups import group_metrics
from detour.probes.features import Probes

GAMMAS, PULLS = (1.0, 4.0, 10.0), (1e-3, 1e-2, 1e-1)
"""AFR: how sharply pictures that the head is unsure of count more, and how the fit is held back."""
FIT_STEPS = 40
INNER_STEPS, INNER_RATE, OUTER_STEPS, OUTER_RATE = 5, 0.1, 20, 0.1
CHECK_EVERY = 5


@dataclass(frozen=True, eq=False)
class Scaled:
    """Features of mean 0 and deviation 1, `x [N, D]`, and the head for them, `theta [C, D + 1]`."""

    x: Tensor
    theta: Tensor
    mean: Tensor
    spread: Tensor

    def logits(self, theta: Tensor, x: Tensor) -> Tensor:
        """Logits `[N, C]`."""
        return functional.linear(x, theta[:, :-1], theta[:, -1])

    def head(self, theta: Tensor) -> Head:
        """The head for features as they were."""
        weight = theta[:, :-1] / self.spread
        return Head(weight, theta[:, -1] - weight @ self.mean)


def scaled(probes: Probes) -> Scaled:
    """The probes' features and head, scaled."""
    head, features = probes.head, torch.as_tensor(probes.features)
    mean, spread = features.mean(0), features.std(0)
    spread = torch.where(spread > 0, spread, 1.0)
    bias = torch.zeros(len(head.weight)) if head.bias is None else head.bias
    shifted = bias + head.weight @ mean
    theta = torch.cat([head.weight * spread, shifted[:, None]], dim=1)
    return Scaled((features - mean) / spread, theta, mean, spread)


def halves(probes: Probes, seed: int) -> tuple[Tensor, Tensor]:
    """The probes in two random halves, each group shared out alike."""
    order = torch.randperm(len(probes), generator=torch.Generator().manual_seed(seed))
    order = order[probes.groups[order].argsort(stable=True)]
    return order[::2], order[1::2]


def worst_on(probes: Probes, logits: Tensor, rows: Tensor) -> float:
    """Worst-group accuracy on some probes of logits of all."""
    return group_metrics(probes, logits.argmax(1) == probes.y, rows).worst


def afr(probes: Probes, seed: int) -> Head:
    """Automatic feature reweighting (Qiu et al., ICML 2023): the last layer fitted again, held to
    where it was, on pictures that count by `exp(-gamma p)`, p the head's probability of the truth.

    gamma and how strongly it is held: best worst-group accuracy on one half, fitted on the other,
    then fitted on all. Group labels serve that choice alone, as in the paper.
    """
    data = scaled(probes)
    one, other = halves(probes, seed)

    def score(setting: tuple[float, float]) -> float:
        theta = reweighted(data, probes.y, one, *setting)
        return worst_on(probes, data.logits(theta, data.x), other)

    best = max(product(GAMMAS, PULLS), key=score)
    return data.head(reweighted(data, probes.y, torch.arange(len(probes)), *best))


def reweighted(data: Scaled, labels: Tensor, rows: Tensor, gamma: float, pull: float) -> Tensor:
    """AFR's fit on some probes."""
    x, y = data.x[rows], labels[rows]
    sure = data.logits(data.theta, x).softmax(1)[torch.arange(len(y)), y]
    weight = torch.exp(-gamma * sure) / torch.bincount(y)[y]
    weight = weight / weight.sum()
    theta = data.theta.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([theta], max_iter=FIT_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        wrong = functional.cross_entropy(data.logits(theta, x), y, reduction="none")
        value = weight @ wrong + pull * (theta - data.theta).square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return theta.detach()


def hsfm_head(probes: Probes, seed: int) -> Head:
    """Like HSFM's head (arXiv 2603.29313), ours after its abstract: features of one half are edited
    so that a few steps of the head on them lower its loss on the other half's mistakes.

    When to stop: the best worst-group accuracy on that other half, the head as it was included.
    """
    data = scaled(probes)
    support, rest = halves(probes, seed)
    wrong = data.logits(data.theta, data.x[rest]).argmax(1) != probes.y[rest]
    hard = rest[wrong] if bool(wrong.any()) else rest
    moved = torch.zeros_like(data.x[support]).requires_grad_()
    optimiser = torch.optim.Adam([moved], OUTER_RATE)
    best, found = worst_on(probes, data.logits(data.theta, data.x), rest), data.theta
    for step in range(OUTER_STEPS):
        theta = inner_steps(data, data.x[support] + moved, probes.y[support])
        if step % CHECK_EVERY == CHECK_EVERY - 1:
            score = worst_on(probes, data.logits(theta.detach(), data.x), rest)
            best, found = max((best, found), (score, theta.detach()), key=lambda pair: pair[0])
        loss = functional.cross_entropy(data.logits(theta, data.x[hard]), probes.y[hard])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return data.head(found)


def inner_steps(data: Scaled, x: Tensor, labels: Tensor) -> Tensor:
    """The head after a few plain steps on edited features, with the way back to them."""
    theta = data.theta.clone().requires_grad_()
    for _ in range(INNER_STEPS):
        loss = functional.cross_entropy(data.logits(theta, x), labels)
        (slope,) = torch.autograd.grad(loss, theta, create_graph=True)
        theta = theta - INNER_RATE * slope
    return theta
