"""`ImageClassifier`: chunks, progress, heads of its own on a shared backbone."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from detour.classifier.facts import Description
from detour.classifier.load import load_classifier
from detour.classifier.model import ImageClassifier, hash_backbone
from detour.classifier.preprocess import Preprocessing
from detour.classifier.save import save_classifier

Make = Callable[..., Tensor]
SQUARE = Preprocessing(16, 16)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_chunks_change_nothing(small: ImageClassifier, pictures: Make, chunk: int) -> None:
    images = pictures(7)
    whole = small.features(images, chunk=7)
    # The kernels may add in another order for another batch size: equal up to rounding.
    torch.testing.assert_close(small.features(images, chunk=chunk), whole)
    torch.testing.assert_close(small.logits(images, chunk=chunk), small.head(whole))


def test_shapes_types_and_scores(small: ImageClassifier, pictures: Make) -> None:
    images = pictures(5)
    assert small.features(images).shape == (5, 128)
    logits = small(images)
    assert logits.shape == (5, 3) and logits.dtype == torch.float32
    assert not logits.requires_grad
    assert torch.allclose(small.scores(logits).sum(1), torch.ones(5))
    tagger = ImageClassifier(
        small.backbone,
        small.weight,
        small.bias,
        replace(small.description, activation="sigmoid", threshold=0.9),
    )
    assert torch.equal(tagger.scores(logits), torch.sigmoid(logits))
    present = tagger.scores(logits) > 0.9
    assert torch.equal(present, logits > tagger.description.cutoff)


def test_progress_counts_pictures(small: ImageClassifier, pictures: Make) -> None:
    seen: list[tuple[int, int]] = []
    small.features(pictures(7), chunk=3, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(3, 7), (6, 7), (7, 7)]
    small.logits(pictures(2), chunk=1, progress=lambda done, of: seen.append((done, of)))
    assert seen[3:] == [(1, 2), (2, 2)]


def test_what_progress_raises_stops_the_work(small: ImageClassifier, pictures: Make) -> None:
    images, before = pictures(7), {k: v.clone() for k, v in small.state_dict().items()}
    expected, seen = small.logits(images), []

    def interrupt(done: int, of: int) -> None:
        seen.append(done)
        if done == 4:
            raise KeyError("the host's own exception")

    with pytest.raises(KeyError, match="host's own"):
        small.logits(images, chunk=2, progress=interrupt)
    assert seen == [2, 4]
    after = small.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert torch.equal(small.logits(images), expected)


def test_empty_batch(small: ImageClassifier, pictures: Make) -> None:
    assert small.features(pictures(3)[:0]).shape == (0, 128)
    assert small.logits(pictures(3)[:0]).shape == (0, 3)


def test_bad_pictures_and_chunks(small: ImageClassifier, pictures: Make) -> None:
    broken = pictures(5)
    broken[3, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="holds NaN"):
        small.logits(broken)
    with pytest.raises(ValueError, match="chunk is 0"):
        small.logits(pictures(), chunk=0)
    with pytest.raises(ValueError, match="must be a tensor"):
        small.logits(pictures()[0])


def test_heads_share_the_backbone_and_nothing_else(small: ImageClassifier, pictures: Make) -> None:
    images = pictures()
    before, features = small.logits(images), small.features(images)
    weight, bias = small.weight.clone(), small.bias.clone()  # pyright: ignore
    weight[1] -= 2.0
    edited = small.with_head(weight, bias)
    assert edited.backbone is small.backbone
    assert edited.description is small.description
    expected = edited.logits(images)
    assert not torch.equal(expected, before)
    assert torch.equal(expected[:, [0, 2]], before[:, [0, 2]])
    weight.zero_()
    bias.zero_()
    assert torch.equal(edited.logits(images), expected), "the head is a copy"
    assert torch.equal(small.logits(images), before)
    assert torch.equal(edited.features(images), features)
    undone = edited.with_head(small.weight, small.bias)
    assert torch.equal(undone.logits(images), before)


@pytest.mark.parametrize(
    ("weight", "bias", "sentence"),
    [
        (torch.zeros(3, 127), torch.zeros(3), r"\[3, 127\], this classifier has \[3, 128\]"),
        (torch.zeros(2, 128), torch.zeros(2), "belongs to another"),
        (torch.zeros(3, 128), torch.zeros(2), "a bias"),
        (torch.full((3, 128), float("nan")), None, "weight of the head holds NaN"),
        (torch.zeros(3, 128), torch.full((3,), float("inf")), "bias of the head holds NaN"),
    ],
)
def test_heads_that_do_not_fit(
    small: ImageClassifier, weight: Tensor, bias: Tensor | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        small.with_head(weight, bias)


def test_labels_must_match_the_head(small: ImageClassifier) -> None:
    with pytest.raises(ValueError, match="There are 2 labels, but the classifier has 3 classes"):
        ImageClassifier(small.backbone, small.weight, small.bias, Description(("a", "b")))


def test_a_backbone_that_makes_other_features(small: ImageClassifier, pictures: Make) -> None:
    wrong = ImageClassifier(
        nn.Flatten(), small.weight, small.bias, replace(small.description, architecture="")
    )
    with pytest.raises(ValueError, match="do not belong together"):
        wrong.features(pictures())


def test_it_stays_in_evaluation_mode(pictures: Make) -> None:
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5))
    classifier = ImageClassifier(backbone, torch.rand(2, 12), None, Description(("a", "b")))
    images = pictures()
    assert torch.equal(classifier.train().logits(images), classifier.logits(images))
    assert not backbone.training


def test_half_precision_backbones_give_float32(small: ImageClassifier, pictures: Make) -> None:
    exact = small.logits(pictures())
    small.backbone.to(torch.bfloat16)
    rough = small.logits(pictures())
    assert rough.dtype == torch.float32 and small.weight.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.1 * exact.std() + 0.1


def test_hash_names_weights_and_preprocessing(small: ImageClassifier) -> None:
    first = small.backbone_hash()
    assert len(first) == 64
    assert small.with_head(small.weight + 1, small.bias).backbone_hash() == first
    assert hash_backbone(small.backbone, Preprocessing()) != first
    other = replace(small.description, architecture="timm:pads_otherwise")
    same_weights = ImageClassifier(small.backbone, small.weight, small.bias, other)
    assert same_weights.backbone_hash() != first, "the architecture"
    wide, tall = nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False)
    tall.weight = nn.Parameter(wide.weight.detach().reshape(2, 3))
    assert hash_backbone(wide, SQUARE) != hash_backbone(tall, SQUARE), "the shape counts"
    assert hash_backbone(nn.Sequential(wide), SQUARE) != hash_backbone(wide, SQUARE), "the name"
    small.backbone.network.get_parameter("features.0.weight")[0, 0, 0, 0] += 1e-3
    assert small.backbone_hash() != first


def test_saving_is_whole_or_not_at_all(
    small: ImageClassifier, pictures: Make, tmp_path: Path, monkeypatch
) -> None:
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        save_classifier(tmp_path / "a.pth", small)
    file = save_classifier(tmp_path / "new" / "a.safetensors", small)
    assert [entry.name for entry in file.parent.iterdir()] == ["a.safetensors"]
    content = file.read_bytes()
    again = load_classifier(file)
    assert again.description == small.description and again.notes == ()
    assert torch.equal(again.logits(pictures()), small.logits(pictures()))

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        save_classifier(file, small.with_head(small.weight + 1, small.bias))
    assert [entry.name for entry in file.parent.iterdir()] == ["a.safetensors"]
    assert file.read_bytes() == content


def test_weights_that_share_memory_are_saved(
    small: ImageClassifier, pictures: Make, tmp_path: Path
) -> None:
    layer = small.backbone.network.get_submodule("features.2")
    whole = torch.randn(2, 32)
    layer.bias = nn.Parameter(whole[0])
    small.backbone.network.get_submodule("features.0").bias = nn.Parameter(whole[1, :16])
    file = save_classifier(tmp_path / "a.safetensors", small)
    assert torch.equal(load_classifier(file).logits(pictures()), small.logits(pictures()))


def test_a_head_on_a_hosts_backbone(pictures: Make, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    description = Description(("cat", "dog"), preprocessing=Preprocessing(16, 16))
    fitted = ImageClassifier(backbone, torch.rand(2, 6), torch.rand(2), description)
    file = save_classifier(tmp_path / "head.safetensors", fitted)
    assert file.stat().st_size < 2000, "the backbone is not in it"
    again = load_classifier(file, backbone=backbone)
    assert again.description.backbone_hash == fitted.backbone_hash()
    assert torch.equal(again.logits(pictures()), fitted.logits(pictures()))
    with pytest.raises(ValueError, match="head without its backbone"):
        load_classifier(file)
    other = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match="fitted on another backbone"):
        load_classifier(file, backbone=other)
    save_classifier(file, again)
    assert torch.equal(load_classifier(file, backbone=backbone).weight, fitted.weight)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("fitted_in_half", [True, False])
def test_a_head_follows_its_backbone_into_another_precision(half, fitted_in_half, tmp_path):
    """A host keeps the same model in the precision that its machine likes."""
    torch.manual_seed(0)
    full = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    halved, other = deepcopy(full).to(half), deepcopy(full)
    with torch.no_grad():
        other[0].weight += 1e-6  # the same in half precision
    made, used = (halved, full) if fitted_in_half else (full, halved)
    description = Description(("cat", "dog"), preprocessing=Preprocessing(16, 16))
    fitted = ImageClassifier(made, torch.rand(2, 6), torch.rand(2), description)
    file = save_classifier(tmp_path / "head.safetensors", fitted)
    assert torch.equal(load_classifier(file, backbone=used).weight, fitted.weight)
    if not fitted_in_half:
        with pytest.raises(ValueError, match="fitted on another backbone"):
            load_classifier(file, backbone=other)


class Counting(nn.Module):
    """A backbone of one feature that notes how many pictures it is given at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []

    def forward(self, pictures: Tensor) -> Tensor:
        self.given.append(len(pictures))
        return pictures.mean(dim=(1, 2, 3))[:, None]


