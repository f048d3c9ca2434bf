"""The inputs and outputs that the nodes for edits share."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..detour.checks import LARGEST_SEED, STRONGEST_DEGREE
from ..detour.classifier_words import EDIT
from .classifier_host import ClassifierSocket, EditSocket, ProbesSocket
from .schema import build


def classifier_input() -> Any:
    """The classifier that is edited or measured."""
    return ClassifierSocket.Input("classifier", tooltip=EDIT["classifier"].tooltip)


def probes_input() -> Any:
    """The pictures that everything is chosen and measured on."""
    return ProbesSocket.Input("probes", tooltip=EDIT["probes"].tooltip)


def degree_input(told: str) -> Any:
    """How far an edit goes."""
    return io.Float.Input(
        "degree",
        default=1.0,
        min=-STRONGEST_DEGREE,
        max=STRONGEST_DEGREE,
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
        tooltip=EDIT["split_seed"].tooltip,
        advanced=True,
    )
