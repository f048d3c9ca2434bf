"""Weights from files, read so that nothing in a file can run."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .safetensors_file import read_metadata

SAFETENSORS = (".safetensors", ".sft")
TORCH_FILES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_dict", "model")
PREFIXES = ("module.", "_orig_mod.", "network.", "model.")
_QUANTISED = ("_packed_params", ".qweight", ".SCB", ".quant_state", ".weight_scale", ".absmax")
_WHOLE = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_DEEPEST = 4
_BROKEN_FILE = (
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
)


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one file by their plain names, floats as float32, all of them finite.

    metadata: what a safetensors file says about itself. notes: sentences about what was done.
    """

    state: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read a `.safetensors` file, or a PyTorch file as far as it holds nothing but tensors.

    Wrappers (`state_dict`, `model`, ...; averaged weights first) and prefixes (`module.`,
    `_orig_mod.`, ...) are taken off.

    Raises FileNotFoundError if there is no such file, and ValueError with a sentence for a
    pickle that would run code, a damaged file, quantised weights, NaN weights and other kinds.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check the name.")
    ending = path.suffix.lower()
    if ending in SAFETENSORS:
        metadata = read_metadata(path)
        raw: object = _load_safetensors(path)
    elif ending in TORCH_FILES:
        metadata = {}
        raw = _load_torch(path)
    else:
        raise ValueError(
            f"{path.name} ends in {ending or 'nothing'!r}: classifiers are read from "
            f"{', '.join(SAFETENSORS + TORCH_FILES)}."
        )
    state, notes = _unwrap(raw, path.name)
    return Checkpoint(check_state(strip_prefixes(state), path.name), metadata, notes)


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path.name} is damaged or no safetensors file ({error}): get it again."
        ) from None


def _load_torch(path: Path) -> object:
    _check_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise ValueError(
            f"{path.name} was refused: it holds more than weights (a pickled program), and "
            "reading it could run code. Save its state_dict as safetensors and use that."
        ) from None
    except _BROKEN_FILE as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{path.name} is damaged or no PyTorch file ({first_line[:160]}): get it again."
        ) from None


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is; PyTorch does not compress."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return  # the older format, which is no archive
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f"{path.name} is damaged ({error}): get it again.") from None
    if unpacked > path.stat().st_size:
        raise ValueError(
            f"{path.name} was refused: it unpacks to {unpacked:,} bytes, more than the file "
            "has. Save the weights again, as safetensors."
        )


def _unwrap(raw: object, name: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    notes = []
    for _ in range(_DEEPEST):
        if not isinstance(raw, Mapping):
            break
        inner = next((key for key in WRAPPERS if isinstance(raw.get(key), Mapping)), None)
        if inner is None:
            break
        if inner.endswith("_ema"):
            notes.append(f"The averaged weights ({inner}) of {name} are used.")
        raw = raw[inner]
    tensors = (
        {key: value for key, value in raw.items() if isinstance(value, Tensor)}
        if isinstance(raw, Mapping)
        else {}
    )
    if not tensors or not all(isinstance(key, str) for key in tensors):
        raise ValueError(
            f"{name} holds no table of named weights: save the network's state_dict and use that."
        )
    return tensors, tuple(notes)


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without the prefixes that wrappers put before every name."""
    state = {key: value for key, value in state.items() if key != "n_averaged"}
    while state:
        prefix = next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def check_state(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights with floats as float32. Raises ValueError if any cannot be trusted or used."""
    return {key: _check_tensor(key, value, name) for key, value in state.items()}


def _check_tensor(key: str, value: Tensor, name: str) -> Tensor:
    plain = value.layout == torch.strided and not value.is_quantized and value.is_cpu
    if not plain or any(mark in key for mark in _QUANTISED) or _is_packed(key, value):
        raise ValueError(
            f"{name} is quantised or sparse ({key!r}, {value.dtype}): its weights cannot be "
            "edited one by one. Use the full-precision file."
        )
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise ValueError(
            f"{name} was refused: {key!r} claims the shape {list(value.shape)}, which is more "
            "than the file holds."
        )
    # A copy of its own: inside a file's memory map a weight lies at odd addresses, for which
    # the kernels add in another order, and the logits would differ in their last bits.
    if value.dtype not in _WHOLE:
        return value.detach().clone(memory_format=torch.contiguous_format)
    weights = value.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if not torch.isfinite(weights).all():
        count = int((~torch.isfinite(weights)).sum())
        raise ValueError(
            f"{name} is broken: {count} of the {value.numel()} values of {key!r} are NaN or "
            "infinite. Get the file again, or train with a smaller learning rate."
        )
    return weights


def _is_packed(key: str, value: Tensor) -> bool:
    return key.endswith(".weight") and value.dtype not in _WHOLE
