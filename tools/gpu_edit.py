"""`dev.py gpu`, classifiers: how fast they classify on a device, and the search of an edit.

Needs torchvision, but no ComfyUI; started by `tools.gpu`.
"""

from __future__ import annotations

import time
from functools import partial

import torch

from . import gpu_search
from .bench_search import measure_network
from .gpu_part import Report

NETWORKS, SMALL_NETWORKS = ("vit_b_16", "convnext_base"), ("convnext_tiny",)
SIDE, SMALL_SIDE = 224, 32
SECONDS, SMALL_SECONDS = 12.0, 0.1


def run(report: Report, small: bool) -> None:
    """The search, then a row for each network."""
    gpu_search.run(report, small)
    for name in SMALL_NETWORKS if small else NETWORKS:
        report.attempt(name, partial(classify, report, name, small), "skipped", 1.0)


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
