"""From a file or a folder to an `ImageClassifier`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torchvision
from torch import nn

from ..checks import shortened
from . import networks, transformers_folder
from .checkpoint import Checkpoint, read_checkpoint
from .empty_weights import TooLarge, build_empty, fill_constants, fill_weights
from .facts import (
    Description,
    Facts,
    make_preprocessing,
    metadata_facts,
    parse_labels,
    side_car_facts,
)
from .fit import Fit
from .folder_weights import read_folder
from .head import HALVES
from .heads import class_layer, install_head, split_head
from .label_files import are_numbered
from .model import ImageClassifier, hash_backbone
from .networks import Architecture
from .strangers import refuse_head_alone, refuse_strangers
from .weights import Weight

AUTO = "auto"
HEAD = "head"
"""The name of a head that is saved without its backbone."""
ONE_OUTPUT = (
    "The network has one output, of which softmax would be 1 for every picture: its score is a "
    "sigmoid of it."
)
UNNAMED = (
    "The classes are called {} and so on: what they mean stands where you found the network. "
    "Write it into labels."
)
_IMAGENET = 1000
_SHOWN = 3


@dataclass(frozen=True)
class _Source:
    """What a file or a folder gives: its weights and everything that is known of them."""

    name: str
    checkpoint: Checkpoint
    facts: Facts
    notes: tuple[str, ...] = ()
    threshold: float | None = None
    """The one that the user asks for."""


def load_classifier(
    path: Path | str,
    *,
    architecture: str = "",
    labels: tuple[str, ...] = (),
    activation: str = "",
    threshold: float | None = None,
    backbone: nn.Module | None = None,
) -> ImageClassifier:
    """Load a classifier from a `.safetensors` or PyTorch file, or from a folder with config.json.

    architecture: `library:name` or a name; empty or `auto` = as the file says, else recognised.
    labels, activation, threshold: win over those in the file; empty and None = as it says.
    backbone: for a head that was fitted on a host's model and saved without it: that model.

    The network is built here, on the CPU in float32. Raises FileNotFoundError, or ValueError
    with one sentence: what is wrong, and what to do.
    """
    architecture = "" if architecture == AUTO else architecture
    source = _read(Path(path))
    told = Facts(labels=labels, activation=activation, threshold=threshold)
    facts = told.over(source.facts)
    source = replace(source, threshold=threshold)
    if facts.backbone_hash and not facts.architecture:
        return _load_head(source, facts, backbone)
    facts = replace(facts, backbone_hash="", backbone_halves={})  # a head alone has them
    if _short(architecture) not in ("", _short(facts.architecture)):
        facts = replace(facts, config="")
    if facts.config and facts.architecture.startswith(f"{transformers_folder.LIBRARY}:"):
        build = partial(transformers_folder.build_from_config, facts.config)
        return _assemble(source, build, facts, source.checkpoint.state)
    state = networks.rename_old_keys(source.checkpoint.state)
    found = _choose(source.name, state, architecture, facts.architecture)
    found = replace(found, options=facts.config if found.library == "timm" else "")
    facts = replace(facts, config=found.options)
    defaults = Facts(found.full_name, preprocessing=networks.default_steps(found))
    source = replace(source, notes=(*source.notes, *_remarks(found, facts, architecture)))
    facts = replace(facts, architecture=found.full_name).over(defaults)
    return _assemble(source, partial(networks.build, found), facts, state)


def load_typed(
    path: Path,
    architecture: str = AUTO,
    labels: str = "",
    activation: str = AUTO,
    threshold: float = 0.0,
    backbone: nn.Module | None = None,
) -> ImageClassifier:
    """`load_classifier` with what people type: labels as a text (see `parse_labels`), and `auto`,
    nothing or 0 for what the file says."""
    return load_classifier(
        path,
        architecture=architecture.strip(),
        labels=parse_labels(labels),
        activation="" if activation == AUTO else activation,
        threshold=None if threshold == 0 else threshold,
        backbone=backbone,
    )


def _read(path: Path) -> _Source:
    if path.is_dir():
        config = transformers_folder.folder_config(path)
        checkpoint = read_folder(path)
        refuse_strangers(path.name, checkpoint.state)
        return _Source(path.name, checkpoint, transformers_folder.folder_facts(path, config))
    checkpoint = read_checkpoint(path)
    refuse_strangers(path.name, checkpoint.state)
    facts = side_car_facts(path).over(metadata_facts(checkpoint.metadata))
    return _Source(path.name, checkpoint, facts)


def _short(architecture: str) -> str:
    """An architecture's name without its library, if that is timm."""
    return architecture.strip().removeprefix("timm:")


