"""What a small move of the degree does: is there a cliff beside an edit as found?"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from detour.classifier.head import Head
from detour.probes.features import Probes

from ..neurons import worst_groups

LARGEST, STEPS = 2.0, 40
SHOWN = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


def curve_of(test: Probes, head: Head) -> dict[str, Any]:
    """Worst-group accuracy on the test along the straight way from the head as it was over the
    edited one (degree 1) to twice as far, in steps of 0.05.

    shown: at the degrees of `SHOWN`. fall: the largest loss of the worst group in one step;
    flips: the largest share of pictures whose prediction one step changes.
    """
    features = torch.as_tensor(test.features)
    after = functional.linear(features, head.weight, head.bias)
    degrees = torch.linspace(0, LARGEST, STEPS + 1)
    along = test.z + degrees[:, None, None] * (after - test.z)  # [degrees, N, C]
    predicted = along.argmax(-1).T
    worst = worst_groups(test, predicted)
    changed = (predicted[:, 1:] != predicted[:, :-1]).double().mean(0)
    places = [round(degree * STEPS / LARGEST) for degree in SHOWN]
    return {
        "shown": [float(worst[place]) for place in places],
        "fall": float((worst[:-1] - worst[1:]).max()),
        "flips": float(changed.max()),
    }
