"""Every listed architecture: random weights saved, loaded, recognised, logits bit-equal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from detour.classifier import networks
from detour.classifier.facts import Description
from detour.classifier.heads import split_head
from detour.classifier.load import load_classifier
from detour.classifier.model import ImageClassifier
from detour.classifier.networks import SmallCNN
from detour.classifier.preprocess import Preprocessing
from detour.classifier.save import save_classifier

Randomise = Callable[[nn.Module], nn.Module]
Make = Callable[..., Tensor]

TORCHVISION = [
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "wide_resnet50_2",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
]
TIMM = {
    "resnet18": "torchvision:resnet18",
    "densenet121": "torchvision:densenet121",
    "mobilenetv2_100": "timm:mobilenetv2_100",
    "mobilenetv3_small_100": "timm:mobilenetv3_small_100",
    "mobilenetv3_large_100": "timm:mobilenetv3_large_100",
    "efficientnet_b0": "timm:efficientnet_b0",
    "convnext_tiny": "timm:convnext_tiny",
    "vit_base_patch16_224": "timm:vit_base_patch16_224",
    "swin_tiny_patch4_window7_224": "timm:swin_tiny_patch4_window7_224",
}
USUAL = {
    *("resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "swin_t"),
    *("mobilenetv3_small_100", "densenet121"),
}
FIXED = {"vit_b_16": 224, "vit_base_patch16_224": 224, "swin_tiny_patch4_window7_224": 224}


def without_drawing(build: Callable[..., nn.Module], name: str, classes: int) -> nn.Module:
    """A network on memory without content: no time goes into weights that are replaced."""
    with torch.device("meta"):
        network = build(name, num_classes=classes)
    return network.to_empty(device="cpu")


def small_input(folder: Path, file: str, side: int) -> None:
    text = json.dumps({"mean": [0.5, 0.4, 0.3], "std": [0.2] * 3, "input_size": side})
    (folder / file).with_suffix(".json").write_text(text)


@torch.no_grad()
def same_logits(network: nn.Module, classifier, images: Tensor) -> bool:
    theirs = network(classifier.preprocessing(images))
    split = classifier.head(classifier.features(images))
    ours = classifier.logits(images)
    sane = bool(torch.isfinite(theirs).all() and theirs.std() > 0)
    return sane and torch.equal(ours, theirs) and torch.equal(split, theirs)


def usual_first(names: Iterable[str], usual: set[str]) -> list:
    """The names, those of large networks for `dev.py test --long` only."""
    return [pytest.param(name, marks=() if name in usual else pytest.mark.long) for name in names]


@pytest.mark.parametrize("name", usual_first(TORCHVISION, USUAL))
def test_torchvision(name: str, scratch: Path, randomise: Randomise, pictures: Make) -> None:
    build = torchvision.models.get_model
    # Swin's buffers hold content that its constructor computes.
    network = build(name, num_classes=5) if name == "swin_t" else without_drawing(build, name, 5)
    randomise(network)
    found = networks.recognise(network.state_dict())
    assert found is not None and found.full_name == f"torchvision:{name}"
    images, side = pictures(1 if name in FIXED else 2, 50, 60), FIXED.get(name, 64)
    steps = Preprocessing((side, side), None)
    with torch.no_grad():
        theirs = network(steps(images))
    backbone, weight, bias = split_head(network, torch.rand(1, 3, side, side))
    description = Description(tuple("abcde"), found.full_name, steps, "sigmoid", 0.25)
    classifier = ImageClassifier(backbone, weight, bias, description)
    assert torch.equal(classifier.logits(images), theirs) and theirs.std() > 0
    save_classifier(scratch / "b.safetensors", classifier)
    again = load_classifier(scratch / "b.safetensors")
    assert again.description == description
    assert torch.equal(again.logits(images), theirs)
    assert again.backbone_hash() == classifier.backbone_hash()


@pytest.mark.parametrize("name", usual_first(TIMM, USUAL - {"densenet121"}))
def test_timm(name: str, scratch: Path, randomise: Randomise, pictures: Make) -> None:
    build = timm.create_model
    network = build(name, num_classes=4) if "swin" in name else without_drawing(build, name, 4)
    randomise(network)
    torch.save({"state_dict": network.state_dict(), "arch": TIMM[name]}, scratch / "a.pth")
    small_input(scratch, "a", FIXED.get(name, 64))
    classifier = load_classifier(scratch / "a.pth")
    assert classifier.description.architecture == TIMM[name]
    assert classifier.labels == tuple(f"class {number}" for number in range(4))
    notes = " ".join(classifier.notes)
    assert "no labels" in notes and "how pictures are prepared" not in notes
    assert ("tf_ networks" in notes) == TIMM[name].startswith("timm:")
    assert same_logits(network, classifier, pictures(1, 50, 60))


def test_wide_resnet101_is_told_from_its_relatives() -> None:
    for name in ("wide_resnet101_2", "resnet101", "wide_resnet50_2", "resnet50"):
        with torch.device("meta"):
            state = torchvision.models.get_model(name, num_classes=7).state_dict()
        found = networks.recognise(state)
        assert found is not None and found.name == name


def test_a_vision_transformer_of_timm_is_recognised() -> None:
    """What `dev.py test --long` does more: its logits."""
    with torch.device("meta"):
        state = timm.create_model("vit_base_patch16_224", num_classes=4).state_dict()
    found = networks.recognise(state)
    assert found is not None and found.full_name == TIMM["vit_base_patch16_224"]


@pytest.mark.parametrize("name", ["resnet152", "resnext50_32x4d", "vit_b_32", "squeezenet1_1"])
def test_relatives_are_not_taken_for_a_listed_one(name: str) -> None:
    with torch.device("meta"):
        assert networks.recognise(torchvision.models.get_model(name).state_dict()) is None


def test_small_cnn(tmp_path: Path, randomise: Randomise, pictures: Make) -> None:
    network = randomise(SmallCNN(2))
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    classifier = load_classifier(tmp_path / "a.safetensors")
    assert classifier.description.architecture == "detour:small_cnn"
    assert classifier.preprocessing.input_size == (16, 16)
    assert classifier.feature_count == 128
    assert bool((classifier.features(pictures()) >= 0).all())
    assert same_logits(network, classifier, pictures())
    with pytest.raises(ValueError, match="resize them to 16 x 16"):
        network(torch.zeros(1, 3, 20, 20))


def test_unknown_networks_are_asked_for_by_name(
    tmp_path: Path, randomise: Randomise, pictures: Make
) -> None:
    network = randomise(torchvision.models.shufflenet_v2_x0_5(num_classes=3))
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors is not recognised .*Name it"):
        load_classifier(tmp_path / "a.safetensors")
    for name in ("shufflenet_v2_x0_5", "torchvision:shufflenet_v2_x0_5"):
        classifier = load_classifier(tmp_path / "a.safetensors", architecture=name)
        assert classifier.description.architecture == "torchvision:shufflenet_v2_x0_5"
        assert classifier.preprocessing.crop == 224
    assert same_logits(network, classifier, pictures(1, 50, 60))


@pytest.mark.parametrize(
    "name",
    [
        "resnet5000",
        "hf_hub:timm/resnet18.a1_in1k",
        "local-dir:/tmp",
        "timm:",
        "os:system",
        "torchvision:mobilenet_v9",
    ],
)
def test_names_that_nobody_knows(tmp_path: Path, name: str) -> None:
    save_file(SmallCNN(2).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="is unknown"):
        load_classifier(tmp_path / "a.safetensors", architecture=name)


@pytest.mark.parametrize("name", ["googlenet", "torchvision:inception_v3"])
def test_networks_that_may_normalise_twice(tmp_path: Path, name: str) -> None:
    save_file(SmallCNN(2).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="does not show in its weights"):
        load_classifier(tmp_path / "a.safetensors", architecture=name)


def test_the_wrong_architecture(tmp_path: Path) -> None:
    save_file(SmallCNN(2).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"does not fit torchvision:resnet18: .* is missing"):
        load_classifier(tmp_path / "a.safetensors", architecture="resnet18")
    state = SmallCNN(2).state_dict()
    state["features.0.weight"] = torch.zeros(16, 1, 3, 3)
    save_file(state, tmp_path / "grey.safetensors")
    with pytest.raises(ValueError, match=r"near to detour:small_cnn"):
        load_classifier(tmp_path / "grey.safetensors")
    with pytest.raises(ValueError, match=r"is \[16, 1, 3, 3\] instead of \[16, 3, 3, 3\]"):
        load_classifier(tmp_path / "grey.safetensors", architecture="small_cnn")
    state = SmallCNN(2).state_dict() | {"head.weight": torch.zeros(2, 99)}
    save_file(state, tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match=r"head.weight is \[2, 99\], not \[\*, 128\]"):
        load_classifier(tmp_path / "head.safetensors")


def test_timm_that_is_missing_is_named(tmp_path: Path, monkeypatch) -> None:
    with torch.device("meta"):
        network = timm.create_model("mobilenetv3_small_100", num_classes=2)
    state = {key: torch.zeros(value.shape) for key, value in network.state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    monkeypatch.setattr(networks, "timm_is_there", lambda: False)
    with pytest.raises(ValueError, match="pip install timm"):
        load_classifier(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="timm is not installed: pip install timm adds"):
        load_classifier(tmp_path / "a.safetensors", architecture="mobilenetv2_100")


def test_names_of_older_torchvision_files(tmp_path: Path) -> None:
    keys = {
        "features.denseblock1.denselayer1.norm.1.weight": (
            "features.denseblock1.denselayer1.norm1.weight"
        ),
        "features.denseblock4.denselayer16.conv.2.weight": (
            "features.denseblock4.denselayer16.conv2.weight"
        ),
        "encoder.layers.encoder_layer_0.mlp.linear_1.bias": (
            "encoder.layers.encoder_layer_0.mlp.0.bias"
        ),
        "encoder.layers.encoder_layer_0.mlp.linear_2.weight": (
            "encoder.layers.encoder_layer_0.mlp.3.weight"
        ),
    }
    one = torch.zeros(1)
    assert list(networks.rename_old_keys(dict.fromkeys(keys, one))) == list(keys.values())


@pytest.mark.parametrize("replaced", ["fc", "classifier"])
def test_a_head_that_retraining_moved(
    tmp_path: Path, randomise: Randomise, pictures: Make, replaced: str
) -> None:
    if replaced == "fc":
        network = torchvision.models.resnet18()
        network.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(512, 3))  # pyright: ignore
    else:
        network = torchvision.models.mobilenet_v2()
        network.classifier = nn.Linear(1280, 3)  # pyright: ignore
    randomise(network)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    small_input(tmp_path, "a", 64)
    classifier = load_classifier(tmp_path / "a.pth")
    assert classifier.description.architecture.startswith("torchvision:")
    assert same_logits(network, classifier, pictures(2, 50, 60))
    save_classifier(tmp_path / "b.safetensors", classifier)
    assert torch.equal(
        load_classifier(tmp_path / "b.safetensors").logits(pictures()),
        classifier.logits(pictures()),
    )


def test_a_head_without_bias(tmp_path: Path, randomise: Randomise, pictures: Make) -> None:
    state = randomise(SmallCNN(3)).state_dict()
    del state["head.bias"]
    save_file(state, tmp_path / "a.safetensors")
    classifier = load_classifier(tmp_path / "a.safetensors")
    assert classifier.bias is None
    edited = classifier.with_head(classifier.weight, torch.ones(3))
    save_classifier(tmp_path / "b.safetensors", edited)
    again = load_classifier(tmp_path / "b.safetensors")
    assert torch.equal(again.logits(pictures()), edited.logits(pictures()))
    assert torch.allclose(again.logits(pictures()), classifier.logits(pictures()) + 1)


def test_counters_of_batches_may_be_missing(tmp_path: Path, randomise: Randomise) -> None:
    network = randomise(torchvision.models.resnet18(num_classes=3))
    state = network.state_dict()
    few = {key: value for key, value in state.items() if "num_batches" not in key}
    save_file(few, tmp_path / "a.safetensors")
    assert load_classifier(tmp_path / "a.safetensors").description.architecture.endswith("resnet18")


def test_a_network_that_measures_itself_with_a_picture_while_it_is_built(
    tmp_path: Path, randomise: Randomise, pictures: Make
) -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model("vit_tiny_r_s16_p8_224", num_classes=3).eval()
    randomise(network)
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    small_input(tmp_path, "net.safetensors", 224)
    classifier = load_classifier(
        tmp_path / "net.safetensors", architecture="timm:vit_tiny_r_s16_p8_224"
    )
    assert same_logits(network, classifier, pictures(1, 50, 60))
