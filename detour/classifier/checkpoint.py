"""The table of weights in a file, whatever a training script put around it.

Of a safetensors file every claim of the header is checked before anything in it is believed.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import torch

from ..checks import quoted, shortened
from .torch_file import Odd, read_torch_file
from .weights import FLOATS, MOST_SHARED, Weight, check_size, width

SAFETENSORS = (".safetensors", ".sft")
TORCH_FILES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
WRAPPERS = (  # averaged weights first
    *("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema"),
    *("state_dict", "model_state_dict", "model_state", "model_dict", "model_weights"),
    *("net_state_dict", "network_state_dict", "net", "network", "model", "params", "weights"),
)
_AVERAGED = "ema"
_QUANTISED = ("_packed_params", ".qweight", ".SCB", ".quant_state", ".weight_scale", ".absmax")
_DEEPEST = 4
_LONGEST_NAME = 1000


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one file by the names that they have there; none of them is read yet.

    metadata: what a safetensors file says about itself. notes: sentences about what was done.
    """

    state: Mapping[str, Weight]
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Look into a `.safetensors` file, or into a PyTorch file as far as it holds weights.

    Wrappers (`state_dict`, `model`, ...; averaged weights first) are taken off. Of the weights
    only names, shapes and places are read: `Weight.read` gets the numbers of one.

    Raises FileNotFoundError if there is no such file, and ValueError with a sentence for a
    pickle that would run code, a damaged file, quantised weights and other kinds.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check the name.")
    ending = path.suffix.lower()
    if ending in SAFETENSORS:
        state, metadata = read_safetensors(path)
        raw: object = state
    elif ending in TORCH_FILES:
        raw, metadata = read_torch_file(path), {}
    else:
        raise ValueError(
            f"{path.name} ends in {ending or 'nothing'!r}: classifiers are read from "
            f"{', '.join(SAFETENSORS + TORCH_FILES)}."
        )
    tensors, notes = _unwrap(raw, path.name)
    for key, value in tensors.items():
        _check_kind(key, value, path.name)
    weights = {key: value for key, value in tensors.items() if isinstance(value, Weight)}
    _check_sharing(weights, path)
    return Checkpoint(weights, metadata, notes)


def _unwrap(raw: object, name: str) -> tuple[dict[str, Weight | Odd], tuple[str, ...]]:
    notes = []
    for _ in range(_DEEPEST):
        if not isinstance(raw, Mapping):
            break
        inner = next((key for key in WRAPPERS if _holds_tensors(raw.get(key), name)), None)
        if inner is None:
            break
        if _AVERAGED in inner:
            notes.append(f"The averaged weights ({inner}) of {name} are used.")
        raw = raw[inner]
    tensors = _flat(raw, name) if isinstance(raw, Mapping) else {}
    if not tensors:
        raise ValueError(
            f"{name} holds no table of named weights: save the network's state_dict and use that."
        )
    return tensors, tuple(notes)


def _holds_tensors(part: object, name: str) -> bool:
    """Whether it is a table with tensors: what averages weights keeps lists of them too."""
    return isinstance(part, Mapping) and bool(_flat(part, name))


def _flat(raw: Mapping[str, object], name: str) -> dict[str, Weight | Odd]:
    """The tensors of a table and of the tables inside it, by names with points between.

    name: the file's. Raises ValueError for names so long that they would fill the memory.
    """
    tensors: dict[str, Weight | Odd] = {}
    waiting: deque[tuple[str, Mapping[str, object]]] = deque([("", raw)])
    seen = set()
    while waiting:
        prefix, table = waiting.popleft()
        if id(table) in seen:
            continue
        seen.add(id(table))
        for key, value in table.items():
            if len(prefix) + len(key) > _LONGEST_NAME:
                raise ValueError(
                    f"{name} was refused: {quoted(key)} in it has more than {_LONGEST_NAME:,} "
                    "letters, which no network's weight has."
                )
            if isinstance(value, (Weight, Odd)):
                tensors[prefix + key] = value
            elif isinstance(value, Mapping):
                waiting.append((f"{prefix}{key}.", value))
    return tensors


