"""The image processors of the transformers library, as a `Preprocessing`.

Each does what its class does with the values of its file, and with its class's own where the
file is silent. Slow ones resize whole numbers with Pillow; those whose name ends in `Fast` by
torchvision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeGuard

from ..checks import quoted, shortened
from . import resizing
from .processor_kinds import (
    ALWAYS,
    FAST_DIFFERS,
    KINDS,
    NO_COLOURS,
    OF_NETWORKS,
    REFUSED,
    RESAMPLE,
    SWITCHES,
)

FILE = "preprocessor_config.json"
_WHOLE_FROM = 384
"""ConvNeXt's rule: from this size on nothing is cut off."""


class _Values:
    """The entries of a processor's file; remembers those that it had to assume."""

    def __init__(self, name: str, values: Mapping[str, object]) -> None:
        self.name, self.values = name, values
        self.fast = name.endswith("Fast")
        self.base = name.removesuffix("Fast").removesuffix("ImageProcessor")
        self.assumed: list[str] = []
        kind = FAST_DIFFERS.get(self.base) if self.fast else None
        self.kind = kind or KINDS[self.base]

    def get(self, key: str, default: object) -> object:
        """The entry; its default where it is missing or null."""
        value = self.values.get(key)
        if value is None and key not in self.assumed:
            self.assumed.append(key)
        return default if value is None else value

    def is_on(self, key: str, default: bool) -> bool:
        """A switch."""
        return bool(self.get(key, default))

    def knows(self, key: str, default: bool) -> bool:
        """A switch that only some classes look at; off in the others."""
        return key in self.kind.extras and self.is_on(key, default)


def processor_steps(
    values: Mapping[str, object], network: str = ""
) -> tuple[dict[str, object], tuple[str, ...]]:
    """The preprocessing in a preprocessor_config.json, by the field names of Preprocessing, and
    sentences about what was assumed.

    network: the model_type, which names the processor where the file does not. Raises ValueError
    for a processor or an entry whose pictures would come out otherwise here.
    """
    name, notes = _name(values, network)
    entries = _Values(name, values)
    notes += _check_switches(entries)
    steps = {**_colours(entries), **_geometry(entries)}
    steps["arithmetic"] = resizing.BYTES if entries.fast else resizing.PILLOW
    if entries.base == "DINOv3ViT":
        steps["arithmetic"] = resizing.FLOAT
    if entries.assumed:
        said = ", ".join(entries.assumed)
        notes += (f"{FILE} does not say {said}: the defaults of {name} are taken.",)
    return steps, notes


def usual_steps(config: Mapping[str, object]) -> tuple[dict[str, object], tuple[str, ...]]:
    """The same for a folder without that file: the defaults of the network's own processor, at
    the picture size of its configuration."""
    base = OF_NETWORKS.get(str(config.get("model_type")))
    if base is None:
        return {}, (f"The folder has no {FILE}: what is usual for ImageNet's networks is taken.",)
    name = _full_name(base)
    size = config.get("image_size")
    side = size[0] if isinstance(size, (list, tuple)) and len(set(size)) == 1 else size
    sizes = {}
    if isinstance(side, int) and base in KINDS:
        kind = KINDS[base]
        sizes["size"] = side
        if kind.crops and kind.crop and isinstance(kind.size, int):
            seen = kind.size if base == "Perceiver" else kind.crop
            sizes = {"size": round(kind.size * side / seen)}
            sizes["crop_size"] = round(kind.crop * side / seen)
    steps, _ = processor_steps({**sizes, "image_processor_type": name})
    return steps, (
        f"The folder has no {FILE}: what {name} does by itself is taken, which may not be what "
        "the network was trained with.",
    )


def _full_name(base: str) -> str:
    fast = base.endswith("Fast")
    return f"{base.removesuffix('Fast')}ImageProcessor{'Fast' if fast else ''}"


