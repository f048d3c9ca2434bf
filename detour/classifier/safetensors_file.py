"""Safetensors files: every claim of the header is checked before anything in it is believed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch

from ..user_input import quoted, shortened
from .weights import Weight, check_size, width

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
