"""`dev.py gpu`, classifiers: how fast they classify on a device, and the largest search.

Needs torchvision, but no ComfyUI; started by `tools.gpu`.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from .bench_search import measure_apart, measure_network, write_features
from .gpu_part import Report

NETWORKS, SMALL_NETWORKS = ("vit_b_16", "convnext_base"), ("convnext_tiny",)
SIDE, SMALL_SIDE = 224, 32
SECONDS, SMALL_SECONDS = 12.0, 0.5
SEARCH, SMALL_SEARCH = (4096, 1000, 20_000), (64, 10, 500)
"""Features, classes, probes."""


def run(report: Report, small: bool) -> None:
    """A row for each network, then the search."""
    for name in SMALL_NETWORKS if small else NETWORKS:
        report.attempt(name, partial(classify, report, name, small), "skipped", 1.0)
    report.attempt("search", partial(search, report, small), "skipped", 1.0)


def classify(report: Report, name: str, small: bool) -> None:
    """Throughput of `ImageClassifier.logits` / that of the bare loop, both on the device."""
    device = "cpu" if small else "cuda"

    def clock() -> float:
        if not small:
            torch.cuda.synchronize()
        return time.perf_counter()

    if not small:
        torch.cuda.reset_peak_memory_stats()
    seconds, side = (SMALL_SECONDS, SMALL_SIDE) if small else (SECONDS, SIDE)
    found = measure_network(name, seconds, device, side, clock)
    peak = None if small else torch.cuda.max_memory_allocated() / 2**30
    ratio = {"ratio": found["median"], **{key: found[key] for key in ("low", "high", "met")}}
    report.add("edit", {"what": name, "on": device, **ratio, "gib": peak})


def search(report: Report, small: bool) -> None:
    """The best single weight over all cells; the search reads features in main memory and runs
    on the processor, whatever device the classifier is on."""
    width, classes, probes = SMALL_SEARCH if small else SEARCH
    with tempfile.TemporaryDirectory(prefix="detour-gpu-") as folder:
        file = Path(folder) / "features.npy"
        write_features(file, probes, width, classes)
        found = measure_apart(file, probes, "one_weight", classes)
    peak = found["peak_mib"]
    row = {"what": "search", "on": "cpu", "seconds": found["clock_seconds"]}
    report.add("edit", row | {"gib": peak and peak / 1024, "cell": found["cell"]})
