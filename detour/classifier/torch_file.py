"""PyTorch files, the archive and the older stream, read without PyTorch's own reader; the tensors
that their pickles describe, as weights that can be read later.

Layouts as in torch/serialization.py: an archive holds `NAME/data.pkl` and uncompressed records
`NAME/data/KEY`; a stream is five pickles, then each storage with its length before it.
"""

from __future__ import annotations

import re
import struct
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from ..checks import quoted, shortened
from .pickled import Made, Named, RefusedPickle, Stored, read_pickle
from .weights import Weight, check_size, width

LARGEST_PICKLE = 2**22
LARGEST_DIRECTORY = 2**24
MOST_TENSORS = 100_000
READ_SINCE = (2, 6)
"""Before this torch, reading such files safely was a promise that it did not keep
(CVE-2025-32434): whoever gets one there is told how to do without."""
_MAGIC = 0x1950A86A20F9469CFC6C
_HEADER = struct.Struct("<4s22xHH")
_END = struct.Struct("<4s8xLL")
_LOCATOR_64 = struct.Struct("<4s4xQ4x")
_END_64 = struct.Struct("<4s36xQ8x")
_END_SEARCHED = 2**16 + 22
_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    ValueError,
    TypeError,
    LookupError,
    struct.error,
)
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

Places = Mapping[str, tuple[int, int]]
"""Where each storage's bytes lie in the file: the first byte, and how many."""


class Refused(ValueError):
    """A whole sentence about a file that is not damaged, and is not read."""


def read_torch_file(path: Path) -> object:
    """What a PyTorch file holds, with a `Weight` for each tensor; no number is read yet.

    Nothing in the file runs. Raises ValueError with a sentence for programs (TorchScript,
    pickled objects), for damage, and for any such file before torch 2.6.
    """
    _check_version(path.name)
    try:
        with path.open("rb") as file:
            archive = file.read(4) == b"PK\x03\x04"
            value, places = (_read_archive if archive else _read_stream)(file, path.name)
    except RefusedPickle as error:
        raise ValueError(
            f"{path.name} was refused: it holds more than weights ({shortened(str(error), 80)}, "
            "part of a pickled program), and reading it could run code. Save its state_dict as "
            "safetensors and use that."
        ) from None
    except Refused:
        raise
    except _DAMAGE as error:
        raise ValueError(
            f"{path.name} is damaged or no PyTorch file ({shortened(str(error), 160)}): get it "
            "again."
        ) from None
    return _with_weights(value, path, places)


def _check_version(name: str) -> None:
    numbers = re.match(r"(\d+)\.(\d+)", torch.__version__)
    if numbers and tuple(map(int, numbers.groups())) < READ_SINCE:
        told = name if re.fullmatch(r"\w[\w.-]*", name) else "weights.pt"  # a shell will read it
        raise ValueError(
            f"{name} is a pickle, which is read from torch 2.6 on; this is {torch.__version__}. "
            'Convert it where a newer torch is: python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{told}', weights_only=True), 'new.safetensors')\" (append "
            "['state_dict'] to torch.load(...) if the weights are inside one)."
        )


def _read_archive(file: IO[bytes], name: str) -> tuple[Any, Places]:
    size = file.seek(0, 2)
    _check_directory(file, size)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    _check_entries(entries, size, name)
    records = {entry.filename: entry for entry in entries}
    roots = [key.removesuffix("data.pkl") for key in records if key.endswith("/data.pkl")]
    if len(roots) != 1 or len(records) < len(entries):
        raise ValueError("it has no data.pkl, or a name twice")
    places = {key: (_place(file, entry, size), entry.file_size) for key, entry in records.items()}
    root = roots[0]
    order = places.get(f"{root}byteorder")
    if order and _bytes_at(file, *order) != sys.byteorder.encode():
        raise ValueError("a machine with another order of bytes wrote it")
    value = read_pickle(_bytes_at(file, *places[f"{root}data.pkl"])).value
    start = f"{root}data/"
    return value, {
        key.removeprefix(start): place for key, place in places.items() if key.startswith(start)
    }


def _check_directory(file: IO[bytes], size: int) -> None:
    """Refuse an archive whose list of entries would fill the memory before it could be judged."""
    start = max(0, size - _END_SEARCHED)
    tail = _bytes_at(file, start, size - start)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or found + _END.size > len(tail):
        raise ValueError("it is cut: the archive has no end")
    lengths = [_END.unpack_from(tail, found)[1]]
    locator = found - _LOCATOR_64.size
    if locator >= 0 and tail.startswith(b"PK\x06\x07", locator):
        lengths = [length for length in lengths if length != 2**32 - 1]
        told = _LOCATOR_64.unpack_from(tail, locator)[1]
        for place in (start + locator - _END_64.size, told):  # either, as Python's version is
            if 0 <= place <= size - _END_64.size:
                mark, length = _END_64.unpack(_bytes_at(file, place, _END_64.size))
                lengths += [length] if mark == b"PK\x06\x06" else []
    length = max(lengths, default=0)
    if length > LARGEST_DIRECTORY:
        raise ValueError(f"the list of its records claims {length:,} bytes")


