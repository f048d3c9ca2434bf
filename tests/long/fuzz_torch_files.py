"""PyTorch files: pickles that would run something, archives that unfold, claims that are false."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from fuzz_safetensors import OWN, use
from hostile import TEXTS, damaged, value
from safetensors.torch import load_file
from watch import CANARY, Case, Make

OPCODES = b"().0IJKLMNSTUVXaebcdgihjlopqrst]uG}\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x90\x93\x94\x95"
NAMES = (
    *("os system", "posix system", "builtins eval", "builtins exec", "builtins getattr"),
    *("subprocess Popen", "torch.load load", "torch.serialization load", "pathlib Path.touch"),
    *("torch._utils _rebuild_tensor_v2", "torch FloatStorage", "collections OrderedDict"),
    *("torch._utils _rebuild_parameter", "torch.nn.modules.linear Linear", "torch Size"),
    *("torch.storage _load_from_bytes", "numpy.core.multiarray _reconstruct", "io open"),
    *("torch._dynamo config", "torch.hub load", "torch._C _jit_compile", "timeit timeit"),
)


@contextmanager
def opened(_folder: Path) -> Iterator[Make]:
    """The generator."""
    state = load_file(OWN)
    whole = {
        **{"archive": _saved(state), "stream": _saved(state, False)},
        "wrapped": _saved({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}),
    }
    yield lambda draw, place: _case(draw, place, whole, state)


def _saved(what: Any, archive: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(what, file, _use_new_zipfile_serialization=archive)
    return file.getvalue()


def _case(draw: random.Random, place: Path, whole: dict[str, bytes], state: dict) -> Case:
    path = place / draw.choice(("a.pt", "a.pth", "a.bin", "a.ckpt", "a.pkl"))
    kinds: dict[str, Callable[[], bytes]] = {
        "bytes": lambda: damaged(draw, draw.choice(list(whole.values())), 4096),
        "end": lambda: _damaged_end(draw, whole["archive"]),
        "pickle": lambda: _with_pickle(draw, whole["archive"], _damaged_pickle),
        "opcodes": lambda: _with_pickle(draw, whole["archive"], _opcodes),
        "bare": lambda: _opcodes(draw, b""),
        "program": lambda: _program(draw, place, state),
        "bomb": lambda: _bomb(draw, whole["archive"]),
        "table": lambda: _saved(_table(draw, state), draw.random() < 0.6),
        "cut": lambda: draw.choice(list(whole.values()))[: draw.randrange(650_000)],
    }
    kind = draw.choice(list(kinds))
    path.write_bytes(kinds[kind]())
    return Case(f"torch file {kind}", lambda: use(path))


def _damaged_end(draw: random.Random, data: bytes) -> bytes:
    """The list of records, which lies at the end."""
    start = data.rindex(b"PK\x01\x02", 0, data.index(b"PK\x01\x02") + 4)
    return data[:start] + damaged(draw, data[start:])


def _with_pickle(
    draw: random.Random, data: bytes, make: Callable[[random.Random, bytes], bytes]
) -> bytes:
    """An archive with another pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for entry in old.infolist():
            inside = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                inside = make(draw, inside)
            new.writestr(entry.filename, inside)
    return file.getvalue()


def _damaged_pickle(draw: random.Random, data: bytes) -> bytes:
    return damaged(draw, data)


def _opcodes(draw: random.Random, _: bytes) -> bytes:
    """A program of instructions in any order, with names that would run something."""
    made = bytearray(b"\x80\x02")
    for _ in range(draw.choice((5, 20, 100, 1000))):
        pick = draw.random()
        if pick < 0.2:
            made += b"c" + draw.choice(NAMES).replace(" ", "\n").encode() + b"\n"
        elif pick < 0.4:
            text = draw.choice((*TEXTS[:60], "storage", "0", "cpu")).encode("utf-8", "replace")
            made += b"X" + struct.pack("<I", len(text)) + text
        elif pick < 0.5:
            made += b"K" + bytes([draw.randrange(256)])
        else:
            made.append(draw.choice(OPCODES))
    return bytes(made) + draw.choice((b".", b"", b"R.", b"}."))


class _Runs:
    """Pickles to a call."""

    def __init__(self, callee: Any, *arguments: Any) -> None:
        self.call = (callee, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def _program(draw: random.Random, place: Path, state: dict) -> bytes:
    """Weights beside a call that leaves a file, in every place that a call can stand in."""
    trace = place / CANARY
    made = draw.choice(
        (
            _Runs(os.system, f"touch '{trace}'"),
            _Runs(Path.touch, trace),
            _Runs(exec, f"open({str(trace)!r}, 'w').close()"),
            _Runs(eval, f"open({str(trace)!r}, 'w').close()"),
            _Runs(os.mkdir, str(trace)),
            _Runs(getattr(os, "open"), str(trace), os.O_CREAT),  # noqa: B009 - pickled by its name
            _Runs(torch.save, 0, str(trace)),
        )
    )
    tables = (made, {"head.weight": made}, {**state, "x": made}, [made], {"state_dict": made})
    table = draw.choice((*tables, {"model": {**state, "x": (1, [made])}}))
    if draw.random() < 0.3:
        return pickle.dumps(table, draw.randrange(6))
    return _saved(table, draw.random() < 0.6)


def _bomb(draw: random.Random, data: bytes) -> bytes:
    """An archive whose records are far larger than the file, or many, or one in the other."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            names = [entry.filename for entry in old.infolist()]
            large = draw.choice(names)
            for name in names:
                zeros = bytes(draw.choice((2**20, 2**24))) if name == large else b""
                new.writestr(name, old.read(name) + zeros)
        for number in range(draw.choice((0, 0, 1000))):
            new.writestr(f"x/{number}", b"")
        if draw.random() < 0.3:
            new.writestr(draw.choice(("../../it_ran", "/it_ran", "it_ran")), b"")
    return file.getvalue()


def _table(draw: random.Random, state: dict) -> Any:
    """What training scripts and others may have saved in the place of a table of weights."""
    table = dict(state)
    act = draw.randrange(9)
    if act == 0:
        return value(draw)
    if act == 1:
        table[draw.choice(TEXTS)[:200]] = value(draw)
    elif act == 2:
        key = draw.choice(list(table))
        table[key] = table[key].to(draw.choice((torch.int8, torch.float16, torch.complex64)))
    elif act == 3:
        table = {"head": table}
        table["itself"] = table
    elif act == 4:
        for _ in range(draw.choice((3, 30, 300))):
            table = {draw.choice(("model", "state_dict", "x")): table}
    elif act == 5:
        one = torch.zeros(1)
        table = {f"{n}.weight": one.expand(1000, 1000) for n in range(draw.choice((1, 500)))}
    elif act == 6:
        table["odd"] = draw.choice(
            (
                torch.zeros(2, 2).to_sparse(),
                torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8),
                torch.zeros(0, 5),
                torch.zeros(()),
                torch.nn.Parameter(torch.zeros(2)),
            )
        )
    elif act == 7:
        table = {index: tensor for index, tensor in enumerate(table.values())}
    else:
        table["_metadata"] = {"": {"version": 1}}
    return table
