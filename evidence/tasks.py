"""The data sets: a classifier with a shortcut, probes to choose on, pictures to test on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from detour.classifier.networks import SmallCNN
from detour.probes.features import Probes

from .digits import Digits, colour
from .probe_digits import ATTRIBUTES, CLASSES, class_of, split_digits

PROBES, TESTS = 1500, 3000
EPOCHS, BATCH = 5, 64
HEAD_STEPS = 500


@dataclass(frozen=True)
class Task:
    """A head that learned a shortcut; `test` is for the report alone, no method sees it.

    probes, test: with the head; no digit is in both, nor among those that it was trained on.
    """

    dataset: str
    correlation: float
    seed: int
    probes: Probes
    test: Probes


@dataclass(frozen=True)
class Parts:
    """Numbers of digits to train on, for the probes and for the test, each in random order."""

    training: Tensor
    probes: Tensor
    test: Tensor


def parts(digits: Digits, seed: int) -> Parts:
    """1,500 digits for the probes, 3,000 for the test, the others for training."""
    training, held_out = split_digits(digits, seed)
    return Parts(training, held_out[:PROBES], held_out[PROBES : PROBES + TESTS])


def training_colours(digits: Digits, numbers: Tensor, share: float, seed: int) -> Tensor:
    """Which training digits are green: `share` of them in their group's colour."""
    draw = torch.rand(len(numbers), generator=torch.Generator().manual_seed(seed))
    return ((digits.labels[numbers] >= 5) == (draw < share)).long()


def even_colours(count: int) -> Tensor:
    """Colours 0 and 1 in turn within each digit, for numbers that are dealt digit by digit."""
    return torch.arange(count) // 10 % 2


def train_cnn(pictures: Tensor, labels: Tensor, classes: int, seed: int) -> SmallCNN:
    """Our small CNN, trained as usual on pictures `[N, 3, 16, 16]` (empirical risk only)."""
    torch.manual_seed(seed)
    network = SmallCNN(classes)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.01)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(labels)).split(BATCH):
            loss = functional.cross_entropy(network(pictures[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


def train_head(
    features: Tensor, labels: Tensor, classes: int, seed: int, steps: int = HEAD_STEPS
) -> nn.Linear:
    """A new last layer on features `[N, D]`, trained as usual (empirical risk only)."""
    torch.manual_seed(seed)
    head = nn.Linear(features.shape[1], classes)
    optimiser = torch.optim.AdamW(head.parameters(), 2e-3, weight_decay=0.01)
    for _ in range(steps):
        batch = torch.randint(len(labels), (256,))
        loss = functional.cross_entropy(head(features[batch]), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return head


@torch.inference_mode()
def cnn_features(network: SmallCNN, pictures: Tensor) -> Tensor:
    """Features `[N, 128]` of pictures `[N, 3, 16, 16]`."""
    return torch.cat([network.features(part) for part in pictures.split(500)]).clone()


def as_probes(
    features: Tensor, head: nn.Linear, classes: Tensor, attributes: Tensor, units: Tensor
) -> Probes:
    """Probes of a freshly trained head, with low and high as the classes."""
    return Probes(
        features,
        attributes,
        classes,
        head.weight.detach(),
        head.bias.detach(),
        units=units,
        class_names=CLASSES["low_high"] if len(head.weight) == 2 else CLASSES["digits"],
        attribute_names=ATTRIBUTES,
    )


def cnn_task(digits: Digits, share: float, seed: int, classes: str = "low_high") -> Task:
    """The small CNN, trained with `share` of the digits in their group's colour."""
    part = parts(digits, seed)

    def labels(numbers: Tensor) -> Tensor:
        return class_of(digits.labels[numbers], classes)

    green = training_colours(digits, part.training, share, seed)
    pictures = colour(digits.pixels[part.training], green)
    network = train_cnn(pictures, labels(part.training), len(CLASSES[classes]), seed)

    def probes(numbers: Tensor) -> Probes:
        colours = even_colours(len(numbers))
        found = cnn_features(network, colour(digits.pixels[numbers], colours))
        return as_probes(found, network.head, labels(numbers), colours, numbers)

    return Task("cnn", share, seed, probes(part.probes), probes(part.test))


def mobilenet_task(
    digits: Digits, table: np.ndarray, share: float, seed: int, classes: str = "low_high"
) -> Task:
    """MobileNetV2 features `table` `[2, N, 1280]` with a new head that learned the colour."""
    part = parts(digits, seed)

    def features(numbers: Tensor, colours: Tensor) -> Tensor:
        return torch.from_numpy(table[colours.numpy(), numbers.numpy()])

    def labels(numbers: Tensor) -> Tensor:
        return class_of(digits.labels[numbers], classes)

    green = training_colours(digits, part.training, share, seed)
    known = features(part.training, green)
    head = train_head(known, labels(part.training), len(CLASSES[classes]), seed)

    def probes(numbers: Tensor) -> Probes:
        colours = even_colours(len(numbers))
        return as_probes(features(numbers, colours), head, labels(numbers), colours, numbers)

    return Task("mobilenet", share, seed, probes(part.probes), probes(part.test))
