"""A linear head for a backbone: L2-regularised logistic regression on its features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..classifier.model import ImageClassifier
from ..edit.apply import correct
from ..judge.groups import GroupMetrics, count_units, group_metrics, share_interval
from ..probes.features import Probes
from ..probes.parts import FIT_SEED, folds, needs_folds, split_parts
from ..probes.probe_set import FEW

STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Candidates for the strength of the regularisation, from the strongest on."""
_STEPS = 200
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A fitted head and how well it does on pictures that it was not fitted on.

    weight `[C, D]`, bias `[C]`: float32, for features as they are. strength: of the L2
    penalty, chosen by cross-validation. losses: the cross-validated log loss of each strength.
    fitted, held_out: how many pictures there were of each. metrics: per group, on those held
    out. share: of those held out, the share that is right, with its 95 % interval.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    losses: tuple[tuple[float, float], ...]
    fitted: int
    held_out: int
    metrics: GroupMetrics
    share: tuple[float, float, float]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON: everything but the head itself."""
        return {
            "strength": self.strength,
            "cross_validation": [{"strength": s, "log_loss": loss} for s, loss in self.losses],
            "fitted": self.fitted,
            "held_out": self.held_out,
            "accuracy": dict(zip(("share", "low", "high"), self.share, strict=True)),
            **self.metrics.as_dict(),
            "notes": list(self.notes),
        }


def unfitted(classifier: ImageClassifier, labels: tuple[str, ...]) -> ImageClassifier:
    """A classifier of these labels on the same backbone; its head is still all zeros.

    Raises ValueError for fewer than two labels.
    """
    if len(labels) < 2:
        raise ValueError(
            "A classifier is fitted on pictures of at least two classes, and the probes show "
            f"{len(labels)}: chain pictures of another class."
        )
    description = replace(
        classifier.description,
        labels=labels,
        activation="softmax",
        backbone_hash="",
        backbone_halves={},
    )
    zeros = torch.zeros(len(labels), classifier.feature_count)
    return ImageClassifier(classifier.backbone, zeros, zeros[:, 0], description)


def fit_linear_head(
    probes: Probes, seed: int = FIT_SEED, progress: Callable[[int, int], None] | None = None
) -> LinearHead:
    """Fit a head on three quarters of the probes and judge it on the last quarter.

    The parts are those that the probes name, else those of `split_parts`: the quarter that is
    held out here is also the one that edits of this head are reported on. The strength is the
    one with the lowest log loss in five-fold cross-validation; units (photos, seeds) stay
    together everywhere. The same probes and seed give the same head.

    progress: called with (fits done, fits in all); what it raises stops the work.
    Raises ValueError where a class has no picture to fit on, or none is left to judge on.
    """
    parts = split_parts(probes, seed)
    fitting, held_out = parts.fitting, parts.report
    if len(held_out) == 0 or len(probes.y[fitting].unique()) < probes.n_classes:
        raise ValueError(
            f"{len(probes)} probes are too few to fit on some and judge on others: give at "
            "least 8 of each class, from different seeds or photos."
        )
    features = torch.as_tensor(probes.features).double()
    losses = _cross_validate(features, probes.y, folds(probes, fitting, seed), progress)
    strength = min(losses, key=lambda pair: pair[1])[0]
    weight, bias = fit_logistic(features[fitting], probes.y[fitting], probes.n_classes, strength)
    judged = replace(probes, weight=weight, bias=bias, logits=None)
    right = correct(judged, judged.z)
    metrics = group_metrics(judged, right, held_out)
    hits = int(right[held_out].sum())
    units = count_units(probes.unit_numbers[held_out])
    return LinearHead(
        weight,
        bias,
        strength,
        losses,
        len(fitting),
        len(held_out),
        metrics,
        (hits / len(held_out), *share_interval(hits, len(held_out), units)),
        tuple(_notes(probes, metrics, needs_folds(probes, parts))),
    )


def fit_logistic(
    features: Tensor, classes: Tensor, count: int, strength: float, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression: (weight `[C, D]`, bias `[C]`), float32.

    Minimises the mean log loss + strength / 2 * sum of squares of the weights of standardised
    features; the standardisation is then folded into weight and bias. A feature that does not
    vary gets the weight 0. features `[N, D]` float64, classes `[N]`, count: C.
    """
    mean, spread = _scale(features)
    solved = _solve(_standard(features, mean, spread), classes, count, strength, start)
    weight = solved[:, :-1] / spread
    return weight.float(), (solved[:, -1] - weight @ mean).float()


