"""The libraries that build networks: torchvision, our own small one, and timm if it is there."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType

import torchvision
from torch import nn

from ..user_input import quoted
from .empty_weights import TooLarge
from .small_cnn import SIDE, SmallCNN
from .timm_config import options, timm_steps

LIBRARIES = ("detour", "torchvision", "timm")
_UNBUILDABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
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
    except _UNBUILDABLE as error:
        if not told or isinstance(error, TooLarge):
            raise
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(
            f"timm {timm.__version__} cannot build {architecture.name} with the model_args of "
            f"its file: {quoted(told, 160)} ({first_line[:160]})."
        ) from None


def timm_is_there() -> bool:
    """Whether timm can be imported, without importing it."""
    return importlib.util.find_spec("timm") is not None


def require_timm() -> ModuleType:
    """The timm package. Raises ValueError that names it if it is not installed."""
    if not timm_is_there():
        raise ValueError(
            "This classifier is built by timm, which is not installed: run pip install timm in "
            "the host's Python, then restart."
        )
    return importlib.import_module("timm")


def _timm_knows(name: str) -> bool:
    return bool(name) and require_timm().is_model(name)
