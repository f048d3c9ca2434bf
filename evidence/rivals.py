"""What the edits are compared with: refits of the last layer, and projecting a direction out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from detour.classifier.head import Head
from detour.probes.features import Probes

"""A last layer: weight `[C, D]` and bias `[C]`."""
GRID = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
"""Values of C (the inverse of the penalty's strength) that a refit chooses from."""
SUBSETS = 10
L1 = {"l1_ratio": 1.0} if LogisticRegression().penalty == "deprecated" else {"penalty": "l1"}
"""scikit-learn 1.8 renamed the choice of the penalty."""


def project_out(probes: Probes, seed: int = 0) -> Head:
    """The head behind a projection that takes the feature's direction out of the features.

    u: the mean difference with minus without the spurious feature, averaged over the classes,
    of length 1. `a - ((a - mu) u) u`, mu the mean of the group means, is folded into the head.
    """
    del seed
    head = probes.head
    if head.bias is None:
        raise ValueError("These probes carry no head with a bias. Give them weight and bias.")
    features = torch.as_tensor(probes.features)
    means = torch.stack(
        [
            torch.stack([features[(probes.y == c) & (probes.a == g)].mean(0) for g in (0, 1)])
            for c in probes.y.unique().tolist()
        ]
    )
    direction = (means[:, 1] - means[:, 0]).mean(0)
    direction = direction / direction.norm()
    along = head.weight @ direction
    centre = means.mean((0, 1)) @ direction
    return Head(head.weight - along[:, None] * direction, head.bias + along * centre)


def dfr(probes: Probes, seed: int = 0) -> Head:
    """Deep feature reweighting (Kirichenko et al., ICLR 2023) on the probes.

    L1 logistic regression on standardised features (liblinear). C: the best worst-group
    accuracy on one half, fitted on a group-balanced subset of the other. The head is the
    average over ten fits, each on another group-balanced subset of all probes.
    """
    draw = np.random.default_rng(seed)
    features, labels, groups = _arrays(probes)
    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)

    def fit(numbers: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
        chosen = balanced(groups, numbers, draw)
        return _coefficients(lasso(c).fit(scaled[chosen], labels[chosen]))

    c = _choose(scaled, labels, groups, draw, fit)
    fits = [fit(np.arange(len(labels)), c) for _ in range(SUBSETS)]
    mean = [np.mean(each, axis=0) for each in zip(*fits, strict=True)]
    return _unscaled(mean[0], mean[1], scaler)


def dfr_l2(probes: Probes, seed: int = 0) -> Head:
    """A plain refit: L2 logistic regression on all probes, C chosen on a held-out half."""
    draw = np.random.default_rng(seed)
    features, labels, groups = _arrays(probes)
    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)

    def fit(numbers: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
        model = LogisticRegression(C=c, max_iter=1000)
        return _coefficients(model.fit(scaled[numbers], labels[numbers]))

    c = _choose(scaled, labels, groups, draw, fit)
    return _unscaled(*fit(np.arange(len(labels)), c), scaler)


def balanced(groups: np.ndarray, numbers: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """As many random members of every group among `numbers` as the smallest one has."""
    members = [numbers[groups[numbers] == group] for group in np.unique(groups[numbers])]
    size = min(len(each) for each in members)
    return np.concatenate([draw.permutation(each)[:size] for each in members])


def _choose(
    scaled: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    draw: np.random.Generator,
    fit: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]],
) -> float:
    """The C with the best worst-group accuracy on a half that its fit has not seen."""
    order = draw.permutation(len(labels))
    order = order[np.argsort(groups[order], kind="stable")]
    known, judge = order[::2], order[1::2]
    worst = []
    for c in GRID:
        weight, bias = fit(known, c)
        right = (scaled[judge] @ weight.T + bias).argmax(1) == labels[judge]
        worst.append(min(right[groups[judge] == g].mean() for g in np.unique(groups[judge])))
    return GRID[int(np.argmax(worst))]


def lasso(c: float) -> OneVsRestClassifier:
    """Logistic regression with an L1 penalty by liblinear, one class against the rest."""
    return OneVsRestClassifier(LogisticRegression(C=c, **L1, solver="liblinear", random_state=0))


def _coefficients(model: LogisticRegression | OneVsRestClassifier) -> tuple[np.ndarray, np.ndarray]:
    """Weight `[C, D]` and bias `[C]`; of two classes the first row stays 0."""
    parts = model.estimators_ if isinstance(model, OneVsRestClassifier) else [model]
    weight = np.concatenate([part.coef_ for part in parts])
    bias = np.concatenate([part.intercept_ for part in parts])
    if len(weight) == 1:
        return np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    return weight, bias


def _unscaled(weight: np.ndarray, bias: np.ndarray, scaler: StandardScaler) -> Head:
    """The same head for features that are not standardised."""
    plain = weight / scaler.scale_
    shifted = bias - plain @ scaler.mean_
    return Head(torch.from_numpy(plain).float(), torch.from_numpy(shifted).float())


def _arrays(probes: Probes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.asarray(probes.features), probes.y.numpy(), probes.groups.numpy()
