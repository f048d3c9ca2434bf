"""What a PyTorch file says, read without doing any of it.

A pickle is a program for a stack machine. This reads those of its instructions that build plain
values; what would import or call something becomes a `Named` or a `Made`, which nobody calls,
or is refused. So nothing in a file can run, whatever torch is installed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TABLES = ("collections.OrderedDict", "collections.defaultdict", "collections.Counter")
HARMLESS = (  # what training scripts keep beside the weights
    *("_codecs.encode", "argparse.Namespace", "builtins.bytearray", "builtins.complex"),
    *("__builtin__.bytearray", "__builtin__.set", "builtins.set"),
    *("numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar"),
    *("numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct"),
    *("numpy._core.multiarray._reconstruct", "numpy.core.numeric._frombuffer"),
    "numpy._core.numeric._frombuffer",
    *("torch.Size", "torch.device", "torch.nn.parameter.Parameter"),
)
_TENSORS = re.compile(  # storages, types of numbers, and what tensors are rebuilt with
    r"torch\.(\w+\.)?\w*Storage|torch\.\w*Tensor|torch\.(bool|b?float\d\w*|u?int\d+|complex\d+)|"
    r"torch\.qu?int\d\w*|torch\.per_\w+|torch\._utils\._rebuild_\w+|"
    r"torch\._tensor\._rebuild_from_type_v2|torch\.serialization\._get_layout"
)
_FIXED = {  # instructions with an argument of a fixed length
    **{b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d", b"\x80": "<B", b"\x95": "<Q"},
    **{b"h": "<B", b"j": "<I", b"q": "<B", b"r": "<I"},
}
_COUNTED = {  # instructions with an argument whose length comes first
    **{b"X": "<I", b"\x8c": "<B", b"\x8d": "<Q", b"U": "<B", b"T": "<I"},
    **{b"C": "<B", b"B": "<I", b"\x8e": "<Q", b"\x96": "<Q", b"\x8a": "<B", b"\x8b": "<I"},
}
_LONGEST_INTEGER = 16
_PLAIN: dict[bytes, Callable[[], Any]] = {
    **{b"N": lambda: None, b"\x88": lambda: True, b"\x89": lambda: False},
    **{b")": tuple, b"]": list, b"}": dict, b"\x8f": list},
}


class RefusedPickle(ValueError):
    """The pickle asks for something to be run. Its text is the name of that."""


@dataclass(frozen=True)
class Named:
    """A function or class that a pickle names, `module.name`; it is never looked up."""

    name: str


@dataclass(frozen=True, eq=False)
class Made:
    """What a call would have made: the callee's name, and the arguments. Nothing is called."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Stored:
    """A persistent id: what lies outside of the pickle, such as a storage of numbers."""

    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Pickle:
    """What one pickle describes: the value, the byte after it, its persistent ids in order."""

    value: Any
    end: int
    stored: tuple[Stored, ...]


def read_pickle(data: bytes, start: int = 0) -> Pickle:
    """What the pickle at `start` describes.

    Dictionaries keep the entries whose keys are text; objects keep no state.

    Raises RefusedPickle for the name of anything that is not part of saved weights, ValueError
    for what is damaged or no pickle.
    """
    machine = _Machine(data, start)
    try:
        value = machine.run()
    except (LookupError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"byte {machine.place} of its pickle: {error}") from None
    return Pickle(value, machine.place, tuple(machine.stored))