def _choose(name: str, state: Mapping[str, Weight], asked: str, told: str) -> Architecture:
    """The architecture that the user names, or the file, or that the weights show."""
    if asked or told:
        return networks.by_name(asked or told, state)
    found = networks.recognise(state)
    if found is not None:
        return found
    refuse_head_alone(name, state)
    near = networks.candidates(state)
    if near and near[0].library == "timm":
        networks.require_timm()
    keys = ", ".join(shortened(key, 40) for key in list(state)[:_SHOWN])
    nearest = min(networks.compared(state), key=lambda pair: len(pair[1]), default=None)
    like = f" It is near to {nearest[0].full_name}, but {nearest[1][0]}." if nearest else ""
    raise ValueError(
        f"The architecture of {shortened(name, 80)} is not recognised from its weights "
        f"({keys}, ...).{like} Name it, for example resnet50, torchvision:regnet_y_400mf or "
        "timm:convnext_small, or put it into a folder with transformers' or timm's config.json "
        "that it came with."
    )


def _one_output(facts: Facts, classes: int) -> Facts:
    """The facts, which cannot say softmax where there is one class only."""
    if classes > 1 or facts.activation == "sigmoid":
        return facts
    return replace(facts, activation="sigmoid", notes=(*facts.notes, ONE_OUTPUT))


def _unused_threshold(facts: Facts, asked: float | None) -> tuple[str, ...]:
    """What is to be said of a threshold for softmax. Files that were saved before there was
    anything to say hold the default, which nobody meant."""
    wanted = facts.threshold if asked is None else asked
    default = asked is None and wanted == Description.threshold
    if wanted is None or default or facts.activation == "sigmoid":
        return ()
    return (
        f"The threshold {wanted:g} is not used: with softmax a picture is of the class with the "
        "highest score. Choose sigmoid if each class is a tag; a least score for pictures to keep "
        "is set where they are classified.",
    )


def _remarks(found: Architecture, facts: Facts, asked: str) -> list[str]:
    """What was assumed because the file does not say it."""
    remarks = []
    if found.library == "timm" and not asked and not facts.architecture:
        remarks.append(
            f"Recognised as {found.full_name}; relatives with the same weights but other "
            "padding (timm's tf_ networks) look alike: name the architecture if it is one."
        )
    if found.library != "detour" and "mean" not in facts.preprocessing:
        remarks.append(
            "The file does not say how pictures are prepared: what the ImageNet weights of "
            f"{found.full_name} want is taken."
        )
    return remarks


def _assemble(
    source: _Source, build: Callable[[int], nn.Module], facts: Facts, state: Mapping[str, Weight]
) -> ImageClassifier:
    """Put the weights into the network that `build` makes, take its head out, and describe it.

    Names and shapes are compared with a network that takes no memory; only then is any read.
    """
    network, head = _empty_network(build, facts.architecture, state)
    if facts.architecture.startswith(f"{transformers_folder.LIBRARY}:"):
        state = transformers_folder.own_names(network, state)
    fit = _fit(source.name, network, head, facts.architecture, state)
    fill_constants(network, partial(build, 2))
    values = {key: weight.read(key) for key, weight in fit.state.items()}
    facts = _one_output(facts, len(values[f"{head}.weight"]))
    install_head(network, head, values[f"{head}.weight"], values.get(f"{head}.bias"))
    fill_weights(network, values)
    preprocessing = make_preprocessing(facts.preprocessing)
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(1, 3, *preprocessing.input_size, generator=generator)
    backbone, weight, bias = split_head(network, example, head)
    notes = (*source.checkpoint.notes, *facts.notes, *fit.notes, *source.notes)
    notes += _unused_threshold(facts, source.threshold)
    if not facts.labels:
        labels, note = _guess_labels(len(weight), facts.architecture)
        facts, notes = replace(facts, labels=labels), (*notes, note)
    elif are_numbered(facts.labels):
        notes += (UNNAMED.format(facts.labels[0]),)
    return ImageClassifier(backbone, weight, bias, facts.describe(), notes)


