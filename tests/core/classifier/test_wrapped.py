"""What training scripts put around a network comes off; what cannot be told apart is named."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from detour.classifier.fit import fit_names
from detour.classifier.load import load_classifier
from detour.classifier.networks import SmallCNN

Make = Callable[..., Tensor]
State = dict[str, Tensor]


def state(seed: int = 0) -> State:
    torch.manual_seed(seed)
    return SmallCNN(3).state_dict()


def under(prefix: str, weights: State) -> State:
    return {prefix + key: value for key, value in weights.items()}


def loaded(file: Path) -> tuple[State, str]:
    """The weights by their plain names, and the notes."""
    classifier = load_classifier(file)
    assert classifier.description.architecture == "detour:small_cnn"
    return classifier.backbone.weights_with_head(classifier.weight, classifier.bias), " ".join(
        classifier.notes
    )


def same(found: State, wanted: State) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[k], wanted[k]) for k in wanted)


@pytest.mark.parametrize(
    "prefix",
    ["", "net.", "backbone.", "module.model.", "model._orig_mod.", "classifier.0.", "x.y.z."],
)
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_any_prefix_comes_off(tmp_path: Path, prefix: str, ending: str) -> None:
    save = torch.save if ending == "pt" else save_file
    save(under(prefix, state()), tmp_path / f"a.{ending}")
    assert same(loaded(tmp_path / f"a.{ending}")[0], state())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: {"model_state_dict": weights, "optimizer_state_dict": {"state": {}}},
        lambda weights: {"net": weights, "acc": 93.1, "epoch": 7},
        lambda weights: {"my_own_table": weights, "epoch": torch.tensor(4)},
        lambda weights: {"student": weights},
        lambda weights: {"ema": {"module": weights}, "state_dict": state(1)},
        lambda weights: {"state_dict": under("model.", weights), "hyper_parameters": {"lr": 0.1}},
        lambda weights: {"state_dict": weights, "args": argparse.Namespace(lr=0.1, out=None)},
        lambda weights: {"model": weights, "best": np.float64(0.9), "rng": np.arange(3)},
        lambda weights: {"model_dict": weights},
        lambda weights: {"model": {"state_dict": weights}},
        lambda weights: {"state_dict": {"x": torch.ones(1)}, "state_dict_ema": weights},
        lambda weights: {"model_ema": {**weights, "n_averaged": torch.tensor(4)}},
    ],
)
def test_any_table_is_found(tmp_path: Path, wrap: Callable[[State], dict]) -> None:
    torch.save(wrap(state()), tmp_path / "a.pth")
    assert same(loaded(tmp_path / "a.pth")[0], state())


def test_what_training_needs_is_left_out_with_a_note(tmp_path: Path) -> None:
    weights = under("model.", state()) | {
        "criterion.weight": torch.ones(3),
        "model.loss_fn.pos_weight": torch.ones(3),
        "train_metrics.total": torch.tensor(3),
        "n_averaged": torch.tensor(2),
    }
    torch.save({"state_dict": weights}, tmp_path / "a.ckpt")
    found, notes = loaded(tmp_path / "a.ckpt")
    assert same(found, state())
    left = "criterion.weight, model.loss_fn.pos_weight, train_metrics.total"
    assert f"Left out, since the network does not use them: {left}." in notes


def test_averaged_weights_of_two_copies(tmp_path: Path) -> None:
    for other in ("", "model."):
        both = under(other, state(1)) | under("ema_model.module.", state())
        torch.save(both, tmp_path / "a.pt")
        found, notes = loaded(tmp_path / "a.pt")
        assert same(found, state()) and "averaged weights (ema_model.module.) are used" in notes


@pytest.mark.parametrize("nested", [True, False])
def test_two_networks_are_named(tmp_path: Path, nested: bool) -> None:
    both = {"student": state(0), "teacher": state(1)}
    flat = under("student.", both["student"]) | under("teacher.", both["teacher"])
    torch.save(both if nested else flat, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"several networks that fit \(student\., teacher\.\)"):
        load_classifier(tmp_path / "a.pt")


def resnet() -> State:
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=3).state_dict()


class Wrapped(nn.Module):
    """A network as people write it: a backbone without its head, and a head of their own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = torchvision.models.resnet18()
        self.backbone.fc = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(512, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.backbone(pictures))


@pytest.mark.parametrize("nested", [True, False])
def test_a_backbone_with_a_head_of_its_own(tmp_path: Path, pictures: Make, nested: bool) -> None:
    network = Wrapped().eval()
    weights = network.state_dict()
    parts = {"backbone": network.backbone.state_dict(), "head": network.head.state_dict()}
    torch.save({"state_dict": weights, "epoch": 1} if not nested else parts, tmp_path / "a.pth")
    classifier = load_classifier(tmp_path / "a.pth")
    assert classifier.description.architecture == "torchvision:resnet18"
    with torch.no_grad():
        theirs = network(classifier.preprocessing(pictures(1)))
    assert torch.equal(classifier.logits(pictures(1)), theirs)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"head.weight": torch.ones(3, 512)}, "fc.weight and head.weight could each be its last"),
        ({"head.weight": torch.ones(3, 9)}, "head.weight is not part of it"),
        ({"projector.weight": torch.ones(4, 4, 1, 1)}, "projector.weight is not part of it"),
    ],
)
def test_what_else_is_there_is_named(tmp_path: Path, more: State, sentence: str) -> None:
    torch.save(under("backbone.", resnet()) | more, tmp_path / "a.pt")
    for architecture in ("", "resnet18"):
        with pytest.raises(ValueError, match=sentence):
            load_classifier(tmp_path / "a.pt", architecture=architecture)


def test_two_layers_in_the_place_of_the_head(tmp_path: Path) -> None:
    weights = {key: value for key, value in resnet().items() if not key.startswith("fc.")}
    weights |= {"fc.0.weight": torch.ones(64, 512), "fc.2.weight": torch.ones(3, 64)}
    torch.save(weights, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"fc\.2\.weight is not part of it"):
        load_classifier(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["head", "head.1"])
def test_a_bias_for_another_number_of_classes(tmp_path: Path, name: str) -> None:
    """Where retraining moved the layer too; that pictures cannot be read would be no answer."""
    weights = state() | {"head.bias": torch.ones(4)}
    torch.save({k.replace("head.", f"{name}."): v for k, v in weights.items()}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"head\.bias does not have 3 numbers"):
        load_classifier(tmp_path / "a.pt")


def test_constants_of_older_files_are_left_out() -> None:
    wanted = {"a.weight": torch.ones(4, 4), "head.weight": torch.ones(2, 4)}
    more = {"a.attn_mask": torch.ones(3), "AuxLogits.fc.weight": torch.ones(2, 4)}
    fit = fit_names(wanted, "head", 4, {**under("net.", wanted), **under("net.", more)})
    assert not fit.wrong and fit.state.keys() == wanted.keys()


def test_an_image_model_of_an_old_torchvision(tmp_path: Path, pictures: Make) -> None:
    network = torchvision.models.mnasnet0_5(num_classes=3).eval()
    torch.save(network.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    classifier = load_classifier(tmp_path / "a.pth", architecture="mnasnet0_5")
    with torch.no_grad():
        theirs = network(classifier.preprocessing(pictures(1)))
    assert torch.equal(classifier.logits(pictures(1)), theirs)
