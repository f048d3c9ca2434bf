"""How fast pictures are classified, against a bare loop over the same network."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from .bench_stats import Clock, calls_per_timing, measure, timed
from .failure import say

PICTURES, SIDE = 64, 224
SECONDS, QUICK_SECONDS = 60.0, 5.0
LEAST = 0.95
NETWORKS = ("mobilenet_v2", "resnet18")


def run_classify(quick: bool) -> list[dict[str, Any]]:
    """A row per network: throughput of `ImageClassifier.logits` / that of the bare loop."""
    say(f"\nclassify: {PICTURES} pictures of {SIDE} x {SIDE}, throughput against a bare loop")
    rows = []
    for name in NETWORKS[:1] if quick else NETWORKS:
        rows.append(measure_network(name, QUICK_SECONDS if quick else SECONDS))
        row = rows[-1]
        interval = "too few pairs"
        if row["low"] is not None:
            interval = f"{row['low']:.3f}-{row['high']:.3f}"
        verdict = f"at least {LEAST:.0%}: {'met' if row['met'] else 'MISSED'}"
        say(f"  {name:14} {row['median']:.3f}  {interval:<14} {row['n']:>4} pairs  {verdict}")
    return rows


def measure_network(
    name: str, seconds: float, device: str = "cpu", side: int = SIDE, clock: Clock = perf_counter
) -> dict[str, Any]:
    """Pairs of both on a network with random weights; the loop does what everyone writes.

    device: where network and pictures are. side: pixels of a picture.
    """
    import torch
    import torchvision

    from detour.classifier.facts import Description
    from detour.classifier.heads import split_head
    from detour.classifier.model import CHUNK, ImageClassifier
    from detour.classifier.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None).eval().to(device)
    images = torch.rand(PICTURES, side, side, 3).to(device)
    mean, std = (torch.tensor(v).view(3, 1, 1).to(device) for v in (IMAGENET_MEAN, IMAGENET_STD))
    labels = tuple(str(index) for index in range(1000))
    backbone, weight, bias = split_head(network, torch.rand(1, 3, side, side).to(device))
    steps = Preprocessing(resize=None, crop=None)
    classifier = ImageClassifier(
        backbone, weight, bias, Description(labels, f"torchvision:{name}", steps)
    )

    def bare() -> torch.Tensor:
        parts = [network((part.permute(0, 3, 1, 2) - mean) / std) for part in images.split(CHUNK)]
        return torch.cat(parts)

    with torch.inference_mode():
        calls = calls_per_timing(timed(bare, 1, clock))
        timed(lambda: classifier.logits(images), 1, clock)
        cases = {"logits": lambda: classifier.logits(images)}
        found = measure(cases, bare, calls=calls, seconds=seconds, clock=clock)["logits"]
    return {
        "network": name,
        "median": 1 / found.median,
        "low": None if found.high is None else 1 / found.high,
        "high": None if found.low is None else 1 / found.low,
        "n": found.n,
        "met": 1 / found.median >= LEAST,
    }
