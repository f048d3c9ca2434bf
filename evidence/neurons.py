"""Zeroing a whole neuron, the coarse rival of an edited weight, and doing so by degrees."""

from __future__ import annotations

import torch
from torch import Tensor

from detour.classifier.head import Head
from detour.probes.features import Probes

DEGREES = torch.arange(0, 61) / 20
"""How much of a neuron's weights is taken away: 1 is all, more turns them round."""
BYTES = 2**26


def zeroed_neuron(probes: Probes, seed: int = 0) -> Head:
    """The head without the one neuron whose absence is best for the worst group: its column of
    weights is 0 in every row. Of equal ones the first; the head as it is where none helps."""
    del seed
    neuron = best_neuron(probes)
    return probes.head if neuron is None else without(probes.head, neuron, 1.0)


def graded_neuron(probes: Probes, seed: int = 0) -> Head:
    """The same neuron, taken away to the (lowest) degree that is best on the probes."""
    del seed
    neuron = best_neuron(probes)
    if neuron is None:
        return probes.head
    own, weight = torch.as_tensor(probes.features)[:, neuron], probes.head.weight[:, neuron]
    taken = DEGREES[:, None, None] * own[:, None] * weight  # [degrees, N, C]
    scores = worst_groups(probes, (probes.z - taken).argmax(-1).T)
    return without(probes.head, neuron, float(DEGREES[int(scores.argmax())]))


def without(head: Head, neuron: int, degree: float) -> Head:
    """The head with a share of a neuron's weights taken away."""
    weight = head.weight.clone()
    weight[:, neuron] *= 1 - degree
    return Head(weight, head.bias)


def best_neuron(probes: Probes) -> int | None:
    """The neuron that is missed least, or None where the worst group is best with all."""
    features, weight = torch.as_tensor(probes.features), probes.head.weight
    step = max(1, BYTES // (4 * len(probes) * len(weight)))
    scores = torch.cat(
        [
            worst_groups(probes, (probes.z[:, None] - own[:, :, None] * some.T).argmax(-1))
            for own, some in zip(features.split(step, 1), weight.split(step, 1), strict=True)
        ]
    )
    unedited = worst_groups(probes, probes.z.argmax(1)[:, None])
    return int(scores.argmax()) if scores.max() > unedited else None


def worst_groups(probes: Probes, predicted: Tensor) -> Tensor:
    """Worst-group accuracy of each column of predictions `[N, K]`, `[K]`."""
    right = (predicted == probes.y[:, None]).double()
    groups = probes.groups.unique()
    return torch.stack([right[probes.groups == group].mean(0) for group in groups]).amin(0)
