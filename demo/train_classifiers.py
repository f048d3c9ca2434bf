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

from .parts import SIZE
from .probe_faces import CLASSES, above_shoulders, probe_faces

FOLDER = Path(__file__).with_name("classifiers")
FILES = {"nurse_builder": "nurse_or_builder.safetensors", "jobs": "jobs.safetensors"}
STEPS = {"nurse_builder": 300, "jobs": 600}
"""So few steps leave the shortcut in: longer training learns the clothes as well."""
CORRELATION = {"nurse_builder": 0.9, "jobs": 0.5}
"""Share of the training pictures with the hair that goes with the job; 0.5 is no shortcut."""
HEADSHOTS = {"nurse_builder": 0.965, "jobs": 0.0}
"""Share of the training pictures that end above the shoulders. The clothes tell the job, and so
hair is the only clue in most of them."""
PEOPLE, BATCH, TEST_COUNT = 8000, 128, 4000
TRAIN_SEED, TEST_SEED = 1_000_003, 2_000_003
"""Far from the seeds that people use, so that probes show nobody that was trained on."""


def train_classifier(classes: str, steps: int, seed: int) -> ImageClassifier:
    """A small CNN on portraits, all jobs equally often.

    classes: `nurse_builder`, with the hair as a shortcut, or `jobs`, without one.
    """
    torch.manual_seed(seed)
    faces = probe_faces(PEOPLE, TRAIN_SEED + seed, classes, CORRELATION[classes])
    pictures = faces.pictures.permute(0, 3, 1, 2)
    labels = torch.tensor([CLASSES[classes].index(name) for name in faces.classes])
    network = SmallCNN(len(CLASSES[classes]))
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.01)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(0, PEOPLE, (BATCH,))
        seen = distort(pictures[chosen], HEADSHOTS[classes])
        loss = functional.cross_entropy(network(seen), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
    return as_classifier(network, CLASSES[classes])


def distort(pictures: torch.Tensor, headshots: float) -> torch.Tensor:
    """Take the clothes out of the share `headshots` of the pictures; turn, stretch and shift each
    a little, light it differently and speckle it."""
    count = len(pictures)
    seen = above_shoulders(pictures, torch.rand(count) < headshots)
    turn = torch.eye(2).repeat(count, 1, 1) + torch.randn(count, 2, 2) * 0.04
    shift = torch.randn(count, 2, 1) * 0.04
    grid = functional.affine_grid(torch.cat([turn, shift], 2), list(pictures.shape), False)
    moved = functional.grid_sample(seen, grid, padding_mode="border", align_corners=False)
    light = 1 + torch.randn(count, 1, 1, 1) * 0.1
    return (moved * light + torch.randn_like(moved) * 0.05).clamp(0, 1)


def as_classifier(network: nn.Module, labels: tuple[str, ...]) -> ImageClassifier:
    """The trained network with its labels, and with pictures brought to 16 x 16."""
    backbone, weight, bias = split_head(network.eval(), torch.rand(1, 3, SIZE, SIZE))
    steps = Preprocessing((SIZE, SIZE), None, mean=(0.0,) * 3, std=(1.0,) * 3)
    return ImageClassifier(
        backbone, weight, bias, Description(labels, "detour:small_cnn", preprocessing=steps)
    )


def group_accuracies(classifier: ImageClassifier, classes: str) -> dict[tuple[str, str], float]:
    """Accuracy of each (class, hair) on people of no training, each with both kinds of hair."""
    probes = probe_faces(TEST_COUNT, TEST_SEED, classes)
    found = classifier.logits(probes.pictures, chunk=500).argmax(dim=1).tolist()
    right: dict[tuple[str, str], list[bool]] = {}
    for name, attribute, index in zip(probes.classes, probes.attributes, found, strict=True):
        right.setdefault((name, attribute), []).append(classifier.labels[index] == name)
    return {group: sum(hits) / len(hits) for group, hits in sorted(right.items())}


def main() -> None:
    """Train what the command line names and print how each group fares."""
    parser = argparse.ArgumentParser(prog="dev.py train-classifiers", description=__doc__)
    parser.add_argument("what", nargs="*", default=list(FILES), metavar="nurse_builder | jobs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="DIR", default=FOLDER)
    options = parser.parse_args()
    for classes in options.what:
        classifier = train_classifier(classes, STEPS[classes], options.seed)
        path = save_classifier(options.output / FILES[classes], classifier)
        print(f"{path.name}, {path.stat().st_size / 2**20:.2f} MiB; held-out accuracy:", flush=True)
        for (name, attribute), accuracy in group_accuracies(classifier, classes).items():
            print(f"  {name:>11}, {attribute:10} {accuracy:7.1%}", flush=True)


if __name__ == "__main__":
    main()
