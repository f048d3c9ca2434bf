"""The nodes and weights of an ONNX file, read without any package: its wire format is simple.

A message is a row of fields, each a key (number and kind), then a number, or a length and bytes
(https://protobuf.dev/programming-guides/encoding). Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
DTYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float64}
GRAPH, NODE, INITIALIZER, INPUT, OUTPUT, NAME_OF_VALUE = 7, 1, 5, 11, 12, 1
INPUTS, OUTPUTS, OPERATOR, ATTRIBUTE = 1, 2, 4, 5
FLOAT, INTEGER, TEXT, TENSOR, FLOATS, INTEGERS = 2, 3, 4, 5, 7, 8
DIMS, DTYPE, TENSOR_NAME, RAW = 1, 2, 8, 9
Value = int | float | str | Tensor | list[int]


@dataclass(frozen=True)
class Node:
    """One operation: what it is called, the names it reads and writes, and its settings."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: dict[str, Value]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in the order they run, the weights by name, and the names of what goes in and out."""

    nodes: tuple[Node, ...]
    weights: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(path: Path) -> Graph:
    """The graph of an ONNX file whose weights lie in it.

    Raises ValueError for a file without a graph, and for weights of a kind that is not read.
    """
    whole = next(_messages(memoryview(path.read_bytes()), GRAPH), None)
    if whole is None:
        raise ValueError(f"{path.name} holds no ONNX graph.")
    weights = dict(_tensor(part) for part in _messages(whole, INITIALIZER))
    inputs = [_text(part, NAME_OF_VALUE) for part in _messages(whole, INPUT)]
    return Graph(
        tuple(_node(part) for part in _messages(whole, NODE)),
        weights,
        tuple(name for name in inputs if name not in weights),
        tuple(_text(part, NAME_OF_VALUE) for part in _messages(whole, OUTPUT)),
    )


def _fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """The fields of a message: number, kind and content."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, place = _varint(data, place)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, place = _varint(data, place)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"A field is of kind {kind}; this is no ONNX file, or a damaged one.")
        yield number, kind, data[place : place + size]
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value - (value >> 63 << 64), place  # two's complement


def _messages(data: memoryview, number: int) -> Iterator[memoryview]:
    return (v for n, _, v in _fields(data) if n == number and isinstance(v, memoryview))


def _text(data: memoryview, number: int) -> str:
    return next((bytes(part).decode() for part in _messages(data, number)), "")


def _integers(data: memoryview, number: int) -> list[int]:
    """Repeated integers, packed or one by one."""
    found: list[int] = []
    for n, _, value in _fields(data):
        if n != number:
            continue
        if isinstance(value, int):
            found.append(value)
            continue
        place = 0
        while place < len(value):
            one, place = _varint(value, place)
            found.append(one)
    return found


def _tensor(data: memoryview) -> tuple[str, Tensor]:
    """A tensor with its name."""
    shape, (kind,) = _integers(data, DIMS), _integers(data, DTYPE)
    name, raw = _text(data, TENSOR_NAME), next(_messages(data, RAW), None)
    if kind not in DTYPES or raw is None:
        raise ValueError(f"The weights {name!r} are stored in a way that is not read here.")
    if len(raw) == 0:
        return name, torch.empty(shape, dtype=DTYPES[kind])
    return name, torch.frombuffer(bytearray(raw), dtype=DTYPES[kind]).reshape(shape)


def _node(data: memoryview) -> Node:
    return Node(
        _text(data, OPERATOR),
        tuple(bytes(part).decode() for part in _messages(data, INPUTS)),
        tuple(bytes(part).decode() for part in _messages(data, OUTPUTS)),
        dict(_setting(part) for part in _messages(data, ATTRIBUTE)),
    )


def _setting(data: memoryview) -> tuple[str, Value]:
    """An attribute of a node with its name."""
    numbers = {number for number, _, _ in _fields(data)}
    name = _text(data, 1)
    if TENSOR in numbers:
        return name, _tensor(next(_messages(data, TENSOR)))[1]
    if TEXT in numbers:
        return name, _text(data, TEXT)
    if FLOAT in numbers:
        (four,) = _messages(data, FLOAT)
        return name, float(struct.unpack("<f", four)[0])
    if INTEGER in numbers:
        return name, _integers(data, INTEGER)[0]
    return name, _integers(data, INTEGERS)
