"""Every network that Detour should read: by the libraries' own lists, with random weights."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
import transformers
from safetensors.torch import save_file
from torch import nn
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS,
)

from detour.classifier.empty_weights import build_empty

CLASSES = 5
SIDE, LARGE_SIDE = 224, 300
CANDIDATES = 4
SMALL = (  # what smaller networks are called, the smallest first
    *("^test_", "atto|femto|pico|nano", "xxs|xx_small|xxtiny|050|025|035", "_xs|x_small|extra"),
    *("tiny|_ti?(_|$)|mini|lite|[^0-9]0[0-9]*(_|$|m)", "small|_s[0-9]*(_|$)|18|10t?(_|$)|[xy]_?00"),
    *("14|26|(_|x)[0-9]{2}(_|$)", "base|_b(_|$)|medium|_m(_|$)"),
)
FEW_LAYERS = 2
MANY = 10_000


@dataclass(frozen=True)
class Network:
    """One network of a library.

    family: the module it comes from. build: makes it with random weights. save: writes a built
    one as its library does, and returns what `load_classifier` is given.
    """

    library: str
    name: str
    family: str
    build: Callable[[], nn.Module]
    save: Callable[[nn.Module, Path], Path]

    @property
    def full_name(self) -> str:
        """`library:name`, as a user names it."""
        return f"{self.library}:{self.name}"


def parameters(network: nn.Module) -> int:
    """How many weights it has."""
    return sum(value.numel() for value in network.parameters())


def empty(build: Callable[[], nn.Module]) -> nn.Module:
    """The network without memory for its weights, however large."""
    return build_empty(build, dict.fromkeys(map(str, range(MANY)), torch.empty(0)))


def torchvision_networks() -> list[Network]:
    """All classifiers of torchvision."""
    return [
        Network(
            "torchvision",
            name,
            torchvision.models.get_model_builder(name).__module__.rpartition(".")[2],
            partial(torchvision.models.get_model, name, weights=None, num_classes=CLASSES),
            partial(_save_file, side=SIDE),
        )
        for name in torchvision.models.list_models(module=torchvision.models)
    ]


def timm_networks() -> Iterator[Network]:
    """A small network of each of timm's modules: of the few whose names promise the least, the
    one with the fewest weights."""
    for family in sorted(timm.list_modules()):
        names = sorted(timm.list_models(module=family), key=_promised)[:CANDIDATES]
        sizes = {name: parameters(empty(partial(_timm, name))) for name in names}
        if sizes:
            yield timm_network(min(sizes, key=sizes.__getitem__), family)


def _promised(name: str) -> tuple[int, str]:
    found = (i for i, words in enumerate(SMALL) if re.search(words, name))
    return next(found, len(SMALL)), name


def timm_network(name: str, family: str = "") -> Network:
    """One network of timm."""
    told = timm.models.get_pretrained_cfg(name)
    side = told.input_size[-1] if told is not None else SIDE
    fixed = told is not None and told.fixed_input_size
    side = side if fixed or side < LARGE_SIDE else SIDE
    return Network("timm", name, family, partial(_timm, name), partial(_save_file, side=side))


def transformers_networks() -> list[Network]:
    """All image classifiers of transformers, with two layers where their number is a setting."""
    return [
        Network("transformers", kind, kind, partial(_transformers, kind), _save_folder)
        for kind in CLASSIFIERS
    ]


def _timm(name: str) -> nn.Module:
    return timm.create_model(name, pretrained=False, num_classes=CLASSES)


def _transformers(kind: str) -> nn.Module:
    config_class = type(transformers.AutoConfig.for_model(kind))
    settings: dict[str, Any] = {"num_labels": CLASSES, "architectures": []}
    if "num_hidden_layers" in inspect.signature(config_class.__init__).parameters:
        settings["num_hidden_layers"] = FEW_LAYERS
    config = transformers.AutoConfig.for_model(kind, **settings)
    return transformers.AutoModelForImageClassification.from_config(config)


def _save_file(network: nn.Module, folder: Path, side: int) -> Path:
    state = {key: value.clone().contiguous() for key, value in network.state_dict().items()}
    save_file(state, folder / "network.safetensors")
    text = json.dumps({"input_size": side})
    (folder / "network.json").write_text(text, encoding="utf-8")
    return folder / "network.safetensors"


def _save_folder(network: nn.Module, folder: Path) -> Path:
    if not isinstance(network, transformers.PreTrainedModel):
        raise TypeError("It is no network of transformers.")
    network.save_pretrained(folder)
    size = getattr(network.config, "image_size", SIDE)
    side = size if isinstance(size, int) else SIDE
    processor = transformers.ViTImageProcessor(size={"height": side, "width": side}, resample=2)
    processor.save_pretrained(folder)
    return folder