def counting(steps: Preprocessing) -> ImageClassifier:
    about = Description(("a", "b"), preprocessing=steps)
    return ImageClassifier(Counting(), torch.zeros(2, 1), None, about)


@pytest.mark.parametrize(
    ("steps", "given"),
    [
        (Preprocessing(256, 224), [6]),
        (Preprocessing((1024, 1024), None), [4, 2]),
        (Preprocessing(None, 2048), [1] * 6),
        (Preprocessing(1024, 2048, crop_first=True), [4, 2]),
        (Preprocessing((64, 2048), None), [6]),
    ],
)
def test_large_inputs_go_through_the_network_a_few_at_a_time(steps, given):
    """`crop: 2048` at 32 pictures a time took 32 times what one of them takes."""
    classifier = counting(steps)
    classifier.features(torch.zeros(6, 8, 8, 3))
    assert classifier.backbone.given == given
    assert classifier.working_bytes(32) <= 2**30


def test_pictures_that_keep_their_size_are_counted_by_it():
    classifier = counting(Preprocessing(None, None))
    classifier.features(torch.zeros(3, 1024, 2048, 3))
    assert classifier.backbone.given == [2, 1]
    with pytest.raises(ValueError, match=r"3000 x 2000 pixels .* 4,194,304 pixels"):
        classifier.features(torch.zeros(1, 2000, 3000, 3))


@pytest.mark.parametrize("sizes", [{"crop": 4096}, {"resize": 2049}, {"resize": (4096, 1025)}])
def test_sizes_that_fill_the_memory_are_refused_before_a_network_is_tried(sizes):
    with pytest.raises(ValueError, match=r"makes pictures of more than 4,194,304 pixels"):
        Preprocessing(**sizes)
    Preprocessing(resize=2048, crop=(1024, 4096))
