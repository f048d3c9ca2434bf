"""Cross-fitting to the end: the size of an edit, too, is chosen without the probes it is judged on.

Picking the best of several sizes on the very probes that are then reported flatters the pick.
So each fold is judged by the size, and the number of weights, that do best on the other folds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .fitting import Fitted
from .probes import Probes

AUTO = "auto"
Pick = Callable[[dict[str, Tensor], Tensor], str]
"""Which size to take, given which probes each gets right `[N]`, judged on some of the probes."""


@dataclass(frozen=True, eq=False)
class Nested:
    """Predictions `[N]` of each size, and of `auto`; picks: how many folds took which size."""

    judged: dict[str, Tensor]
    picks: dict[str, int]


def nested(probes: Probes, fitted: Fitted, names: list[str], pick: Pick) -> Nested:
    """The predictions of cross-fitted edits whose size was chosen on the other folds.

    names: the sizes to judge. pick: chooses among them (those of the edits). A fold that has no
    others is judged as it came. No edit is searched anew. Source: ours, after the
    leave-one-fold-out choice of Tibshirani and Tibshirani (2009).
    """
    judged = {name: fitted.held_out[fitted.key(name, 1)].clone() for name in names}
    judged[AUTO] = fitted.held_out["unedited"].clone()
    picks: Counter[str] = Counter()
    for part in fitted.folds:
        others = fitted.validate[~torch.isin(fitted.validate, part)]
        if len(others) == 0:
            continue
        steps = fitted.steps_on(probes, others)
        found = {name: fitted.held_out[fitted.key(name, steps)] for name in names}
        taken = pick({name: value == probes.y for name, value in found.items()}, others)
        for name, value in {**found, AUTO: found[taken]}.items():
            judged[name][part] = value[part]
        picks[taken] += 1
    return Nested(judged, dict(picks))
