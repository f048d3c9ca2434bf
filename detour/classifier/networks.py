"""Which network a set of weights belongs to, and the libraries that build it: torchvision, our
own small one for 16 x 16 pictures, and timm if it is there."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import torch
import torchvision
from torch import Tensor, nn

from ..checks import first_line, quoted
from .empty_weights import TooLarge, build_empty
from .fit import AnyShaped, Fit, fit_names, has_ending
from .timm_config import options, timm_steps
from .weights import Shaped

SIDE, FEATURES = 16, 128


class SmallCNN(nn.Module):
    """Three convolutions and a hidden layer of 128 features >= 0, then one linear layer.

    Takes RGB pictures `[B, 3, 16, 16]`, gives logits `[B, classes]`; 0.6 MiB of weights.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * (SIDE // 4) ** 2, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits `[B, classes]` of pictures `[B, 3, 16, 16]`, normalised as in training."""
        if pictures.shape[1:] != torch.Size((3, SIDE, SIDE)):
            raise ValueError(
                f"The small CNN takes pictures [B, 3, {SIDE}, {SIDE}], these are "
                f"{list(pictures.shape)}: resize them to {SIDE} x {SIDE} first."
            )
        return self.head(self.features(pictures))


LIBRARIES = ("detour", "torchvision", "timm")
UNBUILDABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What libraries raise for a network that they cannot build or run."""
AMBIGUOUS = ("googlenet", "inception_v3")
"""Their published weights want pictures normalised twice, which weights do not show."""


@dataclass(frozen=True)
class Architecture:
    """A network that is recognised by the shape of one of its weights.

    library: `torchvision`, `timm` or `detour`; name: as that library calls it.
    key, shape: a weight that tells it from its relatives; the whole is compared afterwards.
    options: what timm is told beside the name, as `timm_config.options_text` writes it.
    """

    library: str
    name: str
    key: str = ""
    shape: tuple[int, ...] = ()
    options: str = ""

    @property
    def full_name(self) -> str:
        """`library:name`, what files carry."""
        return f"{self.library}:{self.name}"


def is_known(architecture: Architecture) -> bool:
    """Whether its library is there and knows the name. Nothing is downloaded."""
    if architecture.library == "detour":
        return architecture.name == "small_cnn"
    if architecture.library == "torchvision":
        names = torchvision.models.list_models(module=torchvision.models)
        return architecture.name in names and architecture.name not in AMBIGUOUS
    return architecture.library == "timm" and timm_is_there() and _timm_knows(architecture.name)


def build(architecture: Architecture, classes: int) -> nn.Module:
    """The network with `classes` outputs and weights of no meaning, in evaluation mode.

    Raises ValueError if timm is needed and missing, or cannot build it with its options.
    """
    if architecture.library == "detour":
        network: nn.Module = SmallCNN(classes)
    elif architecture.library == "torchvision":
        network = torchvision.models.get_model(architecture.name, weights=None, num_classes=classes)
    else:
        network = _build_by_timm(architecture, classes)
    return network.eval()


def default_steps(architecture: Architecture) -> dict[str, object]:
    """The preprocessing that the library's own weights want, by field names."""
    if architecture.library == "detour":
        return {"resize": (SIDE, SIDE), "crop": None, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    if architecture.library == "torchvision":
        weights = torchvision.models.get_model_weights(architecture.name)
        names = weights.__members__
        preset = weights[names.get("IMAGENET1K_V1", names["DEFAULT"]).name].transforms()
        return {
            "resize": preset.resize_size[0],
            "crop": preset.crop_size[0],
            "mean": tuple(preset.mean),
            "std": tuple(preset.std),
            "interpolation": preset.interpolation.value,
        }
    steps, _ = timm_steps(require_timm().get_pretrained_cfg(architecture.name).to_dict())
    return steps


def _build_by_timm(architecture: Architecture, classes: int) -> nn.Module:
    timm, told = require_timm(), options(architecture.options)
    try:
        return timm.create_model(architecture.name, pretrained=False, num_classes=classes, **told)
    except UNBUILDABLE as error:
        if not told or isinstance(error, TooLarge):
            raise
        raise ValueError(
            f"timm {timm.__version__} cannot build {architecture.name} with the model_args of "
            f"its file: {quoted(told, 160)} ({first_line(error)})."
        ) from None


def timm_is_there() -> bool:
    """Whether timm can be imported, without importing it."""
    return importlib.util.find_spec("timm") is not None


def require_timm() -> ModuleType:
    """The timm package. Raises ValueError that names it if it is not installed."""
    return require_library("timm", timm_is_there())


def require_library(name: str, is_there: bool) -> ModuleType:
    """A library that builds networks. Raises ValueError that names it if it is not installed."""
    if not is_there:
        raise ValueError(
            f"This classifier is built by {name}, which is not installed: run pip install {name} "
            "in the host's Python, then restart."
        )
    return importlib.import_module(name)


def _timm_knows(name: str) -> bool:
    timm = require_timm()
    try:
        return bool(name) and timm.is_model(name) and timm.get_pretrained_cfg(name) is not None
    except RuntimeError:  # the name is followed by a tag that is none of its weights
        return False


_RENAMED = (  # names in torchvision's own older files, and of wrappers
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\."), r"\1\2."),
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
    (re.compile(r"^timm_model\."), ""),  # transformers' wrapper of timm's networks
)
ARCHITECTURES = tuple(
    Architecture(library, name, key, shape)
    for library, name, key, shape in (
        ("detour", "small_cnn", "features.7.weight", (128, 1024)),
        ("torchvision", "resnet18", "layer4.1.conv2.weight", (512, 512, 3, 3)),
        ("torchvision", "resnet34", "layer4.2.conv2.weight", (512, 512, 3, 3)),
        ("torchvision", "resnet50", "layer3.5.conv2.weight", (256, 256, 3, 3)),
        ("torchvision", "resnet101", "layer3.22.conv2.weight", (256, 256, 3, 3)),
        ("torchvision", "wide_resnet50_2", "layer3.5.conv2.weight", (512, 512, 3, 3)),
        ("torchvision", "wide_resnet101_2", "layer3.22.conv2.weight", (512, 512, 3, 3)),
        (
            "torchvision",
            "densenet121",
            "features.denseblock4.denselayer16.conv1.weight",
            (128, 992, 1, 1),
        ),
        ("torchvision", "mobilenet_v2", "features.18.0.weight", (1280, 320, 1, 1)),
        ("torchvision", "mobilenet_v3_small", "features.12.0.weight", (576, 96, 1, 1)),
        ("torchvision", "mobilenet_v3_large", "features.16.0.weight", (960, 160, 1, 1)),
        ("torchvision", "efficientnet_b0", "features.8.0.weight", (1280, 320, 1, 1)),
        ("torchvision", "convnext_tiny", "features.5.8.block.0.weight", (384, 1, 7, 7)),
        ("torchvision", "vit_b_16", "conv_proj.weight", (768, 3, 16, 16)),
        ("torchvision", "swin_t", "features.5.5.attn.qkv.weight", (1152, 384)),
        ("timm", "mobilenetv2_100", "conv_head.weight", (1280, 320, 1, 1)),
        ("timm", "mobilenetv3_small_100", "conv_head.weight", (1024, 576, 1, 1)),
        ("timm", "mobilenetv3_large_100", "conv_head.weight", (1280, 960, 1, 1)),
        ("timm", "efficientnet_b0", "conv_head.weight", (1280, 320, 1, 1)),
        ("timm", "convnext_tiny", "stages.2.blocks.8.conv_dw.weight", (384, 1, 7, 7)),
        ("timm", "vit_base_patch16_224", "patch_embed.proj.weight", (768, 3, 16, 16)),
        (
            "timm",
            "swin_tiny_patch4_window7_224",
            "layers.2.blocks.5.attn.qkv.weight",
            (1152, 384),
        ),
    )
)


def rename_old_keys(state: Mapping[str, AnyShaped]) -> dict[str, AnyShaped]:
    """The weights under the names that torchvision's networks have today."""
    renamed = {}
    for key, value in state.items():
        for pattern, new in _RENAMED:
            key = pattern.sub(new, key)
        renamed[key] = value
    return renamed


def recognise(state: Mapping[str, Shaped]) -> Architecture | None:
    """The architecture in the table whose every weight has the name and shape found here.

    Prefixes that wrappers put before all names do not count, and the last linear layer may have
    any number of classes. None if there is no such one, or if timm would have to build it and
    is not installed.
    """
    return next((found for found, wrong in compared(state) if not wrong), None)


def compared(state: Mapping[str, Shaped]) -> Iterator[tuple[Architecture, tuple[str, ...]]]:
    """The candidates that can be built here, each with what keeps the weights from fitting it."""
    for architecture in candidates(state):
        if architecture.library == "timm" and not timm_is_there():
            continue
        network = build_empty(partial(build, architecture, 2), state)
        yield architecture, fit_network(network, last_linear(network), state).wrong


def candidates(state: Mapping[str, Shaped]) -> tuple[Architecture, ...]:
    """The architectures whose telling weight is there; most often one."""
    return tuple(
        architecture
        for architecture in ARCHITECTURES
        if has_ending(state, architecture.key, architecture.shape)
    )


def by_name(name: str, state: Mapping[str, Shaped]) -> Architecture:
    """The architecture that a user or a file names, as `library:name` or `name` alone.

    Of two libraries with that name, the one whose weights these are; else torchvision.
    Raises ValueError for a name that no installed library knows.
    """
    library, _, short = name.strip().rpartition(":")
    for architecture in candidates(state):
        if architecture.name == short and library in ("", architecture.library):
            return architecture
    libraries = (library,) if library else LIBRARIES
    for known in (Architecture(each, short) for each in libraries):
        if is_known(known):
            return known
    if short in AMBIGUOUS and library in ("", "torchvision"):
        raise ValueError(
            f"torchvision's {short} is not read: whether it normalises pictures a second time does "
            "not show in its weights. Take another network, or timm:inception_v3 for Inception."
        )
    hint = "" if timm_is_there() else " timm is not installed: pip install timm adds its names."
    raise ValueError(
        f"The architecture {quoted(name)} is unknown: write a name of torchvision or timm, such as "
        f"resnet50, torchvision:vit_b_16 or timm:convnext_tiny.{hint}"
    )


def last_linear(network: nn.Module) -> str:
    """The name of the last `nn.Linear` that can be a head; empty if there is none."""
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    return names[-1] if names else ""


def fit_network(network: nn.Module, head: str, state: Mapping[str, AnyShaped]) -> Fit[AnyShaped]:
    """How weights lie in a network, which may be without memory; `head` may have any classes."""
    features = network.get_submodule(head).get_parameter("weight").shape[1]
    return fit_names(network.state_dict(), head, features, state)