def _check_entries(entries: list[zipfile.ZipInfo], size: int, name: str) -> None:
    """Refuse programs, and an archive that unpacks to more than it is; torch does not compress."""
    names = [entry.filename.replace("\\", "/").lower() for entry in entries]
    root = next((key.removesuffix("data.pkl") for key in names if key.endswith("/data.pkl")), "")
    for key in names:  # the root is called as the file was, which may be code.pt
        parts = key.removeprefix(root).split("/")
        if "constants.pkl" in parts or "code" in parts[:-1]:
            raise Refused(
                f"{name} was refused: it is a TorchScript program (it holds {quoted(parts[-1])}), "
                "and loading it would run it. Save the network's state_dict as safetensors."
            )
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > size or any(entry.compress_type for entry in entries):
        raise Refused(
            f"{name} was refused: it unpacks to {unpacked:,} bytes, more than the {size:,} that "
            "it has, or is compressed. Save the weights again, as safetensors."
        )


def _place(file: IO[bytes], entry: zipfile.ZipInfo, size: int) -> int:
    """The byte at which a record's content lies, as its own header says."""
    header = _bytes_at(file, entry.header_offset, _HEADER.size)
    mark, name, extra = _HEADER.unpack(header)
    place = entry.header_offset + _HEADER.size + name + extra
    if mark != b"PK\x03\x04" or place + entry.file_size > size:
        raise ValueError("a record lies outside of it")
    return place


def _bytes_at(file: IO[bytes], place: int, count: int) -> bytes:
    if count > LARGEST_PICKLE:
        raise ValueError(f"its pickle has {count:,} bytes")
    if place < 0:
        raise ValueError("a record lies before its begin")
    file.seek(place)
    part = file.read(count)
    if len(part) < count:
        raise ValueError("it is cut")
    return part


def _read_stream(file: IO[bytes], name: str) -> tuple[Any, Places]:
    """The older format: magic number, version, machine, the value, the keys; then the storages."""
    size = file.seek(0, 2)
    data = _bytes_at(file, 0, min(size, LARGEST_PICKLE))
    if data[257:262] == b"ustar":
        raise Refused(f"{name} is from a PyTorch before 1.0: save its weights as safetensors.")
    magic = read_pickle(data)
    if magic.value != _MAGIC:
        raise ValueError("it does not begin as PyTorch files do")
    machine = read_pickle(data, read_pickle(data, magic.end).end)
    if isinstance(machine.value, dict) and machine.value.get("little_endian") is False:
        raise ValueError("a machine with another order of bytes wrote it")
    whole = read_pickle(data, machine.end)
    keys = read_pickle(data, whole.end)
    if not isinstance(keys.value, list):
        raise ValueError("it has no list of storages")
    return whole.value, _stream_places(file, size, keys.end, keys.value, _widths(whole.stored))


def _widths(stored: tuple[Stored, ...]) -> dict[str, int]:
    """Bytes for each number of each storage."""
    return {_storage_key(each): _storage_width(each) for each in stored}


def _stream_places(
    file: IO[bytes], size: int, place: int, keys: list[Any], widths: Mapping[str, int]
) -> Places:
    places = {}
    for key in keys:
        if not isinstance(key, (str, int)):
            raise ValueError("its list of storages holds what is no name")
        count = struct.unpack("<q", _bytes_at(file, place, 8))[0]
        length = count * widths[str(key)]
        place += 8
        if count < 0 or place + length > size:
            raise ValueError(f"storage {quoted(key)} claims {length:,} bytes")
        places[str(key)] = (place, length)
        place += length
    return places


@dataclass(frozen=True)
class Odd:
    """A tensor that is no plain block of numbers: quantised, sparse, or of an unknown kind."""

    kind: str


def _with_weights(value: Any, path: Path, places: Places) -> Any:
    """The value, with a `Weight` or an `Odd` for each tensor in its dictionaries.

    Raises ValueError with a sentence for a tensor that claims more than its storage holds, and
    for too many of them.
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


def _storage_width(stored: Stored) -> int:
    """Bytes for each number of a storage. Raises ValueError for a kind that is unknown."""
    kind = _storage_kind(stored)
    if kind not in _STORED:
        raise ValueError(f"its numbers are of the kind {kind}")
    return width(_STORED[kind])


def _storage_key(stored: Stored) -> str:
    """What a storage is called in its file. Raises TypeError for what is no name."""
    key = stored.arguments[2]
    if not isinstance(key, (str, int)):
        raise TypeError("the name of its storage")
    return str(key)


def _weight(made: Made, name: str, path: Path, places: Places) -> Weight | Odd:
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


def _plain_weight(made: Made, name: str, path: Path, places: Places) -> Weight | Odd:
    stored, offset, shape, stride, *more = made.arguments
    if any(isinstance(extra, dict) and extra for extra in more[2:]):
        return Odd("conjugated or negated")
    key, count, view = _storage_key(stored), stored.arguments[4], stored.arguments[5:]
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
