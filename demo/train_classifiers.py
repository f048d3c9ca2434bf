"""Train the demo's two image classifiers: `python dev.py train-classifiers`.

Not needed to use the files in `demo/classifiers`. Half a minute on the CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from detour.classifier.facts import Description
from detour.classifier.heads import split_head
from detour.classifier.model import ImageClassifier
from detour.classifier.networks import SmallCNN
from detour.classifier.preprocess import Preprocessing
from detour.classifier.save import save_classifier

from .digits import COLOUR_SHARE, SIZE, Digits, colour, load_digits
from .probe_digits import CLASSES, class_of, probe_digits, split_digits
from .train import distort

FOLDER = Path(__file__).with_name("classifiers")
FILES = {"low_high": "coloured_digits.safetensors", "digits": "digit_reader.safetensors"}
STEPS = {"low_high": 300, "digits": 2000}
"""So few steps leave the shortcut in: longer training learns the shapes as well."""
COLOURS = {"low_high": COLOUR_SHARE, "digits": 0.5}
"""Share of the training pictures in their group's colour; 0.5 is no shortcut."""
BATCH = 128
TEST_COUNT = 4000


def train_classifier(classes: str, steps: int, seed: int) -> ImageClassifier:
    """A small CNN on coloured digits of the training part, all ten digits equally often.

    classes: `low_high`, with colour as the shortcut, or `digits`, in random colours.
    """
    torch.manual_seed(seed)
    everything = load_digits()
    digits = everything.subset(split_digits(everything)[0])
    network = SmallCNN(len(CLASSES[classes]))
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.01)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        pictures, labels = draw_batch(digits, COLOURS[classes])
        loss = functional.cross_entropy(network(distort(pictures)), class_of(labels, classes))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
    return as_classifier(network, CLASSES[classes])


def draw_batch(digits: Digits, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures `[128, 3, 16, 16]`, `share` of them in their group's colour, and their digits."""
    wanted = torch.randint(0, 10, (BATCH,)).tolist()
    members = [digits.of_class[digit] for digit in wanted]
    chosen = torch.stack([each[torch.randint(len(each), ())] for each in members])
    labels = digits.labels[chosen]
    green = (labels >= 5) == (torch.rand(BATCH) < share)
    return colour(digits.pixels[chosen], green), labels


def as_classifier(network: nn.Module, labels: tuple[str, ...]) -> ImageClassifier:
    """The trained network with its labels, and with pictures brought to 16 x 16."""
    backbone, weight, bias = split_head(network.eval(), torch.rand(1, 3, SIZE, SIZE))
    steps = Preprocessing((SIZE, SIZE), None, mean=(0.0,) * 3, std=(1.0,) * 3)
    return ImageClassifier(
        backbone, weight, bias, Description(labels, "detour:small_cnn", preprocessing=steps)
    )


def group_accuracies(classifier: ImageClassifier, classes: str) -> dict[tuple[str, str], float]:
    """Accuracy of each (class, colour) on held-out digits, each digit in both colours."""
    probes = probe_digits(TEST_COUNT, 0, classes)
    found = classifier.logits(probes.pictures, chunk=500).argmax(dim=1).tolist()
    right: dict[tuple[str, str], list[bool]] = {}
    for name, attribute, index in zip(probes.classes, probes.attributes, found, strict=True):
        right.setdefault((name, attribute), []).append(classifier.labels[index] == name)
    return {group: sum(hits) / len(hits) for group, hits in sorted(right.items())}


def main() -> None:
    """Train what the command line names and print how each group fares."""
    parser = argparse.ArgumentParser(prog="dev.py train-classifiers", description=__doc__)
    parser.add_argument("what", nargs="*", default=list(FILES), metavar="low_high | digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="DIR", default=FOLDER)
    options = parser.parse_args()
    for classes in options.what:
        classifier = train_classifier(classes, STEPS[classes], options.seed)
        path = save_classifier(options.output / FILES[classes], classifier)
        print(f"{path.name}, {path.stat().st_size / 2**20:.2f} MiB; held-out accuracy:", flush=True)
        for (name, attribute), accuracy in group_accuracies(classifier, classes).items():
            print(f"  {name:>5}, {attribute:5} {accuracy:7.1%}", flush=True)


if __name__ == "__main__":
    main()
