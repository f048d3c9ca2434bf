"""The inputs that the nodes for edits share, and the reading of what was typed into them."""

from __future__ import annotations

import math
from typing import Any

from comfy_api.latest import io

from ..detour.spurious import Probes
from .classifier_host import ClassifierSocket, EditSocket, HostedClassifier, ProbesSocket
from .schema import build

STRONGEST = 4.0
LARGEST_SEED = 2**31 - 1


def classifier_input() -> Any:
    """The classifier that is edited or measured."""
    return ClassifierSocket.Input(
        "classifier",
        tooltip=(
            "An image classifier; edits that it already has stay. It is not written to: what "
            "comes out is a copy. You should see: other branches of the graph unchanged."
        ),
    )


def probes_input() -> Any:
    """The pictures that everything is chosen and measured on."""
    return ProbesSocket.Input(
        "probes",
        tooltip=(
            "Pictures with a class and an attribute (the suspect feature present or not). You "
            "should see: steadier numbers with more pictures; 200 of each group are good, 50 "
            "are few."
        ),
    )


def degree_input(told: str) -> Any:
    """How far an edit goes."""
    return io.Float.Input(
        "degree",
        default=1.0,
        min=-STRONGEST,
        max=STRONGEST,
        step=0.05,
        tooltip=told,
    )


def edited_outputs() -> list[Any]:
    """The first outputs of every node that makes an edit."""
    return [
        ClassifierSocket.Output(
            "edited", display_name="CLASSIFIER", tooltip="The classifier with the edit."
        ),
        EditSocket.Output(
            "edit_stack",
            display_name="EDIT",
            tooltip="All edits of this classifier, for Save Edit and Apply Edit.",
        ),
    ]


def split_seed_input() -> Any:
    """Which probes choose and which report. Not "seed": the editor changes those after a run."""
    return build(
        io.Int.Input,
        "split_seed",
        default=0,
        min=0,
        max=LARGEST_SEED,
        optional=True,
        tooltip=(
            "Which probes choose the edit and which report on it, where they do not say so "
            "themselves. You should see: slightly other numbers; large differences mean too "
            "few probes."
        ),
        advanced=True,
    )


def read_number(name: str, value: float, low: float, high: float) -> float:
    """The number itself; ValueError for NaN, which passes the host's check, and out of range."""
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} is {value}; it must be a number from {low:g} to {high:g}.")
    return value


def read_degree(value: float) -> float:
    """A degree within its range."""
    return read_number("degree", value, -STRONGEST, STRONGEST)


def read_class(classifier: HostedClassifier, text: str) -> int | None:
    """The class with this label or number; None for an empty text."""
    return classifier.unedited.description.index_of(text) if text.strip() else None


def read_attribute(probes: Probes, text: str) -> int:
    """The attribute with this name or number: the one that is the spurious feature.

    Empty: attribute 1, the one that is not "without". ValueError for one that the probes do
    not have.
    """
    wanted = text.strip()
    names = [attribute_name(probes, number) for number in range(probes.n_attributes)]
    if not wanted:
        return 1
    if wanted in names:
        return names.index(wanted)
    if wanted.isascii() and wanted.isdigit() and int(wanted) < len(names):
        return int(wanted)
    raise ValueError(
        f"attribute is {wanted!r}; the probes have {', '.join(names)} (or their numbers from 0)."
    )


def attribute_name(probes: Probes, number: int) -> str:
    """What the probes call an attribute."""
    return dict(enumerate(probes.attribute_names)).get(number, f"attribute {number}")