def _name(values: Mapping[str, object], network: str) -> tuple[str, tuple[str, ...]]:
    """The class of processors, which must be one that is known here."""
    name = values.get("image_processor_type")
    if not isinstance(name, str):
        older = values.get("feature_extractor_type")
        name = older.replace("FeatureExtractor", "ImageProcessor") if isinstance(older, str) else ""
    name = name.removesuffix("Pil")  # what transformers 5 calls the slow ones
    notes = ()
    if not name and network in OF_NETWORKS:
        name = _full_name(OF_NETWORKS[network])
        notes = (f"{FILE} names no image_processor_type: {name}, that of {network}, is taken.",)
    base = name.removesuffix("Fast").removesuffix("ImageProcessor")
    if base in REFUSED:
        raise ValueError(
            f"The network is fed by {name} ({REFUSED[base]}), not with a picture of one "
            "size: it cannot be used here."
        )
    if base not in KINDS and "auto_map" in values:
        raise ValueError(
            f"image_processor_type {quoted(name)} in {FILE} is code of the folder's own, which is "
            "never run here. Take the network's original folder, or write a processor that does "
            "the same, for example ViTImageProcessor."
        )
    if base not in KINDS or not name.removesuffix("Fast").endswith("ImageProcessor"):
        raise ValueError(
            f"image_processor_type {quoted(name)} in {FILE} is not known here: if it only resizes, "
            "crops and normalises, write one that does the same, for example ViTImageProcessor "
            "(size exactly) or CLIPImageProcessor (shorter side, then crop_size)."
        )
    return name, notes


def _check_switches(entries: _Values) -> tuple[str, ...]:
    """Refuse what changes pictures in a way that is not built here; note what does nothing."""
    known = ALWAYS | set(entries.kind.extras)
    if entries.fast:
        known |= {"do_center_crop", "do_pad"} - ({"do_pad"} if entries.base == "Donut" else set())
    elif entries.kind.crop is not None:
        known.add("do_center_crop")
    on = [key for key, value in entries.values.items() if value]
    unknown = [key for key in on if key.startswith("do_") and key not in SWITCHES]
    if unknown:
        _refuse(unknown[0], entries)
    if "do_pad" in known and entries.values.get("do_pad") and entries.values.get("pad_size"):
        _refuse("do_pad", entries)
    for key in ("do_thumbnail", "do_pad", "do_align_long_axis"):
        if entries.knows(key, bool(entries.kind.extras.get(key))):
            _refuse(key, entries)
    idle = [key for key in on if key in SWITCHES - known]
    if not idle:
        return ()
    return (f"{', '.join(idle)} in {FILE}: passed over, as {entries.name} itself does.",)


def _refuse(key: str, entries: _Values) -> None:
    raise ValueError(
        f"{entries.name} of {FILE} has {shortened(key, 80)} switched on, which is not done here: "
        "pictures would look otherwise to the network. Set it to false if it does not need it."
    )


def _geometry(entries: _Values) -> dict[str, object]:
    """How pictures are resized and cropped."""
    kind = entries.kind
    sides = _sides("size", entries.get("size", kind.size), kind.square)
    steps = {"resize": sides, "crop": None, "interpolation": _interpolation(entries)}
    steps["crop_centring"] = resizing.TRUNCATE if entries.fast else resizing.FLOOR
    size = entries.values.get("size")
    if entries.fast and isinstance(size, Mapping) and size.get("longest_edge"):
        steps["resize_longest"] = size["longest_edge"]
    if (kind.crop is not None or entries.fast) and entries.is_on("do_center_crop", kind.crops):
        steps["crop"] = _sides("crop_size", entries.get("crop_size", kind.crop), True)
    resizes = entries.is_on("do_resize", True)
    if entries.base in _OWN_RULES and (resizes or entries.base == "Perceiver"):
        steps |= _OWN_RULES[entries.base](entries, sides, steps["crop"])
    if not resizes:
        steps |= {"resize": None, "resize_longest": None, "resize_multiple": 1}
    return steps


def _convnext(entries: _Values, size: object, crop: object) -> dict[str, object]:
    """Below 384 pixels the centre is kept, from there on nothing is cut."""
    if not isinstance(size, int):
        raise ValueError(f"size of {entries.name} in {FILE} must be its shortest_edge, a number.")
    if size >= _WHOLE_FROM:
        return {"resize": (size, size)}
    if crop is not None:
        _refuse("do_center_crop", entries)
    steps = {"resize": _enlarged(size, entries), "crop": (size, size)}
    return {**steps, "crop_centring": resizing.ROUND} if entries.fast else steps


def _enlarged(size: int, entries: _Values) -> int:
    """What is resized to, of which crop_pct is then kept."""
    return resizing.enlarged(size, entries.get("crop_pct", entries.kind.extras["crop_pct"]))


def _poolformer(entries: _Values, size: object, _: object) -> dict[str, object]:
    if "crop_pct" in entries.values and entries.values["crop_pct"] is None:
        return {}
    if isinstance(size, int):
        return {"resize": _enlarged(size, entries)}
    height, width = size if isinstance(size, tuple) else (0, 0)
    new = _enlarged(height, entries), _enlarged(width, entries)
    return {"resize": new[0] if height == width else new}