def _cross_validate(
    features: Tensor,
    classes: Tensor,
    parts: Sequence[Tensor],
    progress: Callable[[int, int], None] | None,
) -> tuple[tuple[float, float], ...]:
    """(strength, mean log loss on what was left out) of each strength."""
    total = torch.zeros(len(STRENGTHS), dtype=torch.float64)
    count = int(classes.max()) + 1
    for number, out in enumerate(parts):
        others = torch.cat([part for other, part in enumerate(parts) if other != number])
        mean, spread = _scale(features[others])
        inside, outside = (_standard(features[rows], mean, spread) for rows in (others, out))
        solved: Tensor | None = None
        for place, strength in enumerate(STRENGTHS):
            if progress is not None:
                progress(number * len(STRENGTHS) + place, len(parts) * len(STRENGTHS))
            # Each fit starts where the stronger one ended.
            solved = _solve(inside, classes[others], count, strength, solved)
            logs = (outside @ solved.T).log_softmax(dim=1)
            total[place] -= logs.gather(1, classes[out, None]).sum()
    pictures = sum(len(part) for part in parts)
    return tuple(zip(STRENGTHS, (total / pictures).tolist(), strict=True))


def _scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature; 1 where a feature does not vary."""
    mean, spread = features.mean(dim=0), features.std(dim=0, correction=0)
    varies = spread > 1e-12 * mean.abs().clamp_min(1e-12)
    return mean, torch.where(varies, spread, 1.0)


def _standard(features: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """Standardised features with a column of ones for the bias, `[N, D + 1]`."""
    ones = torch.ones(len(features), 1, dtype=features.dtype)
    return torch.cat([(features - mean) / spread, ones], dim=1)


def _solve(
    inputs: Tensor, classes: Tensor, count: int, strength: float, start: Tensor | None
) -> Tensor:
    """The minimum, `[C, D + 1]`, by L-BFGS with the gradient written out: no autograd needed,
    so that it also runs where a host has switched that off."""
    inputs = inputs.clone()
    penalty = torch.full((inputs.shape[1],), strength, dtype=inputs.dtype)
    penalty[-1] = 0.0  # the bias is free
    wanted = torch.nn.functional.one_hot(classes, count).to(inputs.dtype)
    solved = torch.zeros(count, inputs.shape[1], dtype=inputs.dtype) if start is None else start
    solved = solved.clone()
    optimiser = torch.optim.LBFGS(
        [solved],
        max_iter=_STEPS,
        tolerance_grad=_TOLERANCE,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        logs = (inputs @ solved.T).log_softmax(dim=1)
        error = (logs.exp() - wanted) / len(inputs)
        solved.grad = error.T @ inputs + penalty * solved
        return -(logs * wanted).sum() / len(inputs) + (penalty * solved * solved).sum() / 2

    with torch.no_grad():
        optimiser.step(loss)  # pyright: ignore[reportArgumentType]
    return solved


def _notes(probes: Probes, metrics: GroupMetrics, cross_fitted: bool) -> list[str]:
    """What the figures cannot tell."""
    notes = list(probes.empty_groups())
    if metrics.unmeasured:
        notes.append(
            f"No picture of {metrics.unmeasured_names} is held out: how well the classifier does "
            "there is not known. Make more of them, from other seeds or photos."
        )
    if cross_fitted and probes.split is None:
        notes.append(
            "Choose edits of it on other pictures: these are too few for three parts, so that "
            "edits would be chosen and judged on those that the head was fitted on."
        )
    counts = torch.bincount(probes.groups, minlength=probes.n_groups).tolist()
    small = [g for g, n in enumerate(metrics.counts) if n and counts[g] < FEW]
    if small:
        g = max(small, key=lambda g: (metrics.high[g] or 0) - (metrics.low[g] or 0))
        low, high = metrics.low[g] or 0.0, metrics.high[g] or 0.0
        notes.append(
            f"Some groups have fewer than {FEW} pictures. With {metrics.counts[g]} held out, all "
            f"that is known of the accuracy on ({metrics.names[g]}) is that it lies between "
            f"{low:.0%} and {high:.0%}: make more pictures before trusting a difference."
        )
    return notes
