"""Checks on a safetensors file before anything in it is believed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

LARGEST_HEADER = 100_000_000


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file, after its header was checked against its size.

    Raises ValueError for a truncated file, for a header that is no JSON and for one that
    claims more data than there are; no more than the header is read.
    """
    header = _read_header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError(f"{path.name} is damaged: its metadata are no table. Get it again.")
    return {str(key): str(value) for key, value in metadata.items()}


def _read_header(path: Path) -> dict[str, object]:
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
    _check_extent(path, header, size - 8 - length)
    return header


def _check_extent(path: Path, header: dict[str, object], available: int) -> None:
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not (
            isinstance(offsets, list)
            and len(offsets) == 2
            and all(isinstance(offset, int) for offset in offsets)
        ):
            raise ValueError(f"{path.name} is damaged: {key!r} has no place. Get it again.")
        if offsets[1] > available:
            raise ValueError(
                f"{path.name} is truncated: its header claims {offsets[1]:,} bytes of weights, "
                f"{available:,} are there. Get it again."
            )
