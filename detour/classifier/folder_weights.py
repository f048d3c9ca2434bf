"""The weights in a folder: one file of them, or several that an index names."""

from __future__ import annotations

import re
from pathlib import Path

from ..checks import is_text, listed, quoted
from .checkpoint import SAFETENSORS, TORCH_FILES, Checkpoint, read_checkpoint
from .facts import read_json
from .weights import Weight

WEIGHTS = "model.safetensors"
_USUAL = (WEIGHTS, f"{WEIGHTS}.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""What transformers looks for, in its order."""
_OF_TRAINING = re.compile(r"(optimizer|scheduler|scaler|training_args|rng_state|random_states).*")
_PLAIN = re.compile(r"[^/\\:\x00-\x1f]{1,200}\.\w{1,20}")
_OTHER_KINDS = {
    **{".onnx": "ONNX", ".h5": "Keras", ".keras": "Keras", ".pb": "TensorFlow"},
    **{".tflite": "TensorFlow Lite", ".msgpack": "Flax", ".gguf": "GGUF", ".mlmodel": "Core ML"},
}


def read_folder(folder: Path) -> Checkpoint:
    """The weights in a folder; none of them is read yet.

    Raises FileNotFoundError if it has none that are read here, and ValueError for several
    files of which none is the usual one, and for a damaged one.
    """
    usual = next((folder / name for name in _USUAL if (folder / name).is_file()), None)
    if usual is None:
        return read_checkpoint(_only_one(folder))
    return _read_parts(usual) if usual.suffix == ".json" else read_checkpoint(usual)


def _only_one(folder: Path) -> Path:
    """The file of weights that is called otherwise than usual."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    found = [
        path
        for path in files
        if path.suffix.lower() in SAFETENSORS + TORCH_FILES and not _OF_TRAINING.match(path.name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"The folder {folder.name} has several files of weights "
            f"({listed([path.name for path in found])}): call the one that you mean {WEIGHTS}, or "
            "put the others elsewhere."
        )
    other = next((path for path in files if path.suffix.lower() in _OTHER_KINDS), None)
    if other is not None:
        raise FileNotFoundError(
            f"The folder {folder.name} has no {WEIGHTS}, only {other.name}: "
            f"{_OTHER_KINDS[other.suffix.lower()]} is not read. Get the same network's weights as "
            "safetensors or in PyTorch's format."
        )
    raise FileNotFoundError(
        f"The folder {folder} has no {WEIGHTS}: a classifier's folder holds config.json and "
        "its weights, as safetensors or in PyTorch's format."
    )


def _read_parts(index: Path) -> Checkpoint:
    """All the files that an index names, which must lie beside it."""
    places = read_json(index).get("weight_map")
    names = list(places.values()) if isinstance(places, dict) else []
    wrong = [name for name in names if not _is_plain(name)]
    if not names or wrong:
        raise ValueError(
            f"{index.name} is damaged: its weight_map must name files beside it, not "
            f"{quoted(wrong[0] if wrong else places)}. Get it again."
        )
    weights: dict[str, Weight] = {}
    notes: list[str] = []
    for name in sorted(set(names)):
        part = read_checkpoint(index.parent / name)
        weights.update(part.state)
        notes += part.notes
    return Checkpoint(weights, notes=tuple(notes))


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and bool(_PLAIN.fullmatch(name)) and is_text(name)
