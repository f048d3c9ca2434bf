"""The settings in the generation parameters of a picture, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .host import log
from .settings import CHOICES, NAMES, TITLES, Settings, convert, seed_of_picture

VERSION_KEY = "Detour version"
VERSION = 1
"""Of the way the settings are written here; a higher one may mean something else."""
NEWER = (
    "Detour: this picture's parameters were written by a newer Detour, and what this one does not "
    "know is left out; update Detour to paste them whole."
)

ALWAYS = ("strength", "shape", "start_percent", "end_percent", "apply_to", "schedule_by")
"""Written in any case; the others where they are used and not at their defaults."""


def key(name: str) -> str:
    """The infotext key of a field: `start_percent` is `Detour start percent`."""
    return "Detour " + name.replace("_", " ")


KEYS = (*(key(name) for name in NAMES if name != "enabled"), VERSION_KEY)


def write(parameters: dict[str, Any], settings: Settings | None, pictures: int = 1) -> None:
    """Put the settings into a host's `extra_generation_params`, ours of before taken out:
    X/Y/Z cells share that dict. None or switched off writes nothing.

    pictures: how many the generation makes. Of a list the hosts write each picture its own value.
    """
    for name in KEYS:
        parameters.pop(name, None)
    if settings is None or not settings.is_on:
        return
    defaults = Settings()
    for name in NAMES:
        value = getattr(settings, name)
        used = _is_used(name, settings)
        if name != "enabled" and (name in ALWAYS or (used and value != getattr(defaults, name))):
            parameters[key(name)] = _as_text(value)
    if settings.fade_toward == "noise" and settings.fade_strength != 0.0 and pictures > 1:
        seeds = (seed_of_picture(settings.fade_seed, number) for number in range(pictures))
        parameters[key("fade_seed")] = [str(seed) for seed in seeds]
    parameters[VERSION_KEY] = VERSION


def with_seed_of(parameters: Mapping[str, Any], settings: Settings) -> Settings:
    """The settings with the fade's seed of a picture that was faded to noise, by its parsed
    parameters; of any other picture as they are."""
    if parameters.get(key("fade_toward")) != "noise":
        return settings
    seed = reader("fade_seed")(parameters)
    return settings if seed is None else replace(settings, fade_seed=seed)


def _is_used(name: str, settings: Settings) -> bool:
    """Whether a field changes anything, with the others as they are."""
    if name == "points":
        return settings.shape == "curve"
    way = name.partition("_")[0]
    return way not in TITLES or getattr(settings, f"{way}_strength") != 0.0


def _as_text(value: Any) -> Any:
    return f"{value:.10g}" if isinstance(value, float) else value


class _Reader(str):
    """A field's key that can be called. A string, since hosts find by it what to copy for
    "Send to img2img", and SD.Next takes every key for a string, also those that it calls."""

    name: str

    def __call__(self, parameters: Mapping[str, Any]) -> Any:
        has_ours = key("strength") in parameters
        if self.name == "enabled":
            if has_ours and parameters.get(VERSION_KEY, VERSION) not in (VERSION, str(VERSION)):
                log.warning(NEWER)
            return has_ours
        if not has_ours:
            return None
        default = getattr(Settings(), self.name)
        try:
            value = convert(self.name, parameters.get(key(self.name), default))
        except ValueError:
            return default
        return value if value in CHOICES.get(self.name, (value,)) else default


def reader(name: str) -> _Reader:
    """For a host's `infotext_fields`: the field's value in parsed parameters, when called.

    None (leave the control as it is) for a picture without Detour, except that `enabled`
    is then False; a key that is not there, or holds no usable value, is the default.
    """
    made = _Reader(key(name))
    made.name = name
    return made