class _Machine:
    """The stack machine. Every step reads at least one byte, so that it comes to an end."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data, self.place = data, start
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.stored: list[Stored] = []
        self.copied = 0

    def run(self) -> Any:
        while (step := self.take(1)) != b".":
            if step in _PLAIN:
                self.stack.append(_PLAIN[step]())
            elif step in _FIXED:
                self.fixed(step, self.unpack(_FIXED[step]))
            elif step in _COUNTED:
                self.counted(step, self.take(self.unpack(_COUNTED[step])))
            else:
                self.build(step)
        return self.stack.pop()

    def take(self, count: int) -> bytes:
        part = self.data[self.place : self.place + count]
        if len(part) < count:
            raise ValueError("its pickle is cut")
        self.place += count
        return part

    def line(self) -> str:
        end = self.data.index(b"\n", self.place)
        return self.take(end + 1 - self.place)[:-1].decode("utf-8")

    def unpack(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def fixed(self, step: bytes, value: Any) -> None:
        if step in b"hj":
            self.stack.append(self.memo[value])
        elif step in b"qr":
            self.memo[value] = self.stack[-1]
        elif step in b"KMJG":
            self.stack.append(value)

    def counted(self, step: bytes, value: bytes) -> None:
        if step in (b"\x8a", b"\x8b"):
            if len(value) > _LONGEST_INTEGER:
                raise ValueError("it holds an integer that is too large")
            self.stack.append(int.from_bytes(value, "little", signed=True))
        elif step in (b"X", b"\x8c", b"\x8d"):
            self.stack.append(value.decode("utf-8"))
        else:
            self.stack.append(value.decode("latin-1") if step in b"UT" else value)

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def build(self, step: bytes) -> None:
        """The instructions that put values together."""
        stack = self.stack
        if step == b"(":
            self.marks.append(stack)
            self.stack = []
        elif step == b"t":
            items = self.pop_mark()
            self.stack.append(tuple(items))
        elif step in b"\x85\x86\x87":
            count = step[0] - 0x84
            stack[-count:] = [tuple(stack[-count:])]
        elif step in b"ae\x90":
            items = [stack.pop()] if step == b"a" else self.pop_mark()
            self.stack[-1].extend(items)
        elif step in b"su":
            items = [stack.pop(-2), stack.pop()] if step == b"s" else self.pop_mark()
            pairs = zip(items[::2], items[1::2], strict=True)
            _fill(self.stack[-1], pairs)
        elif step == b"\x94":
            self.memo[len(self.memo)] = stack[-1]
        elif step in b"0":
            stack.pop()
        elif step == b"Q":
            self.stored.append(Stored(_arguments(stack.pop())))
            stack.append(self.stored[-1])
        else:
            self.call(step)

    def call(self, step: bytes) -> None:
        """The instructions that would import, call or change something."""
        stack = self.stack
        if step == b"c":
            stack.append(_known(f"{self.line()}.{self.line()}"))
        elif step == b"\x93":
            name, module = stack.pop(), stack.pop()
            if not (isinstance(name, str) and isinstance(module, str)):
                raise ValueError("it names something by what is no text")
            stack.append(_known(f"{module}.{name}"))
        elif step in b"R\x81":
            arguments = _arguments(stack.pop())
            stack.append(self.made(stack.pop(), arguments))
        elif step == b"b":
            stack.pop()  # the state of an object: of a dictionary, or of one that is not made
        else:
            raise ValueError(f"byte {self.place - 1} is no instruction of a pickle")

    def made(self, callee: Any, arguments: tuple[Any, ...]) -> Any:
        """What a call stands for; tables are made, for they hold the weights."""
        if not isinstance(callee, Named):
            raise ValueError("it calls what is no function")
        if callee.name not in TABLES:
            return Made(callee.name, arguments)
        table: dict[str, Any] = {}
        if arguments and isinstance(arguments[0], list):  # as Python 2 wrote it
            self.copied += len(arguments[0])
            if self.copied > len(self.data):
                raise ValueError("it fills one table after the other with the same list")
            _fill(table, arguments[0])
        return table


def _known(name: str) -> Named:
    """The name, if it is part of saved weights or of what stands beside them."""
    if name not in TABLES and name not in HARMLESS and not _TENSORS.fullmatch(name):
        raise RefusedPickle(name)
    return Named(name)


def _fill(table: Any, pairs: Any) -> None:
    """Put pairs into a dictionary, and into one that is not made: nowhere."""
    if isinstance(table, dict):
        table.update({key: value for key, value in pairs if isinstance(key, str)})
    elif not isinstance(table, Made):
        raise ValueError("it puts named values into what is no dictionary")


def _arguments(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise ValueError("its arguments are no tuple")
    return value
