"""Classifiers in safetensors files: headers that lie, files that are cut, numbers of every kind."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hostile import TEXTS, changed, damaged, nested, value
from safetensors.torch import save
from torch import Tensor
from watch import ROOT, Case, Make

from detour.classifier.load import load_typed
from detour.classifier.model import predict

OWN = ROOT / "demo" / "classifiers" / "nurse_or_builder.safetensors"
ARCHITECTURES = (
    *("auto", "detour:small_cnn", "resnet18", "torchvision:regnet_y_128gf", "timm:vit_tiny"),
    *("timm:convnext_xxlarge", "transformers:vit", "timm:", ":", "torchvision:os.system"),
)
DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int64, torch.bool)
PICTURES = torch.rand(2, 20, 24, 3, generator=torch.Generator().manual_seed(0))


@contextmanager
def opened(_folder: Path) -> Iterator[Make]:
    """The generator."""
    data = OWN.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    yield lambda draw, place: _case(draw, place, header, data[8 + length :])


def use(path: Path, **typed: Any) -> None:
    """What hosts do with a classifier's file: load it, ask it, and say what came out."""
    classifier = load_typed(path, **typed)
    predict(classifier, classifier.logits(PICTURES), 3, 0.0)


def _case(draw: random.Random, place: Path, header: dict[str, Any], numbers: bytes) -> Case:
    kind = draw.choice(("header", "header", "header", "bytes", "cut", "numbers", "other", "typed"))
    path = place / draw.choice(("a.safetensors", "a.sft", "ä b.safetensors"))
    typed: dict[str, Any] = {}
    good = joined(json.dumps(header).encode(), numbers)
    if kind == "header":
        good = joined(_header(draw, header), numbers)
    elif kind == "bytes":
        good = damaged(draw, good, within=len(json.dumps(header)) + 8)
    elif kind == "cut":
        good = _cut(draw, good)
    elif kind == "numbers":
        good = save(_weights(draw, header, numbers), _strings(header.get("__metadata__", {})))
    elif kind == "other":
        good = _other(draw)
    else:
        typed = _typed(draw)
    path.write_bytes(good)
    if draw.random() < 0.2:
        _beside(draw, path)
    return Case(f"safetensors {kind} {typed or ''}"[:300], lambda: use(path, **typed))


def joined(header: bytes, numbers: bytes) -> bytes:
    """A file with this header."""
    return struct.pack("<Q", len(header)) + header + numbers


def _header(draw: random.Random, header: dict[str, Any]) -> bytes:
    """The header with other claims; in every third one the description of the network too."""
    if draw.random() < 0.05:
        return nested(draw).encode()
    other = dict(header)
    if draw.random() < 0.4:
        other["__metadata__"] = _metadata(draw, header["__metadata__"])
    else:
        other = changed(draw, header)
    return json.dumps(other).encode("utf-8", "surrogatepass")


def _metadata(draw: random.Random, metadata: dict[str, str]) -> Any:
    if draw.random() < 0.2:
        return changed(draw, metadata)
    key = draw.choice([key for key, text in metadata.items() if text.startswith("{")] or ["x"])
    described = changed(draw, json.loads(metadata.get(key, "{}")))
    text = nested(draw) if draw.random() < 0.05 else json.dumps(described)
    return {**metadata, key: text}


def _cut(draw: random.Random, data: bytes) -> bytes:
    how = draw.randrange(4)
    if how == 0:
        return data[: draw.randrange(len(data))]
    if how == 1:
        return data + draw.randbytes(draw.choice((1, 7, 4096)))
    if how == 2:
        return data[: draw.randrange(20)]
    return struct.pack("<Q", draw.choice((0, 1, 2**24, 2**31, 2**63, 2**64 - 1))) + data[8:]


def tensors(header: dict[str, Any], numbers: bytes) -> dict[str, Tensor]:
    """The weights of a float32 file."""
    found = {}
    for key, entry in header.items():
        if key != "__metadata__":
            begin, end = entry["data_offsets"]
            flat = torch.frombuffer(bytearray(numbers[begin:end]), dtype=torch.float32)
            found[key] = flat.reshape(entry["shape"])
    return found


def _weights(draw: random.Random, header: dict[str, Any], numbers: bytes) -> dict[str, Tensor]:
    """The weights with other kinds of numbers, other shapes, other names, too many or too few."""
    state = tensors(header, numbers)
    for _ in range(draw.choice((1, 1, 2, 4))):
        key = draw.choice(list(state) or ["a"])
        one = state.get(key, torch.zeros(1))
        act = draw.randrange(8)
        if act == 0:
            state[key] = one.to(draw.choice(DTYPES))
        elif act == 1:
            state[key] = torch.full_like(
                one.float(), draw.choice((float("nan"), float("inf"), 3e38))
            )
        elif act == 2:
            state[key] = draw.choice(
                (one.flatten(), one.flatten()[:0], one[None], one.T if one.ndim == 2 else one)
            )
        elif act == 3:
            state.pop(key, None)
        elif act == 4:
            state[f"module.{key}"] = state.pop(key, one)
        elif act == 5:
            state[draw.choice(TEXTS)[:200].encode("utf-8", "replace").decode()] = torch.zeros(2, 2)
        elif act == 6:
            state = {name: weight.to(draw.choice(DTYPES)) for name, weight in state.items()}
        else:
            state[key] = torch.zeros(draw.choice(((1,), (1, 128), (3, 128), (0, 128), ())))
    return {name: weight.clone().contiguous() for name, weight in state.items()}


def _strings(metadata: dict[str, Any]) -> dict[str, str]:
    return {str(key): str(text) for key, text in metadata.items()}


def _other(draw: random.Random) -> bytes:
    """What is no such file at all."""
    return draw.choice(
        (b"", bytes(8), bytes(4096), b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"<html>", b"\x80\x02.")
    ) + draw.randbytes(draw.randrange(64))


def _typed(draw: random.Random) -> dict[str, Any]:
    """What people type into the fields."""
    text = draw.choice(TEXTS)
    return draw.choice(
        (
            {"architecture": draw.choice((*ARCHITECTURES, text))},
            {"labels": draw.choice((text, "a, b", "a\nb", "a,a", '["a", 1]', "a," * 5000))},
            {"activation": draw.choice(("softmax", "sigmoid", text))},
            {"threshold": draw.choice((0.5, -1.0, 2.0, float("nan"), 1e308, 5e-324))},
        )
    )


def _beside(draw: random.Random, path: Path) -> None:
    """A JSON file of the same name, which describes the network."""
    good = {
        **{"architecture": "detour:small_cnn", "labels": ["nurse", "builder"]},
        **{"input_size": [3, 16, 16], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9},
        **{"interpolation": "bicubic", "activation": "softmax", "threshold": 0.5},
        **{"pretrained_cfg": {"input_size": [3, 16, 16], "crop_mode": "center"}},
    }
    told = draw.choice((changed(draw, good), value(draw)))
    text = nested(draw) if draw.random() < 0.05 else json.dumps(told)
    path.with_suffix(".json").write_bytes(text.encode("utf-8", "surrogatepass"))
