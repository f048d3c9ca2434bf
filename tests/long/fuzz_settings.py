"""What reaches the web UI's extension: arguments of the API, cells of grids, and infotexts."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hostile import NUMBERS, TEXTS, changed, value
from watch import ROOT, Case, Make

PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""How the A1111 family reads a list of parameters."""
NUMBER_TEXTS = ("1", "-1", "0.5", "2", "1e999", "0.1.2", "\u0663", "True", "0x1")


@contextmanager
def opened(_folder: Path) -> Iterator[Make]:
    """The generator: the extension's files, beside our stand-in for a host's modules."""
    sys.path.insert(0, str(ROOT / "tests" / "webui"))
    from stand_in import SHIM, modules_in_place, run_shim

    with modules_in_place("a1111"):
        run_shim(SHIM)
        names = ("settings", "infotext", "axes")
        loaded = {name: sys.modules[f"detour_webui.extension.{name}"] for name in names}
        yield lambda draw, _place: _case(draw, SimpleNamespace(**loaded))


def _case(draw: random.Random, extension: Any) -> Case:
    names = extension.settings.NAMES
    kind = draw.choice(("list", "table", "axis", "infotext", "infotext"))
    if kind == "list":
        given = [_value(draw, extension, name) for name in names[: draw.randrange(len(names) + 1)]]
        return Case(f"arguments {given}"[:300], lambda: _use(extension, given))
    if kind == "table":
        table: Any = {name: _value(draw, extension, name) for name in draw.sample(names, 4)}
        table = changed(draw, table, 1) if draw.random() < 0.5 else table
        return Case(f"arguments {table}"[:300], lambda: _use(extension, [table]))
    if kind == "axis":
        name = draw.choice(names[1:])
        one = _value(draw, extension, name)
        return Case(f"axis {name} {one!r}"[:300], lambda: _grid(extension, name, one))
    text = _infotext(draw, extension)
    return Case(f"infotext {text}"[:300], lambda: _paste(extension, text))


def _value(draw: random.Random, extension: Any, name: str) -> Any:
    """A value of a field: mostly one of its own, sometimes anything."""
    if draw.random() < 0.15:
        return draw.choice((value(draw), draw.choice(NUMBERS), draw.choice(TEXTS)))
    own = getattr(extension.settings.Settings(), name)
    choices = extension.settings.CHOICES.get(name, (own,))
    return draw.choice((own, draw.choice(choices), str(own)))


def _use(extension: Any, given: list[Any]) -> None:
    """Read arguments, and make of them what a generation needs."""
    settings = extension.settings.read_arguments(given)
    for is_hires in (False, True):
        for kind in settings.kinds(is_hires):
            settings.way(kind, is_hires)
    written: dict[str, Any] = {}
    extension.infotext.write(written, settings)


def _grid(extension: Any, name: str, one: Any) -> None:
    """An axis' value, as it is checked before a grid and put into a cell."""
    option = [*extension.axes._axes(lambda *words, **more: (words, more))]
    (chosen,) = [o for o in option if o[0][0] == extension.axes.PREFIX + name.replace("_", " ")]
    chosen[1]["confirm"](None, [one])
    cell = SimpleNamespace()
    chosen[0][2](cell, one, None)
    overrides = getattr(cell, extension.axes.OVERRIDES)
    extension.settings.read_arguments([True], overrides)


def _infotext(draw: random.Random, extension: Any) -> str:
    """Generation parameters as they stand in a picture that anybody may have made."""
    written = ["Steps: 20", "Seed: 1"]
    for key in draw.sample(
        extension.infotext.KEYS, draw.randrange(1, len(extension.infotext.KEYS))
    ):
        told = draw.choice((*NUMBER_TEXTS, "curve", "both", draw.choice(TEXTS)))
        written.append(f"{key}: {told}")
    return ", ".join(written)


def _paste(extension: Any, text: str) -> None:
    """Whatever a picture says, pasting gives values that can be used, and never an error."""
    parameters = {key: told.strip('"') for key, told in PARAMETER.findall(text)}
    names = extension.settings.NAMES
    try:
        pasted = [extension.infotext.reader(name)(parameters) for name in names]
    except ValueError as error:
        raise AssertionError("pasting a picture's parameters failed") from error
    for name, one in zip(names, pasted, strict=True):
        if one is not None and type(one) is not extension.settings.KINDS[name]:
            raise AssertionError(f"{name} was pasted as {one!r}")
    extension.settings.read_arguments(pasted)
