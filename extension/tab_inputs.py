"""What the tab needs before it acts: what is loaded, and names for new files."""

from __future__ import annotations

from pathlib import Path

from ..detour.file_names import EDIT_ENDING
from ..detour.paths import new_path
from ..detour.probing import ProbeSet
from .folders import edit_save_folder, model_save_folder
from .hosted import HostedClassifier
from .tab_session import Held

CLASSIFIER_ENDING = ".safetensors"


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


def new_edit_file(name: str | None) -> Path:
    """A path for an edit below its folder that is not taken."""
    return new_path(name or "", EDIT_ENDING, edit_save_folder())


def new_classifier_file(name: str | None) -> Path:
    """A path for a classifier below models/image_classifiers that is not taken."""
    # A JSON file of this name describes another network; the loader would believe it.
    return new_path(name or "", CLASSIFIER_ENDING, model_save_folder(), beside=".json")
