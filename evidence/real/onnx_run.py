"""Runs an ONNX graph in PyTorch, operation by operation: those that the two networks here need.

Source: the operators' definitions, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .onnx_file import DTYPES, Graph, Node

Settings = dict[str, Any]


class GraphModule(nn.Module):
    """A graph up to the value `wanted`, as a module; its weights are parameters without gradient.

    Raises ValueError where an operation is needed that is not known here.
    """

    def __init__(self, graph: Graph, wanted: str) -> None:
        super().__init__()
        self.nodes, needed = _needed(graph, wanted)
        unknown = sorted({node.operator for node in self.nodes} - OPERATORS.keys() - {"Constant"})
        if unknown:
            raise ValueError(f"The graph needs {', '.join(unknown)}, which is not known here.")
        (self.entry,) = graph.inputs
        self.wanted = wanted
        self.names = {name: f"w{k}" for k, name in enumerate(sorted(needed & graph.weights.keys()))}
        for name, own in self.names.items():
            self.register_buffer(own, graph.weights[name])
        self.last_use = {name: k for k, node in enumerate(self.nodes) for name in node.inputs}

    def forward(self, pictures: Tensor) -> Tensor:
        """The wanted value for a batch of pictures."""
        values: dict[str, Tensor | None] = {"": None, self.entry: pictures}
        values |= {name: getattr(self, own) for name, own in self.names.items()}
        for k, node in enumerate(self.nodes):
            if node.operator == "Constant":
                values[node.outputs[0]] = node.settings["value"]
                continue
            given = [values[name] for name in node.inputs]
            values[node.outputs[0]] = OPERATORS[node.operator](*given, **node.settings)
            for name in set(node.inputs):  # what nobody reads any more need not be kept
                if self.last_use[name] == k and name not in self.names and name:
                    del values[name]
        found = values[self.wanted]
        assert found is not None
        return found


def _needed(graph: Graph, wanted: str) -> tuple[list[Node], set[str]]:
    """The nodes that the value depends on, in their order, and all names that they read."""
    needed, kept = {wanted}, []
    for node in reversed(graph.nodes):
        if needed & set(node.outputs):
            kept.append(node)
            needed |= set(node.inputs)
    return kept[::-1], needed


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, **settings: Any) -> Tensor:
    top, left, bottom, right = settings["pads"]
    x = functional.pad(x, (left, right, top, bottom))
    where = (settings["strides"], 0, settings["dilations"], settings["group"])
    return functional.conv2d(x, weight, bias, *where)


def _pad(x: Tensor, pads: Tensor, value: Tensor | None = None, mode: str = "constant") -> Tensor:
    """ONNX names what comes in front of every axis, then what comes behind; torch the pairs, of
    the last axis first. An edge is repeated in height and width alone."""
    count, amounts = x.ndim, pads.tolist()
    pairs = [(amounts[axis], amounts[axis + count]) for axis in reversed(range(count))]
    flat = [n for pair in pairs for n in pair]
    if mode == "constant":
        return functional.pad(x, flat, value=float(value or 0))
    if mode != "edge" or any(flat[4:]):
        raise ValueError(f"Padding of the kind {mode!r} by {amounts} is not known here.")
    return functional.pad(x, flat[:4], mode="replicate")


def _slice(
    x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    count = len(starts)
    on = list(range(count)) if axes is None else axes.tolist()
    by = [1] * count if steps is None else steps.tolist()
    for axis, start, end, step in zip(on, starts.tolist(), ends.tolist(), by, strict=True):
        x = x.index_select(axis, torch.tensor(range(x.shape[axis])[start:end:step]))
    return x


def _gather(x: Tensor, index: Tensor, axis: int = 0) -> Tensor:
    wrapped = torch.where(index < 0, index + x.shape[axis], index)
    found = x.index_select(axis, wrapped.reshape(-1))
    return found.reshape((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


def _unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(axes.reshape(-1).tolist()):
        x = x.unsqueeze(axis)
    return x


def _reshape(x: Tensor, shape: Tensor, **_: int) -> Tensor:
    kept = [x.shape[axis] if n == 0 else n for axis, n in enumerate(shape.tolist())]
    return x.reshape(kept)


def _resize(x: Tensor, _roi: None, scales: Tensor | None, sizes: Tensor, **told: Any) -> Tensor:
    if told["mode"] != "cubic" or told["coordinate_transformation_mode"] != "half_pixel":
        raise ValueError(f"Resizing with {told} is not known here.")
    return functional.interpolate(x, size=sizes.tolist()[2:], mode="bicubic", align_corners=False)


def _divide(x: Tensor, y: Tensor) -> Tensor:
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def _pool(x: Tensor, **settings: Any) -> Tensor:
    if any(settings["pads"]) or settings["ceil_mode"]:
        raise ValueError("Padding in a pooling is not known here.")
    return functional.max_pool2d(x, settings["kernel_shape"], settings["strides"])


def _fill(shape: Tensor, value: Tensor) -> Tensor:
    return value.reshape(()).expand(shape.tolist()).clone()


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "Cast": lambda x, to: x.to(DTYPES[to]),
    "Concat": lambda *x, axis: torch.cat(x, axis),
    "ConstantOfShape": _fill,
    "Conv": _conv,
    "Div": _divide,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Expand": lambda x, shape: x * torch.ones(shape.tolist(), dtype=x.dtype),
    "Gather": _gather,
    "Identity": lambda x: x,
    "MatMul": torch.matmul,
    "MaxPool": _pool,
    "Mul": torch.mul,
    "Pad": _pad,
    "Pow": torch.pow,
    "ReduceMean": lambda x, axes, keepdims=1: x.mean(axes, keepdim=bool(keepdims)),
    "Relu": torch.relu,
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": lambda x: torch.tensor(x.shape),
    "Slice": _slice,
    "Softmax": lambda x, axis: x.softmax(axis),
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Transpose": lambda x, perm: x.permute(perm),
    "Unsqueeze": _unsqueeze,
    "Where": torch.where,
}
