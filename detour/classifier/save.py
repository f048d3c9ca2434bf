"""A classifier to a safetensors file that needs no other: weights, labels, preprocessing."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from .facts import METADATA_KEY, encode
from .heads import Backbone
from .load import HEAD
from .model import ImageClassifier


def save_classifier(path: Path | str, classifier: ImageClassifier) -> Path:
    """Write a classifier, with its own head, for `load_classifier`; logits stay bit-equal.

    A backbone that only a host can build is not written: the file then holds the head and the
    backbone's hash. The file appears whole or not at all.

    Raises ValueError if the name does not end in `.safetensors`, OSError if it cannot be
    written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path.name} must end in .safetensors: write it so.")
    description = classifier.description
    if isinstance(classifier.backbone, Backbone) and description.architecture:
        weights = classifier.backbone.weights_with_head(classifier.weight, classifier.bias)
    else:
        description = replace(
            description, architecture="", backbone_hash=classifier.backbone_hash()
        )
        weights = {f"{HEAD}.weight": classifier.weight}
        if classifier.bias is not None:
            weights[f"{HEAD}.bias"] = classifier.bias
    metadata = {"format": "pt", METADATA_KEY: encode(description)}
    _write_whole(path, _separate(weights), metadata)
    return path


def _separate(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights on the CPU, each with memory of its own, which the format demands."""
    separate, seen = {}, set()
    for key, value in weights.items():
        plain = value.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        separate[key] = plain.clone() if place in seen else plain
        seen.add(place)
    return separate


def _write_whole(path: Path, weights: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write beside the target, then rename: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        save_file(weights, part, metadata)
        part.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}.") from None
    finally:
        part.unlink(missing_ok=True)