def _check_kind(key: str, value: Weight | Odd, name: str) -> None:
    odd = isinstance(value, Odd)
    packed = not odd and key.endswith(".weight") and value.dtype not in FLOATS
    if odd or packed or any(mark in key for mark in _QUANTISED):
        kind = value.kind if odd else value.dtype
        raise ValueError(
            f"{name} is quantised or sparse ({quoted(key)}, {quoted(str(kind))}): its weights "
            "cannot be edited one by one. Use the full-precision file."
        )


def _check_sharing(weights: Mapping[str, Weight], path: Path) -> None:
    """Refuse many names for few numbers: each name gets memory of its own."""
    claimed, size = sum(weight.size for weight in weights.values()), path.stat().st_size
    if claimed > MOST_SHARED * size:
        raise ValueError(
            f"{path.name} was refused: its {len(weights):,} weights claim {claimed:,} bytes and "
            f"share them in a file of {size:,}. Save each weight by itself, as safetensors."
        )


LARGEST_HEADER = 2**24
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
_MOST_SIDES = 16


def read_safetensors(path: Path) -> tuple[dict[str, Weight], dict[str, str]]:
    """The weights of a safetensors file, none of them read yet, and its metadata.

    Raises ValueError for a truncated file, for a header that is no JSON and for one that
    claims other or more data than there are.
    """
    header, start, available = _read_header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError(f"{path.name} is damaged: its metadata are no table. Get it again.")
    weights = {key: _weight(path, key, entry, start, available) for key, entry in header.items()}
    claimed = sum(weight.size for weight in weights.values())
    if claimed > available:
        raise ValueError(
            f"{path.name} was refused: its weights claim {claimed:,} bytes, but share the "
            f"{available:,} that are there."
        )
    return weights, {str(key): str(value) for key, value in metadata.items()}


def _read_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """The header, the byte after it, and how many follow."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise ValueError(
                f"{path.name} has only {size} bytes: it is no safetensors file. Get it again."
            )
        length = struct.unpack("<Q", start)[0]
        if length > min(size - 8, LARGEST_HEADER):
            raise ValueError(
                f"{path.name} claims a header of {length:,} bytes in a file of {size:,}: it is "
                "truncated or no safetensors file. Get it again."
            )
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ValueError(f"{path.name} is no safetensors file: its header is no JSON object.")
    return header, 8 + length, size - 8 - length


def _weight(path: Path, key: str, entry: object, start: int, available: int) -> Weight:
    values: Mapping[str, object] = entry if isinstance(entry, dict) else {}
    offsets, shape = (values.get(name) for name in ("data_offsets", "shape"))
    if not (_are_whole(offsets, 2) and len(offsets) == 2 and _are_whole(shape, _MOST_SIDES)):
        raise ValueError(f"{path.name} is damaged: {quoted(key)} has no place. Get it again.")
    begin, end = offsets
    if end > available:
        raise ValueError(
            f"{path.name} is truncated: its header claims {shortened(f'{end:,}', 80)} bytes of "
            f"weights, {available:,} are there. Get it again."
        )
    dtype = getattr(torch, _DTYPES.get(str(values.get("dtype")), ""), None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(
            f"{path.name} holds {quoted(key)} as {quoted(values.get('dtype'))}, which is "
            "quantised or sparse, or unknown to this torch. Use the full-precision file."
        )
    weight = Weight(path, start + begin, dtype, tuple(shape))
    check_size(weight, key, end - begin)
    if weight.count * width(dtype) != end - begin:
        raise ValueError(f"{path.name} is damaged: {quoted(key)} has another size. Get it again.")
    return weight


def _are_whole(values: object, most: int) -> TypeGuard[list[int]]:
    return (
        isinstance(values, list)
        and len(values) <= most
        and all(type(value) is int and value >= 0 for value in values)
    )
