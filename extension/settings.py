"""What the panel, the API, the axes and the infotext all carry: one frozen set of values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..detour.checks import quoted, read_number, require_choice
from ..detour.schedule import SCHEDULE_BY, SHAPES, Schedule, parse_points
from ..detour.ways.bypass import APPLY_TO, Dial

HIRES = ("same", "off", "own")
REFINER = ("base", "refiner", "both")
CHOICES = {
    "shape": SHAPES,
    "apply_to": APPLY_TO,
    "schedule_by": SCHEDULE_BY,
    "hires": HIRES,
    "refiner": REFINER,
}


@dataclass(frozen=True)
class Settings:
    """The bypass of one generation. The order of the fields is the order of the panel's and
    the API's arguments, so new ones come last; their names are the ComfyUI node's.

    hires: in the hires pass the `same` strength, `off`, or its `own` (`hires_strength`).
    refiner: whether the `base` model, the `refiner` or `both` are bypassed.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    enabled: bool = False
    strength: float = Schedule.strength
    shape: str = Schedule.shape
    start_percent: float = Schedule.start_percent
    end_percent: float = Schedule.end_percent
    apply_to: str = "both"
    schedule_by: str = Schedule.schedule_by
    skip_compute: bool = True
    points: str = "0:1, 0.5:0.6, 1:0"
    hires: str = "same"
    hires_strength: float = Schedule.strength
    refiner: str = "both"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            require_choice(name, getattr(self, name), choices)
        self.schedule(is_hires=False)
        self.schedule(is_hires=True)

    def schedule(self, is_hires: bool) -> Schedule:
        """The schedule of the first or of the hires pass."""
        strength = self.strength
        if is_hires and self.hires != "same":
            strength = self.hires_strength if self.hires == "own" else 0.0
        return Schedule(
            strength,
            self.shape,
            self.start_percent,
            self.end_percent,
            self.schedule_by,
            parse_points(self.points) if self.shape == "curve" else (),
        )

    def dial(self, is_hires: bool) -> Dial:
        """The whole bypass of the first or of the hires pass."""
        return Dial(self.schedule(is_hires), self.apply_to, self.skip_compute)

    @property
    def is_on(self) -> bool:
        """False if no pass gets any bypass."""
        return self.enabled and not all(self.schedule(hires).is_off for hires in (False, True))


NAMES = tuple(field.name for field in fields(Settings))
RANGES = {
    "strength": (-1.0, 1.0),
    "start_percent": (0.0, 1.0),
    "end_percent": (0.0, 1.0),
    "hires_strength": (-1.0, 1.0),
}
DECIMALS = 10
KINDS = {field.name: type(field.default) for field in fields(Settings)}


def check(name: str, value: Any) -> None:
    """Raise ValueError, with one sentence, where a converted value can be in no schedule."""
    if name in CHOICES:
        require_choice(name, value, CHOICES[name])
    if name in RANGES:
        read_number(name, value, *RANGES[name])
    if name == "points":
        parse_points(value)


def convert(name: str, value: Any) -> Any:
    """A value from the API, an axis or an infotext as the field's own type.

    Raises ValueError with one sentence if it cannot be read.
    """
    kind = KINDS[name]
    if kind is bool:
        return _read_bool(name, value)
    if kind is str:
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} is {quoted(value)}; write a number.")
    # The hosts' X/Y/Z ranges bring 1.0000000000000018 for 1 and -2e-16 for 0.
    return round(number, DECIMALS) + 0.0


def _read_bool(name: str, value: Any) -> bool:
    words = {"true": True, "false": False, "1": True, "0": False}
    read = words.get(str(value).strip().lower())
    if read is None:
        raise ValueError(f"{name} is {quoted(value)}; write true or false.")
    return read


def read_arguments(args: Sequence[Any], overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings from a host's arguments: all in order (a shorter list takes defaults), or
    one dict of the node's input names, which is enabled unless it says otherwise.

    overrides: values of an X/Y/Z cell; any of them switches the bypass on.
    """
    if args and isinstance(args[0], Mapping):
        given = {"enabled": True, **args[0]}
    else:
        given = {name: value for name, value in zip(NAMES, args, strict=False) if value is not None}
    if overrides:
        given = {**given, "enabled": True, **overrides}
    unknown = [str(name) for name in given if name not in KINDS]
    if unknown:
        raise ValueError(
            f"There is no argument {quoted(unknown[0])}; there are: {', '.join(NAMES)}."
        )
    return Settings(**{name: convert(name, value) for name, value in given.items()})
