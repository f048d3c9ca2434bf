"""A classifier to a safetensors file that needs no other: weights, labels, preprocessing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..checks import shortened
from ..files import Write, write_new, write_whole
from .facts import METADATA_KEY, encode
from .head import HALVES
from .heads import Backbone
from .load import HEAD
from .model import ImageClassifier

ENDING = ".safetensors"


def save_classifier(path: Path | str, classifier: ImageClassifier) -> Path:
    """Write a classifier, with its own head, for `load_classifier`; logits stay bit-equal.

    A backbone that only a host can build is not written: the file then holds the head and the
    backbone's hash. The file appears whole or not at all; one that is there is replaced.

    Raises ValueError if the name does not end in `.safetensors`, OSError if it cannot be
    written.
    """
    path = Path(path)
    if path.suffix != ENDING:
        raise ValueError(f"{shortened(path.name, 100)} must end in {ENDING}: write it so.")
    return write_whole(path, _writer(classifier))


def save_new_classifier(classifier: ImageClassifier, name: str, folder: Path) -> Path:
    """Write a classifier below `folder`, under a name that is free; see `write_new`."""
    # A JSON file of this name describes another network; the loader would believe it.
    return write_new(_writer(classifier), name, ENDING, folder, beside=".json")


def _writer(classifier: ImageClassifier) -> Write:
    description = classifier.description
    if isinstance(classifier.backbone, Backbone) and description.architecture:
        weights = classifier.backbone.weights_with_head(classifier.weight, classifier.bias)
    else:
        description = replace(
            description,
            architecture="",
            backbone_hash=classifier.backbone_hash(),
            backbone_halves={half: classifier.backbone_hash(half) for half in HALVES},
        )
        weights = {f"{HEAD}.weight": classifier.weight}
        if classifier.bias is not None:
            weights[f"{HEAD}.bias"] = classifier.bias
    metadata = {"format": "pt", METADATA_KEY: encode(description)}
    return partial(_write, _separate(weights), metadata)


def _separate(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights on the CPU, each with memory of its own, which the format demands."""
    separate, seen = {}, set()
    for key, value in weights.items():
        plain = value.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        separate[key] = plain.clone() if place in seen else plain
        seen.add(place)
    return separate


def _write(weights: dict[str, Tensor], metadata: dict[str, str], draft: Path) -> None:
    try:
        save_file(weights, draft, metadata)
    except SafetensorError as error:
        raise OSError(f"The classifier could not be written: {error}.") from None
