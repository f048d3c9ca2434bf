"""What the panel, the API, the axes and the infotext all carry: one frozen set of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..detour.checks import quoted, read_number, require_choice
from ..detour.schedule import SCHEDULE_BY, SHAPES, Schedule, parse_points
from ..detour.ways.bypass import APPLY_TO, Dial
from ..detour.ways.fade import LARGEST_SEED, TOWARD, Fade
from ..detour.ways.relief import Relief
from ..detour.ways.targets import AUTO, parse_blocks
from ..detour.ways.way import Way

HIRES = ("same", "off", "own")
REFINER = ("base", "refiner", "both")
CHOICES = {
    "shape": SHAPES,
    "apply_to": APPLY_TO,
    "schedule_by": SCHEDULE_BY,
    "hires": HIRES,
    "refiner": REFINER,
    "fade_toward": TOWARD,
}
RANGES = {
    "strength": (-1.0, 1.0),
    "start_percent": (0.0, 1.0),
    "end_percent": (0.0, 1.0),
    "hires_strength": (-1.0, 1.0),
    "relief_strength": (-1.0, 1.0),
    "relief_start_percent": (0.0, 1.0),
    "relief_end_percent": (0.0, 1.0),
    "fade_strength": (0.0, 1.0),
    "fade_start_percent": (0.0, 1.0),
    "fade_end_percent": (0.0, 1.0),
}
TITLES = {"relief": "Guidance Relief", "fade": "Prompt Fade"}
"""The ways beside the bypass, by what the names of their fields begin with."""
BYPASS = "bypass"
SHARED = ("enabled", "shape", "schedule_by", "points", "hires")
"""The fields of all ways, which name none of them."""


@dataclass(frozen=True)
class Settings:
    """The ways of one generation. The order of the fields is the order of the panel's and
    the API's arguments, so new ones come last; their names are the ComfyUI nodes', behind the
    way's name where it is not the bypass. Shape, points and `schedule_by` are those of all ways.

    hires: in the hires pass the `same` strength, `off` (all ways), or the bypass's `own`
        (`hires_strength`).
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
    relief_strength: float = 0.0
    relief_start_percent: float = Schedule.start_percent
    relief_end_percent: float = Schedule.end_percent
    fade_strength: float = 0.0
    fade_start_percent: float = Schedule.start_percent
    fade_end_percent: float = Schedule.end_percent
    fade_toward: str = Fade.toward
    fade_seed: int = Fade.seed
    blocks: str = AUTO

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            require_choice(name, getattr(self, name), choices)
        for name, (low, high) in RANGES.items():
            read_number(name, getattr(self, name), low, high)
        for kind in KINDS_OF_WAYS:
            self.way(kind, is_hires=False)
            self.way(kind, is_hires=True)

    def schedule(self, is_hires: bool) -> Schedule:
        """The schedule of the first or of the hires pass."""
        strength = self.strength
        if is_hires and self.hires != "same":
            strength = self.hires_strength if self.hires == "own" else 0.0
        return self._schedule(strength, self.start_percent, self.end_percent)

    def way(self, kind: type[Way], is_hires: bool) -> Way:
        """One of `KINDS_OF_WAYS` in the first or in the hires pass."""
        if kind is Dial:
            blocks = parse_blocks(self.blocks)
            return Dial(self.schedule(is_hires), self.apply_to, self.skip_compute, blocks)
        if kind is Relief:
            return Relief(self._schedule_of("relief", is_hires))
        return Fade(self._schedule_of("fade", is_hires), self.fade_toward, self.fade_seed)

    def kinds(self, is_hires: bool) -> tuple[type[Way], ...]:
        """Those of `KINDS_OF_WAYS` that act in the first or in the hires pass."""
        on = self.enabled
        return tuple(k for k in KINDS_OF_WAYS if on and not self.way(k, is_hires).schedule.is_off)

    def _schedule_of(self, way: str, is_hires: bool) -> Schedule:
        strength = getattr(self, f"{way}_strength")
        if strength == 0.0 or (is_hires and self.hires == "off"):
            return Schedule(0.0, schedule_by=self.schedule_by)
        window = (getattr(self, f"{way}_{end}_percent") for end in ("start", "end"))
        try:
            return self._schedule(strength, *window)
        except ValueError as error:
            raise ValueError(f"{TITLES[way]}: {error}") from error

    def _schedule(self, strength: float, start: float, end: float) -> Schedule:
        points = parse_points(self.points) if self.shape == "curve" else ()
        return Schedule(strength, self.shape, start, end, self.schedule_by, points)

    @property
    def is_on(self) -> bool:
        """False if nothing acts in any pass."""
        return bool(self.kinds(is_hires=False) or self.kinds(is_hires=True))


