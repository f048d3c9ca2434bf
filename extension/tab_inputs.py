"""What the tab needs before it acts: what is loaded."""

from __future__ import annotations

from ..detour.probing import ProbeSet
from .hosted import HostedClassifier
from .tab_session import Held


def need_classifier(held: Held) -> HostedClassifier:
    """The loaded classifier; ValueError if there is none."""
    if held.classifier is None:
        raise ValueError("No classifier is loaded: choose one under 1 and press Load.")
    return held.classifier


def need_probes(held: Held) -> ProbeSet:
    """The probes; ValueError if there are none."""
    if held.probes is None:
        raise ValueError("There are no probes: name their folder under 3 and press Read probes.")
    return held.probes
