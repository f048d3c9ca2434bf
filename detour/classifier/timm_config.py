"""What the config.json of a timm folder says: how pictures are prepared, how the network is built.

The rules are those of `timm.data.create_transform` for evaluation and of `timm.create_model`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from ..checks import quoted
from . import resizing
from .preprocess import IMAGENET_MEAN, IMAGENET_STD

_INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos", "box", "hamming")
_DEFAULTS = {
    "input_size": (3, 224, 224),
    "crop_pct": 0.875,
    "interpolation": "bicubic",
    "mean": IMAGENET_MEAN,
    "std": IMAGENET_STD,
}
_NOT_FROM_A_FILE = {  # what would load something, or is told by whoever builds
    *("cache_dir", "checkpoint_path", "exportable", "feature_cfg", "features_only"),
    *("kwargs_filter", "model_name", "no_jit", "out_indices", "scriptable"),
}
_TOLD_ELSEWHERE = ("num_classes", "device", "dtype")
_WORD = re.compile(r"[\w.+-]{0,64}")
_LARGEST = 8192
_LONGEST = 16


def timm_steps(cfg: Mapping[str, object]) -> tuple[dict[str, object], tuple[str, ...]]:
    """The preprocessing in a pretrained_cfg, by the field names of Preprocessing, and a sentence
    about what was assumed. Raises ValueError for an entry that cannot be used."""
    values = {name: cfg.get(name) or default for name, default in _DEFAULTS.items()}
    missing = [name for name in _DEFAULTS if not cfg.get(name)]
    mean, std = (_colours(name, values[name]) for name in ("mean", "std"))
    steps: dict[str, object] = {"mean": mean, "std": std}
    if values["interpolation"] not in _INTERPOLATIONS:
        raise ValueError(
            f"interpolation {quoted(values['interpolation'])} of pretrained_cfg is unknown: "
            f"use one of {', '.join(_INTERPOLATIONS)}."
        )
    steps |= {"interpolation": values["interpolation"], "arithmetic": resizing.PILLOW}
    height, width = _input_size(values["input_size"])
    share = values["crop_pct"]
    scaled = resizing.enlarged(height, share), resizing.enlarged(width, share)
    steps |= {"resize": scaled, "crop": height if height == width else (height, width)}
    mode = cfg.get("crop_mode") or "center"
    if mode == "center":
        square = scaled[0] == scaled[1]
        steps |= {"resize": scaled[0]} if square else {"resize_fit": resizing.COVER}
    elif mode == "border":
        border = tuple(round(255 * min(max(value, 0), 1)) / 255 for value in mean)
        steps |= {"resize_fit": resizing.INSIDE, "crop_border": border}
    elif mode != "squash":
        raise ValueError(f"crop_mode {quoted(mode)} is unknown: use center, squash or border.")
    if not missing:
        return steps, ()
    return steps, (f"pretrained_cfg does not say {', '.join(missing)}: timm's defaults are taken.",)


def _input_size(size: object) -> tuple[int, int]:
    sides = list(size) if isinstance(size, (list, tuple)) else []
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"input_size {quoted(size)} must be channels and pixels: [3, 224, 224].")
    if sides[0] != 3:
        raise ValueError(f"The network wants pictures of {sides[0]} channels, not of 3 (RGB).")
    return sides[1], sides[2]


def _colours(name: str, values: object) -> tuple[float, ...]:
    numbers = tuple(values) if isinstance(values, (list, tuple)) else ()
    if len(numbers) not in (1, 3) or not all(map(_is_finite, numbers)):
        raise ValueError(f"{name} {quoted(values)} must be three numbers.")
    return numbers * 3 if len(numbers) == 1 else numbers


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) < math.inf


def options_text(config: Mapping[str, object]) -> str:
    """What timm is told beside the name, as the JSON that `options` reads; empty for nothing.

    Raises ValueError for what no file may tell.
    """
    told = config.get("model_args")
    arguments = dict(told) if isinstance(told, Mapping) else {}
    cfg = config.get("pretrained_cfg")
    if isinstance(cfg, Mapping) and cfg.get("fixed_input_size") and cfg.get("input_size"):
        arguments.setdefault("img_size", list(_input_size(cfg["input_size"])))
    arguments = _checked(arguments)
    return json.dumps({"model_args": arguments}) if arguments else ""


def options(text: str) -> dict[str, object]:
    """The arguments of `timm.create_model` in a text of `options_text`. Raises ValueError."""
    try:
        told = json.loads(text).get("model_args") if text else {}
    except (ValueError, AttributeError, RecursionError):
        told = None
    if not isinstance(told, Mapping):
        raise ValueError("The config of the timm network holds no model_args: save it again.")
    return _checked(told)


def _checked(arguments: Mapping[str, object]) -> dict[str, object]:
    """Plain values only, under names that build a network and nothing else."""
    kept = {}
    for name, value in arguments.items():
        if value is None or name in _TOLD_ELSEWHERE:
            continue
        forbidden = name in _NOT_FROM_A_FILE or name.startswith(("pretrained", "_"))
        if forbidden and not value:
            continue
        if forbidden or not _WORD.fullmatch(name) or not _is_plain(value):
            raise ValueError(
                f"model_args has {quoted(name)} = {quoted(value)}: only plain numbers, words and "
                "short lists that build the network are taken from a file. Take it out, or load "
                "the weights by themselves and name the architecture."
            )
        if name == "in_chans" and value != 3:
            raise ValueError(f"The network wants pictures of {value} channels, not of 3 (RGB).")
        kept[name] = value
    return kept


def _is_plain(value: object, inside: bool = False) -> bool:
    if isinstance(value, (list, tuple)):
        return not inside and len(value) <= _LONGEST and all(_is_plain(v, True) for v in value)
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    return isinstance(value, (bool, int, float)) and abs(value) <= _LARGEST
