"""The last linear layer of a network, and the rest of it, which makes that layer's input."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor, nn

from ..checks import first_line, quoted
from .networks import UNBUILDABLE, last_linear


class Backbone(nn.Module):
    """A network whose last linear layer was taken out: pictures in, features out.

    head_name: where in the network the layer was; its weights are saved under that name.
    """

    def __init__(self, network: nn.Module, head_name: str) -> None:
        super().__init__()
        self.network = network
        self.head_name = head_name

    def forward(self, pictures: Tensor) -> Tensor:
        """Features `[B, D]` of normalised pictures `[B, 3, H, W]`."""
        return _logits(self.network(pictures))

    def weights_with_head(self, weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        """The weights of the whole network, with this head, by the network's own names."""
        head = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        named = {f"{self.head_name}.{part}": value for part, value in head.items()}
        return {**self.network.state_dict(), **named}


def class_layer(two: nn.Module, three: nn.Module) -> str:
    """The name of the linear layer that makes the classes.

    two, three: the same network built for two and for three classes; whatever differs in its
    shape depends on them. Raises ValueError if that is not exactly one linear layer.
    """
    shapes = {key: value.shape for key, value in two.state_dict().items()}
    differ = [key for key, value in three.state_dict().items() if shapes.get(key) != value.shape]
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in differ))
    linear = [name for name in layers if isinstance(two.get_submodule(name), nn.Linear)]
    if not linear:
        _refuse_without_linear(two)
    if len(layers) > 1:
        raise ValueError(
            f"The network has several layers for its classes ({', '.join(layers[:4])}): only "
            "networks that end in one linear layer can be edited."
        )
    return layers[0]


def split_head(
    network: nn.Module, example: Tensor, name: str = ""
) -> tuple[Backbone, Tensor, Tensor | None]:
    """Take the last linear layer out of a network: (backbone, weight `[C, D]`, bias `[C]`).

    The network itself becomes the backbone's, and is not to be used any more. `example`,
    `[1, 3, H, W]`, runs through it once, to prove that this layer makes the logits: those of
    `torch.nn.functional.linear(backbone(x), weight, bias)` are bit-equal to the network's.
    name: where that layer is; empty = the last linear layer that the network has.

    Raises ValueError for heads that cannot be edited: none, a convolution, one that shares its
    weights with another layer, a quantised one, one followed by more steps.
    """
    network.eval().requires_grad_(False)
    name = name or last_linear(network)
    if not name:
        _refuse_without_linear(network)
    head = network.get_submodule(name)
    weight, bias = head.get_parameter("weight"), head.bias
    if weight.ndim != 2 or not weight.is_floating_point():
        raise ValueError(
            f"The last layer {quoted(name)} is quantised ({weight.dtype}): single weights cannot "
            "be edited. Load the full-precision weights."
        )
    _refuse_tied(network, name, weight)
    _prove_head(network, name, example)
    _replace(network, name, nn.Identity())
    own_bias = bias.detach().clone() if isinstance(bias, Tensor) else None
    return Backbone(network, name), weight.detach().clone(), own_bias


def install_head(network: nn.Module, name: str, weight: Tensor, bias: Tensor | None) -> None:
    """Give a network a last linear layer with these weights, of any number of classes."""
    classes, features = weight.shape
    layer = nn.Linear(features, classes, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    _replace(network, name, layer)


def _logits(result: object) -> Tensor:
    """The tensor in what a network returns; transformers' networks wrap theirs."""
    logits = result if isinstance(result, Tensor) else getattr(result, "logits", None)
    if not isinstance(logits, Tensor):
        raise ValueError(
            f"The network returns {type(result).__name__} instead of one tensor of logits: it "
            "is no image classifier."
        )
    return logits


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, layer)


def _prove_head(network: nn.Module, name: str, example: Tensor) -> None:
    calls: list[tuple[Tensor, Tensor]] = []

    def remember(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append((inputs[0], output))

    handle = network.get_submodule(name).register_forward_hook(remember)
    try:
        with torch.no_grad():
            result = network(example)
    except UNBUILDABLE as error:
        height, width = example.shape[-2:]
        raise ValueError(
            f"The network cannot read pictures of {width} x {height} ({first_line(error)}): give "
            "the resize and crop that it was trained with, in the JSON file beside it."
        ) from None
    finally:
        handle.remove()
    logits = _logits(result)
    if len(calls) != 1 or not torch.equal(calls[0][1], logits):
        raise ValueError(
            f"The last linear layer {quoted(name)} does not make the logits by itself (the network "
            "ends in a convolution or does more after it): it cannot be edited here."
        )
    if calls[0][0].ndim != 2:
        raise ValueError(
            f"The last layer {quoted(name)} works on {list(calls[0][0].shape)} instead of one row "
            "of features per picture: it cannot be edited here."
        )


def _refuse_without_linear(network: nn.Module) -> NoReturn:
    kinds = {type(layer).__name__ for layer in network.modules()}
    packed = [kind for kind in kinds if "linear" in kind.lower()]
    if packed:
        raise ValueError(
            f"The network's linear layers are of the kind {packed[0]} (quantised or packed): "
            "single weights cannot be edited. Load the full-precision weights."
        )
    raise ValueError(
        "The network has no linear layer for its classes, its head is a convolution (like "
        "SqueezeNet's): only networks that end in a linear layer can be edited."
    )


def _refuse_tied(network: nn.Module, name: str, weight: Tensor) -> None:
    place = weight.untyped_storage().data_ptr()
    for other, value in network.named_parameters(remove_duplicate=False):
        same = value.untyped_storage().data_ptr() == place and value.numel() > 0
        if same and other not in (f"{name}.weight", f"{name}.bias"):
            raise ValueError(
                f"The last layer {quoted(name)} shares its weights with {quoted(other)}: an edit "
                "would change both. Such networks cannot be edited."
            )
