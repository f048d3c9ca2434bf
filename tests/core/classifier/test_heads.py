"""Only a head that makes the logits by itself can be split off; the rest is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from detour.classifier.heads import split_head
from detour.classifier.load import load_classifier

EXAMPLE = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network(*end: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), *end)


def flat(*end: nn.Module) -> nn.Sequential:
    return network(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *end)


class Result:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Wrapping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = flat(nn.Linear(6, 4))

    def forward(self, pictures: Tensor) -> Result:
        return Result(self.inner(pictures))


def test_the_split_is_bit_equal_and_copies_the_head() -> None:
    whole = flat(nn.Dropout(0.5), nn.Linear(6, 4))
    head = whole[-1]
    logits = whole.eval()(EXAMPLE)
    backbone, weight, bias = split_head(whole, EXAMPLE)
    assert torch.equal(nn.functional.linear(backbone(EXAMPLE), weight, bias), logits)
    assert backbone.head_name == "5"
    weight += 1
    assert not torch.equal(weight, head.weight)


def test_networks_that_wrap_their_logits() -> None:
    whole = Wrapping()
    logits = whole.eval()(EXAMPLE).logits
    backbone, weight, bias = split_head(whole, EXAMPLE)
    assert torch.equal(nn.functional.linear(backbone(EXAMPLE), weight, bias), logits)
    assert sorted(backbone.weights_with_head(weight, bias)) == [
        "inner.0.bias",
        "inner.0.weight",
        "inner.4.bias",
        "inner.4.weight",
    ]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(192, 192)
        self.last = nn.Linear(192, 192)
        self.last.weight = self.first.weight

    def forward(self, pictures: Tensor) -> Tensor:
        return self.last(self.first(pictures.flatten(1)))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(192, 192)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layer(self.layer(pictures.flatten(1)))


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(192, 4)
        self.never = nn.Linear(192, 4)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.first(pictures.flatten(1))


class Table(nn.Module):
    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        return {"logits": pictures}


class QuantisedLinear(nn.Module):
    pass


@pytest.mark.parametrize(
    ("whole", "sentence"),
    [
        (network(nn.Conv2d(6, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "is a convolution"),
        (Tied(), "shares its weights with 'first.weight'"),
        (Unused(), "'never' does not make the logits by itself"),
        (Twice(), "does not make the logits by itself"),
        (flat(nn.Linear(6, 4), nn.LogSoftmax(1)), "does not make the logits by itself"),
        (network(nn.Linear(6, 6), nn.Conv2d(6, 4, 1)), "does not make the logits by itself"),
        (nn.Sequential(nn.Linear(8, 4)), r"works on \[1, 3, 8, 8\]"),
        (nn.Sequential(nn.Linear(8, 4), Table()), "returns dict instead of one tensor"),
        (nn.Sequential(nn.Linear(100, 4)), "cannot read pictures of 8 x 8"),
        (nn.Sequential(nn.Conv2d(3, 3, 1), QuantisedLinear()), "of the kind QuantisedLinear"),
    ],
)
def test_heads_that_are_refused(whole: nn.Module, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        split_head(whole, EXAMPLE)


def test_packed_weights_are_refused() -> None:
    whole = flat(nn.Linear(6, 4))
    packed = torch.zeros(12, 1, dtype=torch.uint8)
    whole[-1].weight = nn.Parameter(packed, requires_grad=False)  # as bitsandbytes does
    with pytest.raises(ValueError, match=r"quantised \(torch.uint8\)"):
        split_head(whole, EXAMPLE)


def test_a_convolutional_head_from_a_file(tmp_path: Path) -> None:
    save_file(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="is a convolution"):
        load_classifier(tmp_path / "a.safetensors", architecture="squeezenet1_1")
