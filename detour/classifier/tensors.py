"""The tensors that a PyTorch file's pickle describes, as weights that can be read later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..checks import quoted
from .pickled import Made, Named, Stored
from .weights import Weight, check_size, width

MOST_TENSORS = 100_000
_STORED = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Untyped": torch.uint8,
    "Bool": torch.bool,
}
_REBUILT = tuple(f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3"))
_WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type_v2"
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_DEEPEST, _MOST_SIDES = 6, 16


@dataclass(frozen=True)
class Odd:
    """A tensor that is no plain block of numbers: quantised, sparse, or of an unknown kind."""

    kind: str


def with_weights(value: Any, path: Path, places: Mapping[str, tuple[int, int]]) -> Any:
    """The value, with a `Weight` or an `Odd` for each tensor in its dictionaries.

    places: where each storage's bytes lie, and how many. Raises ValueError with a sentence for a
    tensor that claims more than its storage holds, and for too many of them.
    """
    found: dict[int, Any] = {}
    tensors = 0

    def convert(part: Any, name: str, depth: int) -> Any:
        nonlocal tensors
        if isinstance(part, Made) and part.name.startswith("torch._"):
            tensors += 1
            if tensors > MOST_TENSORS:
                raise ValueError(f"{path.name} was refused: it has over {tensors - 1:,} tensors.")
            return _weight(part, name, path, places)
        if not isinstance(part, dict) or depth == 0:
            return None if isinstance(part, dict) else part
        if id(part) not in found:
            found[id(part)] = table = {}
            table |= {key: convert(inner, key, depth - 1) for key, inner in part.items()}
        return found[id(part)]

    return convert(value, "", _DEEPEST)


def storage_width(stored: Stored) -> int:
    """Bytes for each number of a storage. Raises ValueError for a kind that is unknown."""
    kind = _storage_kind(stored)
    if kind not in _STORED:
        raise ValueError(f"its numbers are of the kind {kind}")
    return width(_STORED[kind])


def storage_key(stored: Stored) -> str:
    """What a storage is called in its file. Raises TypeError for what is no name."""
    key = stored.arguments[2]
    if not isinstance(key, (str, int)):
        raise TypeError("the name of its storage")
    return str(key)


def _weight(
    made: Made, name: str, path: Path, places: Mapping[str, tuple[int, int]]
) -> Weight | Odd:
    if made.name in _PARAMETERS and made.arguments and isinstance(made.arguments[0], Made):
        made = made.arguments[0]
    if made.name == _WITH_ATTRIBUTES:
        made = _without_attributes(made)
    if made.name not in _REBUILT:
        return Odd(made.name)
    try:
        return _plain_weight(made, name, path, places)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path.name} is damaged: {quoted(name)} is described wrongly ({quoted(str(error))}). "
            "Get it again."
        ) from None


def _without_attributes(made: Made) -> Made:
    """The tensor itself, of one that carries attributes of a script's own."""
    if len(made.arguments) != 4:
        return made
    rebuild, kind, arguments, _ = made.arguments
    plain = isinstance(kind, Named) and kind.name == "torch.Tensor"
    if plain and isinstance(rebuild, Named) and isinstance(arguments, tuple):
        return Made(rebuild.name, arguments)
    return made


def _plain_weight(
    made: Made, name: str, path: Path, places: Mapping[str, tuple[int, int]]
) -> Weight | Odd:
    stored, offset, shape, stride, *more = made.arguments
    if any(isinstance(extra, dict) and extra for extra in more[2:]):
        return Odd("conjugated or negated")
    key, count, view = storage_key(stored), stored.arguments[4], stored.arguments[5:]
    shape, stride = tuple(shape), tuple(stride)
    if view and view[0] is not None:
        offset += view[0][1]
    numbers = (offset, count, *shape, *stride)
    if len(shape) != len(stride) or len(shape) > _MOST_SIDES or not all(map(_is_whole, numbers)):
        raise TypeError("its shape")
    start, held = places[key]
    of_storage = _STORED.get(_storage_kind(stored))
    if of_storage is None:
        return Odd(_storage_kind(stored))
    dtype = _named_dtype(more[2]) if made.name.endswith("_v3") else of_storage
    place = offset * width(dtype)
    weight = Weight(path, start + place, dtype, shape, _steps(shape, stride))
    check_size(weight, name, held - place, count * width(of_storage) - place)
    return weight


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and number >= 0


def _storage_kind(stored: Stored) -> str:
    kind = stored.arguments[1] if len(stored.arguments) > 4 else None
    if not isinstance(kind, Named):
        raise TypeError("its kind of numbers")
    return kind.name.rpartition(".")[2].removesuffix("Storage")


def _named_dtype(named: Named) -> torch.dtype:
    dtype = getattr(torch, named.name.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise TypeError("its kind of numbers")
    return dtype


def _steps(shape: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    """The strides; nothing where the numbers lie one after the other."""
    expected, plain = 1, True
    for length, step in zip(reversed(shape), reversed(stride), strict=True):
        plain = plain and (length <= 1 or step == expected)
        expected *= max(1, length)
    return () if plain else stride
