"""Real weights: torchvision's ImageNet MobileNetV2 against torchvision's own use of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights

from detour.classifier.load import load_classifier
from detour.classifier.model import ImageClassifier
from detour.classifier.save import save_classifier


@pytest.fixture(scope="module")
def loaded(mobilenet_file: Path) -> ImageClassifier:
    return load_classifier(mobilenet_file)


@pytest.fixture(scope="module")
def original(mobilenet_file: Path) -> nn.Module:
    network = torchvision.models.mobilenet_v2()
    network.load_state_dict(torch.load(mobilenet_file, weights_only=True))
    return network.eval()


def scene(height: int = 260, width: int = 340) -> Tensor:
    """Something smooth with edges, `[1, H, W, 3]` in 0..1."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    disc = ((x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.06).float()
    return torch.stack([0.7 * disc + 0.2 * x, 0.5 * disc + 0.3 * y, 0.6 - 0.3 * disc], 2)[None]


def test_recognised_and_described(loaded: ImageClassifier) -> None:
    assert loaded.description.architecture == "torchvision:mobilenet_v2"
    assert len(loaded.labels) == 1000 and loaded.labels[478] == "carton"
    assert loaded.description.index_of("Carton") == 478
    assert "how pictures are prepared" in loaded.notes[0]
    assert "taken to be ImageNet's" in loaded.notes[1]
    assert loaded.feature_count == 1280
    steps = loaded.preprocessing
    assert (steps.resize, steps.crop, steps.interpolation) == (256, 224, "bilinear")


@torch.no_grad()
def test_logits_equal_torchvisions(loaded: ImageClassifier, original: nn.Module) -> None:
    images = scene()
    transform = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    theirs = original(transform(images.permute(0, 3, 1, 2)))
    ours = loaded.logits(images)
    assert torch.equal(loaded.head(loaded.features(images)), ours)
    assert torch.equal(original(loaded.preprocessing(images)), ours), "the network itself"
    # (x - mean) / std is written in two ways, which round differently.
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert torch.equal(ours.argmax(1), theirs.argmax(1))


@torch.no_grad()
def test_one_changed_weight_equals_a_real_edit(
    loaded: ImageClassifier, original: nn.Module, tmp_path: Path
) -> None:
    before = loaded.logits(scene())
    weight = loaded.weight.clone()
    weight[478, 430] -= 3.6
    edited = loaded.with_head(weight, loaded.bias)
    real = torchvision.models.mobilenet_v2()
    real.load_state_dict(original.state_dict())
    real.get_submodule("classifier.1").get_parameter("weight")[478, 430] -= 3.6
    expected = real.eval()(loaded.preprocessing(scene()))
    assert torch.equal(edited.logits(scene()), expected)
    changed = (edited.logits(scene()) != before).nonzero()[:, 1].tolist()
    assert changed == [478], "only the edited class moved"
    assert torch.equal(loaded.logits(scene()), before), "the loaded one did not change"
    save_classifier(tmp_path / "edited.safetensors", edited)
    assert torch.equal(load_classifier(tmp_path / "edited.safetensors").logits(scene()), expected)