def _levit(_: _Values, size: object, __: object) -> dict[str, object]:
    return {"resize": int(256 / 224 * size) if isinstance(size, int) else size}


def _textnet(entries: _Values, _: object, __: object) -> dict[str, object]:
    return {"resize_multiple": entries.get("size_divisor", 32)}


def _donut(_: _Values, size: object, __: object) -> dict[str, object]:
    return {"resize": min(size) if isinstance(size, tuple) else size}


def _clip(entries: _Values, size: object, _: object) -> dict[str, object]:
    square = entries.values.get("use_square_size") and not entries.fast
    return {"resize": (size, size)} if square and isinstance(size, int) else {}


def _perceiver(_: _Values, size: object, crop: object) -> dict[str, object]:
    """The share of crop_size that size is, of the picture's shorter side, comes first."""
    if not isinstance(size, tuple) or not isinstance(crop, tuple):
        return {}
    return {"crop": None, "crop_share": (size[0] / crop[0], size[1] / crop[1])}


_OWN_RULES: Mapping[str, Callable[[_Values, object, object], dict[str, object]]] = {
    "CLIP": _clip,
    "ConvNext": _convnext,
    "Donut": _donut,
    "Levit": _levit,
    "Perceiver": _perceiver,
    "PoolFormer": _poolformer,
    "TextNet": _textnet,
}


def _interpolation(entries: _Values) -> str:
    number = entries.get("resample", entries.kind.resample)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(RESAMPLE):
        raise ValueError(
            f"resample {quoted(number)} of {FILE} must be one of Pillow's numbers 0 to 5."
        )
    return RESAMPLE[number]


def _is_side(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _sides(name: str, size: object, square: bool) -> int | tuple[int, int]:
    """A size as transformers writes it: 224, [224, 224], or with the names of its sides."""
    if _is_side(size):
        return (size, size) if square else size
    if isinstance(size, Mapping):
        edge = size.get("shortest_edge")
        if _is_side(edge) and name == "size":
            return edge
        pair = (size.get("height"), size.get("width"))
    else:
        pair = tuple(size) if isinstance(size, (list, tuple)) else ()
    if len(pair) == 2 and _is_side(pair[0]) and _is_side(pair[1]):
        return pair[0], pair[1]
    raise ValueError(
        f"{name} {quoted(size)} of {FILE} cannot be used: write pixels, or height and width"
        f"{', or shortest_edge' if name == 'size' else ''}."
    )


def _colours(entries: _Values) -> dict[str, object]:
    """mean, std and the order of colours; colours in 0..1 are meant, whatever the scale of the
    processor."""
    scale, offset = _scale(entries)
    mean, std = NO_COLOURS
    if entries.kind.colours is not NO_COLOURS and entries.is_on(
        "do_normalize", entries.kind.normalises
    ):
        mean = _triple("image_mean", entries.get("image_mean", entries.kind.colours[0]))
        std = _triple("image_std", entries.get("image_std", entries.kind.colours[1]))
    if (scale, offset) != (1, 0):
        mean, std = [(m + offset) / scale for m in mean], [s / scale for s in std]
    bgr = entries.knows("do_flip_channel_order", True)
    if entries.knows("include_top", True):  # EfficientNet divides by it twice
        again = _triple("image_std", entries.get("image_std", entries.kind.colours[1]))
        std = [s * a for s, a in zip(std, again, strict=True)]
    return {"bgr": bgr, "mean": tuple(mean), "std": tuple(std)}


def _scale(entries: _Values) -> tuple[float, float]:
    """What a processor makes of colours in 0..1: times the first, less the second."""
    if not entries.is_on("do_rescale", True):
        return 255.0, 0.0
    factor = entries.get("rescale_factor", 1 / 255)
    if not isinstance(factor, (int, float)) or not 0 < factor < 1e6:
        raise ValueError(
            f"rescale_factor {quoted(factor)} of the processor must be a number above 0."
        )
    scale = 1.0 if math.isclose(255 * factor, 1, rel_tol=1e-4) else 255 * factor
    return scale, float(entries.knows("rescale_offset", False))


def _triple(name: str, colours: object) -> list[float]:
    """Numbers for red, green and blue; one number is for all three."""
    if isinstance(colours, (int, float)) and not isinstance(colours, bool):
        return [float(colours)] * 3
    numbers = list(colours) if isinstance(colours, (list, tuple)) else []
    if len(numbers) != 3 or not all(isinstance(number, (int, float)) for number in numbers):
        raise ValueError(f"{name} {quoted(colours)} of {FILE} must be three numbers.")
    return numbers
