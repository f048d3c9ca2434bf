"""PyTorch files, the archive and the older stream, read without PyTorch's own reader.

Layouts as in torch/serialization.py: an archive holds `NAME/data.pkl` and uncompressed records
`NAME/data/KEY`; a stream is five pickles, then each storage with its length before it.
"""

from __future__ import annotations

import re
import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from ..checks import quoted, shortened
from .pickled import RefusedPickle, Stored, read_pickle
from .tensors import storage_key, storage_width, with_weights

LARGEST_PICKLE = 2**22
LARGEST_DIRECTORY = 2**24
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
    return with_weights(value, path, places)


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
    return {storage_key(each): storage_width(each) for each in stored}


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
