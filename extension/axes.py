"""Detour's axes in the hosts' X/Y/Z plot. A cell's values live on that cell's own `p`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .settings import CHOICES, KINDS, NAMES, check, convert

OVERRIDES = "detour_axes"
NEEDS = {"hires_strength": {"hires": "own"}, "points": {"shape": "curve"}}
"""Fields that only have an effect with another field's value, which their axis brings along."""
PREFIX = "[Detour] "


def add_axes(scripts: Any) -> None:
    """Put an axis for each field into every X/Y/Z plot that is loaded; again does nothing."""
    for module in _plots(scripts):
        axes = getattr(module, "axis_options", None)
        if isinstance(axes, list) and not any(axis.label.startswith(PREFIX) for axis in axes):
            axes.extend(_axes(module.AxisOption))


def _plots(scripts: Any) -> list[Any]:
    """The modules with the axes: a script in the A1111 family, a module in SD.Next."""
    found = [
        data.module
        for data in getattr(scripts, "scripts_data", ())
        if data.script_class.__module__ in ("xyz_grid.py", "scripts.xyz_grid")
    ]
    named = (
        module for name, module in list(sys.modules.items()) if name.endswith("xyz_grid_classes")
    )
    return found + list(named)


def _axes(option: Callable[..., Any]) -> Iterable[Any]:
    for name in NAMES:
        if name == "enabled":
            continue
        label, choices = PREFIX + name.replace("_", " "), CHOICES.get(name)
        if KINDS[name] is bool:
            choices = ("True", "False")
        told = {"confirm": _confirm(name)}
        if choices:
            yield option(label, str, _override(name), **told, choices=_listed(choices))
        else:
            yield option(label, KINDS[name], _override(name), **told)


def _listed(choices: Iterable[str]) -> Callable[[], list[str]]:
    return lambda: list(choices)


def _confirm(name: str) -> Callable[[Any, Sequence[Any]], None]:
    """Refuse a grid with a value that cannot be before it begins: a cell would only be plain."""

    def confirm(_p: Any, values: Sequence[Any]) -> None:
        for value in values:
            check(name, convert(name, value))

    return confirm


def _override(name: str) -> Callable[[Any, Any, Any], None]:
    def apply(p: Any, value: Any, _values: Any) -> None:
        # A new dict each time: the cells' `p` are shallow copies of one.
        known = {**NEEDS.get(name, {}), **getattr(p, OVERRIDES, {})}
        setattr(p, OVERRIDES, {**known, name: convert(name, value)})

    return apply
