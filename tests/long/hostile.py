"""Hostile values, and damage to JSON and to bytes: what all generators draw from.

Everything comes from the `random.Random` that is handed in, so that a seed names a case.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Sequence
from typing import Any

NUMBERS: tuple[Any, ...] = (
    *(0, -0.0, 1, -1, 2, 0.5, 5e-324, 1e308, -1e308, math.nan, math.inf, -math.inf, True, False),
    *(2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 10**400, -(10**400), 1e-9, 255, 65536),
)
TEXTS = (
    *("", " ", "nan", "inf", "-1", "0", "1e999", "auto", "none", "null", "..", "../../etc/passwd"),
    *("/etc/passwd", "/dev/zero", "C:\\x", "\\\\server\\share", "con", "a/b", "a\\b", "./", "."),
    *(
        "\x00",
        "a\x00b",
        "\n",
        "a\nb.",
        "\r",
        "\t",
        "\ud800",
        "a\udfffb",
        "\u202e",
        "\ufeff",
        "%s%n",
    ),
    *("{0}", "${HOME}", "$(touch ran)", "`touch ran`", "'; --", "<b>", "é", "e\u0301", "🙂"),
    *(
        "\u0661",
        "²",
        "1_000",
        "0x10",
        "1,2",
        "0:1",
        "a" * 300,
        "a" * 100_000,
        "../" * 5000,
        "🙂" * 5000,
    ),
    *("9" * 5000, "[" * 3000, "__class__", "os.system", "\u2028", "K", "ﬁ", ".hidden", "a.", "~"),
)


def value(draw: random.Random, depth: int = 0) -> Any:
    """Anything that JSON can say, and some that it cannot (NaN, halves of letters)."""
    kind = draw.randrange(8 if depth < 2 else 6)
    if kind < 2:
        return draw.choice(NUMBERS)
    if kind < 5:
        return draw.choice(TEXTS)
    if kind == 5:
        return draw.choice((None, [], {}, [[]], {"": None}, "x", 0))
    inner = [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return inner if kind == 6 else {str(draw.choice(TEXTS))[:50]: one for one in inner}


def changed(draw: random.Random, tree: Any, times: int | None = None) -> Any:
    """A copy of plain data with one to three places of it changed; the rest stays as it is."""
    holder = [copy.deepcopy(tree)]
    for _ in range(times or draw.choice((1, 1, 1, 2, 3))):
        _change_one(draw, holder)
    return holder[0]


def _change_one(draw: random.Random, holder: list[Any]) -> None:
    places = list(_places(holder))
    table, key = draw.choice(places)
    act = draw.randrange(10)
    if act == 0 and table is not holder:
        del table[key]
    elif act == 1 and isinstance(table, dict):
        table[draw.choice(TEXTS)[:200]] = table.pop(key)
    elif act == 2 and isinstance(table, list) and table is not holder:
        table.insert(draw.randrange(len(table) + 1), copy.deepcopy(table[key]))
    elif act == 3:
        table[key] = [table[key]]
    elif act == 4:
        _, other = draw.choice(places), draw.choice(places)
        table[key] = copy.deepcopy(other[0][other[1]])
    elif act == 5:
        table[key] = str(table[key])
    elif act == 6 and isinstance(table[key], (int, float)) and not isinstance(table[key], bool):
        table[key] = _other_number(draw, table[key])
    else:
        table[key] = value(draw)


def _other_number(draw: random.Random, number: float) -> Any:
    """A number that is nearly right, which is worse than one that is not."""
    if not abs(number) < 1e300:
        return draw.choice(NUMBERS)
    near = (number + 1, number - 1, -number, number * 2, float(number), number + 0.5, str(number))
    return draw.choice(near)


def _places(part: Any) -> Any:
    """(container, key) of every place in plain data."""
    pairs = part.items() if isinstance(part, dict) else enumerate(part)
    for key, inner in list(pairs):
        yield part, key
        if isinstance(inner, (dict, list)):
            yield from _places(inner)


def nested(draw: random.Random, depth: int | None = None) -> str:
    """JSON that is nothing but depth."""
    deep = depth or draw.choice((50, 500, 5000, 100_000))
    return draw.choice(("[" * deep + "]" * deep, '{"a":' * deep + "1" + "}" * deep, "[" * deep))


def damaged(draw: random.Random, data: bytes, within: int | None = None) -> bytes:
    """Bytes with one to three kinds of damage, in the first `within` of them if it is given."""
    result = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3))):
        size = max(1, min(len(result), within or len(result)))
        place, length = draw.randrange(size), draw.choice((1, 1, 2, 4, 8, 64))
        act = draw.randrange(7)
        if act == 0:
            del result[place:]
        elif act == 1:
            del result[place : place + length]
        elif act == 2:
            result[place:place] = draw.randbytes(length)
        elif act == 3:
            result[place : place + length] = bytes(length)
        elif act == 4:
            result[place : place + length] = b"\xff" * length
        elif act == 5:
            other = draw.randrange(size)
            result[place : place + length] = result[other : other + length]
        else:
            for _ in range(length):
                at = draw.randrange(max(1, min(len(result), within or len(result))))
                result[at : at + 1] = bytes([draw.randrange(256)])
    return bytes(result)


def some(draw: random.Random, choices: Sequence[Any], most: int) -> list[Any]:
    """A few of the choices, in any order, each as often as it comes."""
    return [draw.choice(choices) for _ in range(draw.randrange(most + 1))]
