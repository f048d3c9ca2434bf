"""What was typed into the tab, read; the sentences for what cannot be used."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..detour.classifier import free_path, resolve_inside
from ..detour.classifier.paths import FORBIDDEN
from ..detour.probing import ProbeSet
from .folders import EDIT_ENDING, edit_save_folder, model_save_folder
from .hosted import HostedClassifier
from .tab_session import Held

STRONGEST = 4.0
MOST_WEIGHTS = 16
CLASSIFIER_ENDING = ".safetensors"
LARGEST_SEED = 2**31 - 1


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


def read_number(name: str, value: Any, low: float, high: float) -> float:
    """The number itself; ValueError for none, NaN, and out of range."""
    if not isinstance(value, (int, float)) or not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} is {value}; it must be a number from {low:g} to {high:g}.")
    return value


def read_degree(value: Any) -> float:
    """A degree within its range."""
    return float(read_number("The degree", value, -STRONGEST, STRONGEST))


def read_whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number; the controls of Gradio may give 3.0 for 3."""
    return round(read_number(name, value, low, high))


def read_class(classifier: HostedClassifier, text: str | None) -> int | None:
    """The class with this label or number; None for an empty text."""
    wanted = (text or "").strip()
    return classifier.unedited.description.index_of(wanted) if wanted else None


def read_attribute(probes: ProbeSet, text: str | None) -> int:
    """The attribute with this name: the suspect feature. Empty: the one with number 1."""
    wanted, names = (text or "").strip(), probes.attribute_names
    if wanted and wanted not in names:
        raise ValueError(f"The feature is {wanted!r}; the probes have {', '.join(names)}.")
    return names.index(wanted) if wanted else 1


def new_edit_file(name: str | None) -> Path:
    """A path for an edit below its folder that is not taken; that folder is made."""
    path = _new(name, EDIT_ENDING, edit_save_folder())
    stem = path.name.removesuffix(EDIT_ENDING)
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{stem}_{number:05}{EDIT_ENDING}")
    return path


def new_classifier_file(name: str | None) -> Path:
    """A path for a classifier below models/image_classifiers that is not taken."""
    # A JSON file of this name describes another network; the loader would believe it.
    return free_path(_new(name, CLASSIFIER_ENDING, model_save_folder()), beside=".json")


def _new(name: str | None, ending: str, folder: Path) -> Path:
    typed = (name or "").strip().removesuffix(ending)
    if not typed or typed[-1] in "/\\":
        raise ValueError("The file has no name: write one.")
    path = resolve_inside(f"{typed}{ending}", [folder], must_exist=False)
    if path.name.startswith(".") or set(typed) & set(FORBIDDEN):
        raise ValueError(
            f"The file name {typed!r} cannot be used: begin it with a letter or digit, and leave "
            f"out {' '.join(FORBIDDEN)}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
