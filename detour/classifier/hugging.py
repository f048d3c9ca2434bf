"""Classifiers of the transformers library: a folder with config.json and safetensors."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from .facts import Facts, parse_json, read_facts, read_json

LIBRARY = "transformers"
WEIGHTS = "model.safetensors"
_RESAMPLE = {0: "nearest", 2: "bilinear", 3: "bicubic"}
_WRAPPER = "timm_wrapper"
_DROPPED = (  # what could fetch or run something, choose a precision, or change the output
    "_attn_implementation",
    "_attn_implementation_internal",
    "_name_or_path",
    "attn_implementation",
    "auto_map",
    "backbone",
    "custom_pipelines",
    "dtype",
    "return_dict",
    "torch_dtype",
    "torchscript",
    "use_kernels",
    "use_pretrained_backbone",
    "use_timm_backbone",
)
_UNBUILDABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


def folder_files(folder: Path) -> tuple[Path, dict[str, object]]:
    """The weights and the configuration of a classifier's folder.

    Raises FileNotFoundError, with what is missing, and ValueError for quantised networks.
    """
    for name in ("config.json", WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"The folder {folder} has no {name}: a folder of the transformers library holds "
                f"config.json and {WEIGHTS} (one file, saved with safe_serialization)."
            )
    config = read_json(folder / "config.json")
    if config.get("quantization_config"):
        raise ValueError(
            f"The network in {folder} is quantised: its weights cannot be edited one by one. "
            "Use the full-precision network."
        )
    return folder / WEIGHTS, config


def folder_facts(folder: Path, config: Mapping[str, object]) -> Facts:
    """What config.json and preprocessor_config.json say about a classifier."""
    if not isinstance(config.get("model_type"), str):
        return read_facts(config)
    path = folder / "preprocessor_config.json"
    steps = processor_steps(read_json(path)) if path.is_file() else {}
    several = config.get("problem_type") == "multi_label_classification"
    return Facts(
        architecture=f"{LIBRARY}:{config['model_type']}",
        labels=read_facts({"id2label": config.get("id2label")}).labels,
        preprocessing=steps,
        activation="sigmoid" if several else "",
        config=json.dumps(_harmless(config)),
    )


def build_from_config(text: str) -> nn.Module:
    """The network of a configuration, with weights of no meaning and two classes.

    Nothing is downloaded, and no code of the folder runs.

    Raises ValueError if transformers is missing or knows no classifier of that kind.
    """
    if importlib.util.find_spec(LIBRARY) is None:
        raise ValueError(
            "This classifier is built by transformers, which is not installed: run pip install "
            "transformers in the host's Python, then restart."
        )
    transformers = importlib.import_module(LIBRARY)
    values = _harmless(parse_json(text, "The configuration"))
    kind = values.pop("model_type", None)
    if kind == _WRAPPER:
        raise ValueError(
            "The network is one of timm in a wrapper of transformers: load its weights by "
            "themselves and name the architecture, for example timm:convnext_tiny."
        )
    for labels in ("id2label", "label2id", "num_labels"):
        values.pop(labels, None)
    try:
        config = transformers.AutoConfig.for_model(kind, **values)
        network = transformers.AutoModelForImageClassification.from_config(
            config, trust_remote_code=False
        )
    except _UNBUILDABLE as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"transformers {transformers.__version__} cannot build an image classifier of the "
            f"kind {kind!r} ({first_line[:160]})."
        ) from None
    return network.float().eval()


def processor_steps(values: Mapping[str, object]) -> dict[str, object]:
    """The preprocessing in a preprocessor_config.json, by the field names of Preprocessing."""
    steps: dict[str, object] = {"resize": None, "crop": None}
    size = _side(values.get("size"))
    if values.get("do_resize", True) and size is not None:
        steps["resize"] = size
    crop = _side(values.get("crop_size"))
    share = values.get("crop_pct")
    if isinstance(size, int) and isinstance(share, (int, float)) and 0 < share <= 1:
        steps |= _share_steps(size, float(share))
    elif values.get("do_center_crop") and crop is not None:
        steps["crop"] = crop
    normalise, scale = values.get("do_normalize", True), _scale(values)
    steps["mean"] = _scaled(values.get("image_mean") if normalise else (0.0,) * 3, scale)
    steps["std"] = _scaled(values.get("image_std") if normalise else (1.0,) * 3, scale)
    resample = values.get("resample", 2)
    named = _RESAMPLE.get(resample) if isinstance(resample, int) else None
    steps["interpolation"] = named or "bicubic"
    return {name: value for name, value in steps.items() if name in ("crop", "resize") or value}


def _harmless(config: Mapping[str, object]) -> dict[str, object]:
    """The configuration, and those inside it, without what is none of a file's business."""
    return {
        key: _harmless(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in _DROPPED
    }


def _share_steps(size: int, share: float) -> dict[str, object]:
    """ConvNeXt's rule: below 384 pixels the centre is kept, from there on nothing is cut."""
    if size >= 384:
        return {"resize": (size, size)}
    return {"resize": int(size / share), "crop": size}


def _scale(values: Mapping[str, object]) -> float:
    """What a processor makes of colours in 0..1 before it normalises them, as one factor."""
    if not values.get("do_rescale", True):
        return 255.0
    factor = values.get("rescale_factor")
    factor = 1 / 255 if factor is None else factor
    if not isinstance(factor, (int, float)) or not 0 < factor < 1e6:
        raise ValueError(f"rescale_factor {factor!r} of the processor must be a number above 0.")
    return 1.0 if math.isclose(255 * factor, 1, rel_tol=1e-4) else 255 * factor


def _scaled(colours: object, scale: float) -> object:
    """Mean or std for colours in 0..1; what is no list of numbers is refused later."""
    numbers = colours if isinstance(colours, (list, tuple)) else ()
    if scale == 1 or not all(isinstance(value, (int, float)) for value in numbers):
        return colours
    return [value / scale for value in numbers]


def _side(size: object) -> int | tuple[int, int] | None:
    """A size as transformers writes it: 224, {"shortest_edge": 224}, {"height", "width"}."""
    if not isinstance(size, Mapping):
        return size if isinstance(size, int) else None
    if isinstance(edge := size.get("shortest_edge"), int):
        return edge
    height, width = size.get("height"), size.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
