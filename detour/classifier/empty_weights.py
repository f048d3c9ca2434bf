"""Networks built without memory for their weights, within bounds that their file sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from .weights import Shaped

LARGEST_CONSTANT, MOST_CONSTANTS = 2**26, 2**29
"""Numbers in one table that a constructor computes, such as the places of attention windows, and
in all of them together, each step on the way counted."""
_WEIGHTS = (torch.empty, torch.rand, torch.randn)
_FACTORIES = (torch.zeros, torch.ones, torch.full, torch.arange, torch.linspace, torch.eye)
_SPARE = 1000
_ROOM = 3


class TooLarge(ValueError):
    """The network that is being built has far more weights than the file, or huge constants."""


def build_empty(build: Callable[[], nn.Module], state: Mapping[str, Shaped]) -> nn.Module:
    """The network that `build` makes, without memory for its weights.

    state: the weights that are meant for it. Raises TooLarge if it has far more of them.
    """
    with EmptyWeights(state):
        return build()


def fill_constants(network: nn.Module, build: Callable[[], nn.Module]) -> None:
    """Give an empty network the constants which are not among its weights.

    Most are there already. For the others the network is built again with all its memory: call
    this when the weights are known to be its own, and before they are read.
    """
    missing = [name for name in _constants(network) if network.get_buffer(name).is_meta]
    if not missing:
        return
    whole = build()
    for name in missing:
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, whole.get_buffer(name))


def fill_weights(network: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put tensors where the network's weights of these names are, as they are.

    Counters of batches that are not among them become 0: nothing in evaluation reads them.
    """
    for name, old in network.state_dict().items():
        parent, _, last = name.rpartition(".")
        module = network.get_submodule(parent)
        if last in module._parameters:
            value = values[name].to(old.dtype)
            module.register_parameter(last, nn.Parameter(value, requires_grad=False))
        elif name in values:
            module.register_buffer(last, values[name].to(old.dtype))
        else:
            module.register_buffer(last, torch.zeros((), dtype=torch.int64))


def _constants(network: nn.Module) -> list[str]:
    """The names of the buffers that are not saved."""
    saved = network.state_dict().keys()
    return [name for name, _ in network.named_buffers() if name not in saved]


class EmptyWeights(TorchFunctionMode):
    """While it is entered, this thread's new weights take no memory: they are on `meta`.

    Weights are what begins as `torch.empty`, `rand` or `randn`. All else that constructors
    compute, such as widths and tables of places, is real, so that a network is whole as soon as
    every weight is exchanged. Hence `torch.device("meta")` would not do.

    state: the weights that the network is meant for. TooLarge is raised as soon as it has
    several times as many, or constants that no network has.
    """

    def __init__(self, state: Mapping[str, Shaped]) -> None:
        super().__init__()
        self.weights = _ROOM * len(state) + _SPARE
        self.constants = MOST_CONSTANTS

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one of torch's functions as the class says."""
        del types
        named = dict(kwargs or {})
        if func in _WEIGHTS and named.get("device") is None:
            self.weights -= 1
            if self.weights < 0:
                raise TooLarge("it has several times as many weights as the file")
            return func(*args, **{**named, "device": "meta"})
        self._check_constant(func, args, named)
        if _mixes((args, named)):  # a picture sent through empty layers: for its shape alone
            args, named = tree_map(_without_memory, (args, named))
        return func(*args, **named)

    def _check_constant(
        self, func: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]
    ) -> None:
        """Try a function without memory first, to see how large its result will be."""
        if func.__name__ == "__get__" or not (func in _FACTORIES or _reads_memory(args)):
            return
        dry: Any = None
        with suppress(RuntimeError, NotImplementedError, TypeError, ValueError):
            extra = {"device": "meta"} if func in _FACTORIES else {}
            rest = tree_map(_without_memory, dict(named))
            dry = func(*tree_map(_without_memory, args), **{**rest, **extra})
        if not isinstance(dry, Tensor):
            return
        self.constants -= dry.numel()
        if dry.numel() > LARGEST_CONSTANT or self.constants < 0:
            raise TooLarge(f"it computes a table of {dry.numel():,} numbers")


def _reads_memory(args: tuple[Any, ...]) -> bool:
    values = (part for arg in args for part in (arg if isinstance(arg, (list, tuple)) else (arg,)))
    return any(isinstance(value, Tensor) and not value.is_meta for value in values)


def _mixes(values: Any) -> bool:
    """Whether tensors with and without memory meet."""
    tensors = [value for value in tree_leaves(values) if isinstance(value, Tensor) and value.ndim]
    return len({value.is_meta for value in tensors}) > 1


def _without_memory(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value
