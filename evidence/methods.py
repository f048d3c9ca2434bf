"""Every method under one roof: probes in, the head that it makes of them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from detour.classifier.head import Head
from detour.edit.apply import apply_edits
from detour.edit.record import Change, edit_of, new_stack
from detour.judge.degree import degree_curve
from detour.probes.features import Probes
from detour.probes.labels import RIGHT_WRONG
from detour.search.closed_forms import from_group_means
from detour.search.fitting import cross_fit
from detour.search.neutralize import neutralize
from detour.search.one_weight import bias_only, worst_group
from detour.search.pair import weight_and_bias
from detour.search.problem import Found
from detour.search.settings import Search
from detour.search.several import Sizes, fit_parts

from .rivals import dfr, dfr_l2, project_out

WEIGHTS = 3
Method = Callable[[Probes, int], Head]


def with_change(probes: Probes, change: Change, degree: float = 1.0) -> Head:
    """The probes' head after a change, rounded to float32 as an edit file would hold it."""
    edit = edit_of(change, probes.head, degree=degree)
    return apply_edits(new_stack(probes.head).push(edit), probes.head)


def erm(probes: Probes, seed: int) -> Head:
    """The head as it was trained (empirical risk minimisation)."""
    del seed
    return with_change(probes, Change(0))


def shift(probes: Probes, seed: int) -> Head:
    """The best bias shift."""
    del seed
    return with_change(probes, bias_only(probes).change)


def random_weight(probes: Probes, seed: int) -> Head:
    """A random weight whose feature varies, at its best t: what luck alone buys."""
    features = torch.as_tensor(probes.features)
    live = (features.std(0) > 0).nonzero().flatten()
    draw = torch.Generator().manual_seed(seed)
    column = int(live[torch.randint(len(live), (1,), generator=draw)])
    alone = replace(
        probes, features=features[:, column : column + 1], weight=None, bias=None, logits=probes.z
    )
    found = worst_group(alone).change
    return with_change(probes, replace(found, weights=tuple((column, t) for _, t in found.weights)))


def one_weight(probes: Probes, seed: int) -> Head:
    """The best single weight: `worst_group`."""
    del seed
    return with_change(probes, worst_group(probes).change)


def one_weight_bias(probes: Probes, seed: int) -> Head:
    """One weight and the bias: `weight_and_bias`."""
    del seed
    return with_change(probes, weight_and_bias(probes).change)


def three_weights_bias(probes: Probes, seed: int) -> Head:
    """Up to three weights and the bias: greedy on all probes, and as many weights as five-fold
    cross-fitting on them says, the library's own rule for few probes."""

    def fit(parts: Sequence[Tensor]) -> list[Sizes[Found]]:
        return fit_parts(probes, parts, None, WEIGHTS)

    everything = torch.arange(len(probes))
    fitted = cross_fit(probes, fit, everything, seed)
    return with_change(probes, fitted.sizes.rungs(fitted.steps)["k_weights_bias"].change)


def mistakes(probes: Probes, seed: int, **asked: Any) -> Head:
    """`mistakes`: told which probes the head gets wrong, and neither their classes nor the
    attribute. The head as it was where it refuses, or finds nothing that it can prove.

    asked: other settings of the search than those that it has where nobody names one.
    """
    wrong = (probes.z.argmax(1) != probes.y).long()
    told = replace(probes, attributes=wrong, classes=None, attribute_names=RIGHT_WRONG)
    try:
        found = neutralize(told, Search(method="mistakes", split_seed=seed, **asked))
    except ValueError:  # too few mistakes
        return probes.head
    return apply_edits(found.stack, probes.head)


def evidence_bias(probes: Probes, seed: int) -> Head:
    """The closed form with the bias, at the degree that is best on the probes."""
    del seed
    change = from_group_means(probes, target_class=1, with_bias=True)
    stack = new_stack(probes.head).push(edit_of(change, probes.head))
    return with_change(probes, change, degree_curve(probes, stack).best())


METHODS: dict[str, Method] = {
    "erm": erm,
    "bias_only": shift,
    "random_weight": random_weight,
    "one_weight": one_weight,
    "one_weight_bias": one_weight_bias,
    "three_weights_bias": three_weights_bias,
    "mistakes": mistakes,
    "evidence_bias": evidence_bias,
    "project_out": project_out,
    "dfr": dfr,
    "dfr_l2": dfr_l2,
}
