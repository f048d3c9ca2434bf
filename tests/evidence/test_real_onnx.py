"""ONNX files are read and run without their packages: against PyTorch, on one written here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

pytest.importorskip("sklearn", reason="scikit-learn comes with dev.py evidence")

from evidence.real.onnx_file import read_graph
from evidence.real.onnx_run import GraphModule


def varint(value: int) -> bytes:
    value, out = value % 2**64, b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a message: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, value: Tensor) -> bytes:
    kind = {torch.float32: 1, torch.int64: 7}[value.dtype]
    shape = b"".join(field(1, size) for size in value.shape)
    raw = value.contiguous().numpy().tobytes()
    return shape + field(2, kind) + field(8, name) + field(9, raw)


def node(
    operator: str, inputs: str, output: str, **settings: int | str | list[int] | Tensor
) -> bytes:
    """A node; its inputs are names with blanks between them."""
    told = field(4, operator) + field(2, output)
    told += b"".join(field(1, name) for name in inputs.split())
    for name, value in settings.items():
        if isinstance(value, Tensor):
            body = field(5, tensor("", value))
        elif isinstance(value, str):
            body = field(4, value)
        elif isinstance(value, int):
            body = field(3, value)
        else:
            body = field(8, b"".join(map(varint, value)))  # packed
        told += field(5, field(1, name) + body)
    return field(1, told)


def model(tmp_path: Path, nodes: list[bytes], weights: dict[str, Tensor]) -> Path:
    graph = b"".join(nodes) + b"".join(field(5, tensor(*each)) for each in weights.items())
    graph += field(11, field(1, "x")) + field(12, field(1, "y"))
    file = tmp_path / "model.onnx"
    file.write_bytes(field(1, 8) + field(7, graph))
    return file


def test_a_network_gives_what_torch_gives(tmp_path):
    draw = torch.Generator().manual_seed(0)
    kernel, table = torch.randn(4, 3, 3, 3, generator=draw), torch.randn(4, 2, generator=draw)
    window = {"pads": [1, 1, 1, 1], "strides": [2, 2], "dilations": [1, 1], "group": 1}
    nodes = [
        node("Constant", "", "shape", value=torch.tensor([0, 4, -1])),
        node("Conv", "x kernel", "c", kernel_shape=[3, 3], **window),
        node("Relu", "c", "r"),
        node("Reshape", "r shape", "flat"),
        node("Transpose", "flat", "turned", perm=[0, 2, 1]),
        node("ReduceMean", "turned", "mean", axes=[-2], keepdims=0),
        node("MatMul", "mean table", "y"),
        node("Unknown", "y", "z"),
    ]
    graph = read_graph(model(tmp_path, nodes, {"kernel": kernel, "table": table}))
    assert graph.inputs == ("x",) and graph.outputs == ("y",)
    x = torch.randn(5, 3, 8, 8, generator=draw)
    mean = functional.conv2d(x, kernel, stride=2, padding=1).relu().flatten(2).mean(2)
    assert torch.allclose(GraphModule(graph, "mean")(x), mean, atol=1e-6)
    assert torch.allclose(GraphModule(graph, "y")(x), mean @ table, atol=1e-6)
    with pytest.raises(ValueError, match="needs Unknown, which is not known"):
        GraphModule(graph, "z")


@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_padding_goes_where_onnx_says(tmp_path, mode):
    pads = torch.tensor([0, 0, 1, 2, 0, 0, 3, 4])  # top 1, left 2, bottom 3, right 4
    nodes = [node("Pad", "x pads", "y", mode=mode)]
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    found = GraphModule(read_graph(model(tmp_path, nodes, {"pads": pads})), "y")(x)
    rows = [min(max(i - 1, 0), 1) for i in range(6)]
    columns = [min(max(j - 2, 0), 2) for j in range(9)]
    expected = x[0, 0][rows][:, columns]
    if mode == "constant":
        expected = torch.zeros(6, 9)
        expected[1:3, 2:5] = x[0, 0]
    assert torch.equal(found[0, 0], expected)


def test_a_file_that_is_none_is_refused(tmp_path):
    file = tmp_path / "no.onnx"
    file.write_bytes(field(1, 8))
    with pytest.raises(ValueError, match=r"no\.onnx holds no ONNX graph"):
        read_graph(file)
