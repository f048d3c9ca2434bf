"""Which network a set of weights belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from ..user_input import quoted
from .libraries import LIBRARIES, Architecture, build_empty, is_known, timm_is_there

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


def rename_old_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names that torchvision's networks have today."""
    renamed = {}
    for key, value in state.items():
        for pattern, new in _RENAMED:
            key = pattern.sub(new, key)
        renamed[key] = value
    return renamed


def recognise(state: Mapping[str, Tensor]) -> Architecture | None:
    """The architecture in the table whose every weight has the name and shape found here.

    The last linear layer may have any number of classes. None if there is no such one, or if
    timm would have to build it and is not installed.
    """
    for architecture in candidates(state):
        if architecture.library == "timm" and not timm_is_there():
            continue
        network = build_empty(architecture, 2)
        head = last_linear(network)
        if not differences(network, plain_head(state, head), head):
            return architecture
    return None


def candidates(state: Mapping[str, Tensor]) -> tuple[Architecture, ...]:
    """The architectures whose telling weight is there; most often one."""
    return tuple(
        architecture
        for architecture in ARCHITECTURES
        if architecture.key in state and tuple(state[architecture.key].shape) == architecture.shape
    )


def by_name(name: str, state: Mapping[str, Tensor]) -> Architecture:
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
    hint = "" if timm_is_there() else " timm is not installed: pip install timm adds its names."
    raise ValueError(
        f"The architecture {quoted(name)} is unknown: write a name of torchvision or timm, such as "
        f"resnet50, torchvision:vit_b_16 or timm:convnext_tiny.{hint}"
    )


def plain_head(state: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
    """The weights with the last layer's under the name `head`, if retraining moved it.

    `fc = Sequential(Dropout(), Linear(...))` makes `fc.1.weight` of `fc.weight`, and
    `classifier = Linear(...)` makes `classifier.weight` of `classifier.1.weight`.
    """
    if f"{head}.weight" in state:
        return dict(state)
    parent = re.sub(r"\.\d+$", "", head)
    pattern = re.compile(rf"{re.escape(parent)}(\.\d+)?\.weight")
    moved = [key for key in state if pattern.fullmatch(key) and state[key].ndim == 2]
    if len(moved) != 1:
        return dict(state)
    old = moved[0].removesuffix(".weight")
    names = {f"{old}.{part}": f"{head}.{part}" for part in ("weight", "bias")}
    return {names.get(key, key): value for key, value in state.items()}


def last_linear(network: nn.Module) -> str:
    """The name of the last `nn.Linear` that can be a head; empty if there is none."""
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    return names[-1] if names else ""


def differences(network: nn.Module, state: Mapping[str, Tensor], head: str) -> list[str]:
    """What keeps weights from fitting a network, as short phrases; the head is left out."""

    def shapes(values: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        return {
            key: tuple(value.shape)
            for key, value in values.items()
            if not key.endswith("num_batches_tracked")
            and key not in (f"{head}.weight", f"{head}.bias")
        }

    wanted, found = shapes(network.state_dict()), shapes(state)
    phrases = [f"{key} is missing" for key in wanted if key not in found]
    phrases += [f"{key} is not part of it" for key in found if key not in wanted]
    phrases += [
        f"{key} is {list(found[key])} instead of {list(wanted[key])}"
        for key in wanted
        if key in found and found[key] != wanted[key]
    ]
    return phrases
