"""`preprocess.json`, in which taggers of the animetimm kind say how pictures are prepared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import ImageColor

from ..checks import quoted
from . import resizing
from .facts import read_json

FILE = "preprocess.json"
_PLAIN = ("convert_rgb", "maybe_to_tensor", "to_tensor", "normalize", "center_crop")
_RESIZED, _BORDERED = "resize", "pad_to_size"
IN_ONE_STEP = (
    f"Pictures are prepared as {FILE} says, but resized once where it resizes twice; what the "
    "network sees is nearly the same."
)


def file_steps(folder: Path) -> tuple[dict[str, object], tuple[str, ...]]:
    """The preprocessing in the folder's preprocess.json, by the field names of Preprocessing, and
    what is to be said of it; empty if there is no such file.

    Raises ValueError for a file that asks for what is not done here.
    """
    path = folder / FILE
    if not path.is_file():
        return {}, ()
    told = read_json(path)
    steps = next(
        (found for name in ("test", "val") if isinstance(found := told.get(name), list)), []
    )
    by_type = {str(step.get("type")): step for step in steps if isinstance(step, Mapping)}
    unknown = [name for name in by_type if name not in (*_PLAIN, _RESIZED, _BORDERED)]
    if unknown or len(by_type) != len(steps) or not {_RESIZED, "normalize"} <= by_type.keys():
        raise ValueError(
            f"{FILE} must list resize and normalize, and may list pad_to_size and center_crop, "
            f"under 'test'; it has {quoted(', '.join(by_type))}. Take it out of the folder to "
            "prepare pictures as config.json says."
        )
    return _steps(by_type), (IN_ONE_STEP,) * (_BORDERED in by_type)


def _steps(by_type: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    resize, colours = by_type[_RESIZED], by_type["normalize"]
    steps: dict[str, object] = {
        "mean": colours.get("mean"),
        "std": colours.get("std"),
        "resize": _size(resize.get("size"), _RESIZED),
        "crop": None,
        "interpolation": resize.get("interpolation") or "bilinear",
        "arithmetic": resizing.PILLOW,
    }
    if "center_crop" in by_type:
        steps["crop"] = _size(by_type["center_crop"].get("size"), "center_crop")
    if _BORDERED in by_type:
        side = steps["resize"]
        steps["resize"] = (side, side) if isinstance(side, int) else side
        steps["resize_fit"] = resizing.INSIDE
        steps["crop"] = steps["crop"] or steps["resize"]
        steps["crop_border"] = _colour(by_type[_BORDERED].get("background_color", "white"))
    return steps


def _size(size: object, name: str) -> int | tuple[int, int]:
    """A number of pixels for the shorter side, or height and width."""
    given = list(size) if isinstance(size, (list, tuple)) else [size]
    sides = [side for side in given if isinstance(side, int) and side > 0]
    if len(given) not in (1, 2) or len(sides) != len(given):
        raise ValueError(f"size {quoted(size)} of {name} in {FILE} must be pixels.")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _colour(name: object) -> tuple[float, ...]:
    try:
        return tuple(part / 255 for part in ImageColor.getrgb(str(name))[:3])
    except ValueError:
        raise ValueError(
            f"background_color {quoted(name)} in {FILE} is no colour: write white or #ffffff."
        ) from None