KINDS_OF_WAYS: tuple[type[Way], ...] = (Dial, Relief, Fade)
NAMES = tuple(field.name for field in fields(Settings))
DECIMALS = 10
KINDS = {field.name: type(field.default) for field in fields(Settings)}


def seed_of_picture(seed: int, number: int) -> int:
    """The seed of the fade's noise for the n-th picture of a generation, as the hosts count theirs:
    it stands in that picture's parameters, so that the picture can be made again alone."""
    return (seed + number) % (LARGEST_SEED + 1)


def check(name: str, value: Any) -> None:
    """Raise ValueError, with one sentence, where a converted value can be in no schedule."""
    if name in CHOICES:
        require_choice(name, value, CHOICES[name])
    if name in RANGES:
        read_number(name, value, *RANGES[name])
    if name == "points":
        parse_points(value)
    if name == "blocks":
        parse_blocks(value)
    if name == "fade_seed":
        Fade(seed=value)


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
    if kind is int:
        return _read_whole(name, value, number)
    # The hosts' X/Y/Z ranges bring 1.0000000000000018 for 1 and -2e-16 for 0.
    return round(number, DECIMALS) + 0.0


def _read_whole(name: str, value: Any, number: float) -> int:
    """A whole number; one of many digits is not that of its float."""
    if number != int(number):
        raise ValueError(f"{name} is {quoted(value)}; write a whole number.")
    return int(str(value)) if str(value).lstrip("-").isdecimal() else int(number)


def _read_bool(name: str, value: Any) -> bool:
    words = {"true": True, "false": False, "1": True, "0": False}
    read = words.get(str(value).strip().lower())
    if read is None:
        raise ValueError(f"{name} is {quoted(value)}; write true or false.")
    return read


def is_off(args: Sequence[Any], overrides: Mapping[str, Any] | None = None) -> bool:
    """Whether the arguments leave Detour off, whatever else is in them."""
    try:
        return not convert("enabled", _given(args, overrides).get("enabled", False))
    except ValueError:
        return False


def _given(args: Sequence[Any], overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    is_dict = bool(args) and isinstance(args[0], Mapping)
    if is_dict:
        given = {"enabled": True, **args[0]}
    else:
        given = {name: value for name, value in zip(NAMES, args, strict=False) if value is not None}
    is_on = convert("enabled", given.get("enabled", False))
    named = set(given) if is_on else set()
    if overrides:
        given |= {"enabled": True, **overrides}
        named |= set(overrides)
    return given if is_on and not is_dict else _only_named(given, named)


def _only_named(given: dict[str, Any], named: Iterable[str]) -> dict[str, Any]:
    """The same with the ways off that no field names: who asks for a relief alone gets no bypass
    beside it, whose default is full strength. Where fields of all ways are named, nothing is off.
    """
    ways = {_way(name) for name in named if name in KINDS and name not in SHARED}
    if not ways:
        return given
    off = {f"{way}_strength": 0.0 for way in TITLES if way not in ways}
    if BYPASS not in ways:
        off["strength"] = 0.0
        if given.get("hires") == "own":  # the bypass's own strength there
            off["hires"] = "same"
    return {**given, **off}


def _way(name: str) -> str:
    """The way of a field, by what its name begins with."""
    way = name.partition("_")[0]
    return way if way in TITLES else BYPASS


def read_arguments(args: Sequence[Any], overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings from a host's arguments: all in order (a shorter list takes defaults), or
    one dict of the node's input names, which is enabled unless it says otherwise, and in which only
    the ways act whose fields it names.

    overrides: values of an X/Y/Z cell. Where the panel is off, they switch on the ways that they
        name.
    """
    given = _given(args, overrides)
    unknown = [str(name) for name in given if name not in KINDS]
    if unknown:
        raise ValueError(
            f"There is no argument {quoted(unknown[0])}; there are: {', '.join(NAMES)}."
        )
    return Settings(**{name: convert(name, value) for name, value in given.items()})