def _empty_network(
    build: Callable[[int], nn.Module], architecture: str, state: Mapping[str, Weight]
) -> tuple[nn.Module, str]:
    """A network without memory for its weights, and the name of the layer that makes the classes.

    Raises ValueError if it is not one linear layer, or if the network is far larger than `state`.
    """
    try:
        networks = [build_empty(partial(build, classes), state) for classes in (2, 3)]
    except TooLarge as error:
        raise ValueError(
            f"The weights do not fit {architecture}: {error}. Choose the architecture that they "
            "were trained with."
        ) from None
    return networks[0], class_layer(*networks)


def _fit(
    name: str, network: nn.Module, head: str, architecture: str, state: Mapping[str, Weight]
) -> Fit[Weight]:
    """The weights by the network's names. Raises ValueError if they are not its own."""
    fit = networks.fit_network(network, head, state)
    if fit.wrong:
        more = f", and {len(fit.wrong) - _SHOWN} more" if len(fit.wrong) > _SHOWN else ""
        raise ValueError(
            f"{shortened(name, 80)} does not fit {architecture}: {'; '.join(fit.wrong[:_SHOWN])}"
            f"{more}. Choose the architecture that it was trained with."
        )
    return fit


def _guess_labels(classes: int, architecture: str) -> tuple[tuple[str, ...], str]:
    if classes == _IMAGENET and not architecture.startswith("detour:"):
        weights = torchvision.models.get_model_weights("resnet50")
        names = tuple(next(iter(weights)).meta["categories"])
        return names, "The file has no labels; with 1000 classes they are taken to be ImageNet's."
    names = tuple(f"class {number}" for number in range(classes))
    told = "its class has" if classes == 1 else f"the {classes} classes have"
    return names, f"The file has no labels: {told} numbers for names."


def _is_backbone(backbone: nn.Module, description: Description) -> bool:
    """Whether a head was fitted on this backbone, loaded in whatever precision: hosts choose one
    by their machine. Two backbones in full precision are never told by their rounded hashes."""

    def hashed(half: str = "") -> str:
        return hash_backbone(backbone, description.preprocessing, half=half)

    wanted, now = description.backbone_hash, hashed()
    if now in (wanted, *description.backbone_halves.values()):
        return True
    return any(hashed(half) == wanted for half in HALVES)


def _load_head(source: _Source, facts: Facts, backbone: nn.Module | None) -> ImageClassifier:
    """A head that was saved without its backbone, on the backbone that the host gives."""
    if backbone is None:
        raise ValueError(
            f"{source.name} is a head without its backbone: connect the model on which it was "
            "fitted (its CLIP vision model)."
        )
    description = facts.describe()
    if not _is_backbone(backbone, description):
        raise ValueError(
            f"{source.name} was fitted on another backbone than the one connected (its hash "
            "differs): connect that one."
        )
    state = source.checkpoint.state
    weight, bias = (state.get(f"{HEAD}.{part}") for part in ("weight", "bias"))
    if weight is None:
        raise ValueError(f"{source.name} holds no {HEAD}.weight: save the classifier again.")
    return ImageClassifier(
        backbone,
        weight.read(f"{HEAD}.weight"),
        None if bias is None else bias.read(f"{HEAD}.bias"),
        description,
        (*source.notes, *_unused_threshold(facts, source.threshold)),
    )
