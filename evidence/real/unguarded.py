"""What the guard of `mistakes` costs: the same knowledge, searched without guard and proof."""

from __future__ import annotations

from dataclasses import replace

from detour.classifier.head import Head
from detour.probes.features import Probes
from detour.probes.labels import RIGHT_WRONG
from detour.search.pair import weight_and_bias

from ..methods import with_change


def mistakes_unguarded(probes: Probes, seed: int) -> Head:
    """One weight and the bias for the worst of the groups (class, right or wrong).

    Told the classes and which probes the head gets wrong, not the attribute. Right pictures may
    break as often as wrong ones stay wrong, and nothing is held back. The head as it was where it
    gets all probes right. Source: ours, after the two groups of JTT (Liu et al. 2021, arXiv
    2107.09044).
    """
    del seed
    wrong = (probes.z.argmax(1) != probes.y).long()
    if not wrong.any():
        return probes.head
    told = replace(probes, attributes=wrong, attribute_names=RIGHT_WRONG)
    return with_change(probes, weight_and_bias(told).change)
