"""Classifiers of the transformers library: a folder with config.json and weights."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from torch import nn

from ..checks import first_line, quoted, shortened
from .empty_weights import TooLarge
from .facts import Facts, parse_json, read_facts, read_json
from .label_files import labelled
from .networks import UNBUILDABLE, require_library
from .processors import FILE, processor_steps, usual_steps
from .tagger import tagger_facts

LIBRARY = "transformers"
LARGEST_INTEGER = 2**20
REGRESSION = (
    "config.json says regression: the network's numbers are no probabilities. Scores are a sigmoid "
    "of them, so that a threshold t stands for the number log(t / (1 - t))."
)
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


def folder_config(folder: Path) -> dict[str, object]:
    """The configuration of a classifier's folder.

    Raises FileNotFoundError if there is none, and ValueError for quantised networks.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"The folder {folder} has no config.json: a classifier's folder holds config.json "
            "and its weights."
        )
    config = read_json(folder / "config.json")
    if config.get("quantization_config"):
        raise ValueError(
            f"The network in {folder} is quantised: its weights cannot be edited one by one. "
            "Use the full-precision network."
        )
    return config


def folder_facts(folder: Path, config: Mapping[str, object]) -> Facts:
    """What config.json and the files beside it say about a classifier."""
    network = config.get("model_type")
    wrapped = network == _WRAPPER and isinstance(config.get("architecture"), str)
    if wrapped or not isinstance(network, str):
        return labelled(folder, tagger_facts(folder, _timm_facts(config)))
    return labelled(folder, _transformers_facts(folder, config, network))


def _processor(folder: Path) -> dict[str, object] | None:
    """What the folder's image processor was saved with: by itself, or as part of a processor of
    pictures and texts."""
    if (folder / FILE).is_file():
        return read_json(folder / FILE)
    whole = folder / "processor_config.json"
    part = read_json(whole).get("image_processor") if whole.is_file() else None
    return dict(part) if isinstance(part, Mapping) else None


def _transformers_facts(folder: Path, config: Mapping[str, object], network: str) -> Facts:
    processor = _processor(folder)
    steps, notes = usual_steps(config) if processor is None else processor_steps(processor, network)
    activation, told = _meaning(config)
    return Facts(
        architecture=f"{LIBRARY}:{network}",
        labels=read_facts({"id2label": config.get("id2label")}).labels,
        preprocessing=steps,
        activation=activation,
        config=json.dumps(_harmless(config)),
        notes=(*notes, *told),
    )


def _timm_facts(config: Mapping[str, object]) -> Facts:
    """What the config.json of a timm folder says, in its older flat form too."""
    name = config.get("architecture")
    if not isinstance(name, str) or not {"pretrained_cfg", "input_size"} & set(config):
        return read_facts(config)
    facts = read_facts(config if "pretrained_cfg" in config else {"pretrained_cfg": config})
    activation, told = _meaning(config)
    return replace(
        facts,
        architecture=name if ":" in name else f"timm:{name}",
        activation=facts.activation or activation,
        notes=(*facts.notes, *told),
    )


def _meaning(config: Mapping[str, object]) -> tuple[str, tuple[str, ...]]:
    """The activation by the problem that the network was trained for, and what is to be said."""
    problem = config.get("problem_type")
    if problem == "regression":
        return "sigmoid", (REGRESSION,)
    return "sigmoid" if problem == "multi_label_classification" else "", ()


def build_from_config(text: str, classes: int) -> nn.Module:
    """The network of a configuration, with weights of no meaning and so many classes.

    Nothing is downloaded, and no code of the folder runs.

    Raises ValueError if transformers is missing or knows no classifier of that kind.
    """
    transformers = require_library(LIBRARY, importlib.util.find_spec(LIBRARY) is not None)
    values = _harmless(parse_json(text, "The configuration"))
    kind = values.pop("model_type", None)
    if kind == _WRAPPER:
        raise ValueError(
            "The network is one of timm in a wrapper of transformers: load its weights by "
            "themselves and name the architecture, for example timm:convnext_tiny."
        )
    for labels in ("id2label", "label2id", "num_labels"):
        values.pop(labels, None)
    _check_integers(values)
    values["architectures"] = values.get("architectures") or []  # transformers reads it as a list
    try:
        config = transformers.AutoConfig.for_model(kind, **values, num_labels=classes)
        network = transformers.AutoModelForImageClassification.from_config(
            config, trust_remote_code=False
        )
    except TooLarge:
        raise
    except (*UNBUILDABLE, ImportError, MemoryError, *_strict_errors()) as error:
        raise ValueError(
            f"transformers {transformers.__version__} cannot build an image classifier of the "
            f"kind {quoted(kind)} ({first_line(error)})."
        ) from None
    return network.float().eval()


def _strict_errors() -> tuple[type[Exception], ...]:
    """What configurations raise since transformers 5.0 for a value of another type."""
    place = "huggingface_hub.errors"
    found = importlib.util.find_spec(place) and importlib.import_module(place)
    strict = getattr(found, "StrictDataclassError", None)
    return (strict,) if strict else ()


Value = TypeVar("Value")


def own_names(network: nn.Module, state: Mapping[str, Value]) -> dict[str, Value]:
    """What a file holds, under the names that this transformers has for the network's weights.

    Since 5.0 many of its modules are named otherwise than their weights in files, which stay as
    they always were. What has no other name keeps its own.
    """
    if importlib.util.find_spec("transformers.conversion_mapping") is None:
        return dict(state)
    loading = importlib.import_module("transformers.core_model_loading")
    mapping = importlib.import_module("transformers.conversion_mapping")
    steps = mapping.get_model_conversion_mapping(network)
    renamings = [step for step in steps if isinstance(step, loading.WeightRenaming)]
    own = network.state_dict()
    return {
        key if key in own else loading.rename_source_key(key, renamings, [])[0]: value
        for key, value in state.items()
    }


def _check_integers(values: Mapping[str, object]) -> None:
    """Refuse numbers that would keep a constructor busy for ever."""
    waiting: list[tuple[str, object]] = list(values.items())
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.items()
        elif isinstance(value, (list, tuple)):
            waiting += [(name, part) for part in value]
        elif isinstance(value, (int, float)) and abs(value) > LARGEST_INTEGER:
            raise ValueError(
                f"{shortened(str(name), 80)} is {quoted(value)} in the configuration, but no "
                f"network has more than {LARGEST_INTEGER:,} of anything: correct it."
            )


def _harmless(config: Mapping[str, object]) -> dict[str, object]:
    """The configuration, and those inside it, without what is none of a file's business."""
    return {
        key: _harmless(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in _DROPPED
    }
