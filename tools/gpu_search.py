"""`dev.py gpu`, the search of an edit: the same on the device as on the CPU, and its seconds.

Called by `tools.gpu_edit`; a rehearsal takes the CPU for both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detour.edit.record import Change
from detour.probes.features import Probes
from detour.search.guarded import fit_mistakes
from detour.search.one_weight import worst_group
from detour.search.problem import Found
from detour.search.several import Sizes, fit_sizes

from .bench_search import class_means, write_features
from .failure import Failure
from .gpu_part import Report

SEEDS = (0, 1, 2)
CLOSE = 1e-9
"""Relative: numbers of an edit may differ by what sums in another order differ by."""
SAME, SMALL_SAME = ((128, 2, 1500), (256, 6, 4000)), ((24, 2, 200), (24, 3, 300))
TIMED = ((128, 2, 1500), (1280, 2, 1500), (1280, 2, 10_000), (1280, 10, 10_000), (2048, 2, 20_000))
SMALL_TIMED = ((24, 2, 200),)
LARGEST, SMALL_LARGEST = (4096, 1000, 20_000), (64, 10, 500)
"""Features, classes, probes; the last one read from a file, as memory-mapped."""
WARM_UP = 64
"""Probes of a first search on a device, more where there are more groups: the kernels are loaded
then."""


def run(report: Report, small: bool) -> None:
    """Whether both find the same, then a row for each size, the largest last."""
    device = "cpu" if small else "cuda"
    for shape in SMALL_SAME if small else SAME:
        for seed in SEEDS[:1] if small else SEEDS:
            name = f"search of {shape[0]} x {shape[1]} x {shape[2]}, seed {seed}, as on the CPU"
            if report.attempt(name, partial(same, device, shape, seed), "failed", 1.0):
                report.add("passed", name)
    searches = {"one_weight": one_weight, "k_weights_bias": sizes}
    for shape in SMALL_TIMED if small else TIMED:
        probes = made(*shape, seed=0)
        for name, search in searches.items():
            if name == "k_weights_bias" and shape not in (SMALL_TIMED if small else TIMED[:2]):
                continue
            work = partial(timed, report, device, name, search, probes)
            report.attempt(f"{name} of {shape}", work, "skipped", 5.0)
    report.attempt("largest search", partial(largest, report, device, small), "skipped", 1.0)


def made(width: int, classes: int, count: int, seed: int) -> Probes:
    """Random probes with a head that leans on a feature of the attribute."""
    draw = torch.Generator().manual_seed(seed)
    number = torch.arange(count)
    y, a = number % classes, number // classes % 2
    head = torch.from_numpy(class_means(width, classes))
    shortcut = torch.randn(width, generator=draw) / width**0.5
    features = torch.randn(count, width, generator=draw) + head[y] + 4 * a[:, None] * shortcut
    lean = torch.zeros(classes)
    lean[-1] = 2.0
    return Probes(features, a, y, head + lean[:, None] * shortcut, torch.zeros(classes))


def same(device: str, shape: tuple[int, int, int], seed: int) -> None:
    """Every size of edit, and of `mistakes`, is found alike on both; raises Failure if not."""
    probes = made(*shape, seed=seed)
    wrong = (probes.z.argmax(1) != probes.y).long()
    told = replace(probes, attributes=wrong)
    rows = torch.arange(len(probes))
    searches: dict[str, tuple[Probes, Callable[[Probes], Any]]] = {
        "worst_group": (probes, sizes),
        "mistakes": (told, lambda seen: fit_mistakes(seen, rows)),
    }
    for name, (seen, search) in searches.items():
        here, there = list(search(seen)), list(search(seen.on(device)))
        if not agree(here, there):
            unlike = [(a, b) for a, b in zip(here, there, strict=True) if not agree([a], [b])]
            a, b = unlike[0]
            raise Failure(
                f"{name}: {len(unlike)} of {len(here)} sizes differ; {a.change} with {a.key} is "
                f"{b.change} with {b.key} there."
            )


def agree(first: list[Found], second: list[Found]) -> bool:
    """Whether two searches found the same edits."""
    pairs = list(zip(first, second, strict=True))
    return all(a.key == b.key and alike(a.change, b.change) for a, b in pairs)


def alike(first: Change, second: Change) -> bool:
    """The same rows and columns, and the same numbers but for rounding."""
    numbers = []
    for change in (first, second):
        cells = [(part.row, column) for part in change.by_row for column, _ in part.weights]
        values = [t for part in change.by_row for _, t in part.weights]
        shifts = [part.shift for part in change.by_row]
        numbers.append((change.rows, cells, values + shifts))
    if numbers[0][:2] != numbers[1][:2]:
        return False
    return bool(np.allclose(numbers[0][2], numbers[1][2], rtol=CLOSE, atol=CLOSE))


def one_weight(probes: Probes) -> Any:
    """The best single weight."""
    return worst_group(probes)


def sizes(probes: Probes) -> Any:
    """All sizes of edit up to three weights and the biases of their rows."""
    return fit_sizes(probes, torch.arange(len(probes)), None, 3)


def timed(
    report: Report, device: str, name: str, search: Callable[[Probes], Any], probes: Probes
) -> None:
    """A row: seconds on the device and on the CPU, the device's peak of memory and what is left
    allocated and kept there afterwards, both in MiB."""
    there, here = probes.on(device), {}
    few = max(WARM_UP, 2 * probes.n_classes)
    search(made(probes.features.shape[1], probes.n_classes, few, seed=1).on(device))
    before = memory(device)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    for place, seen in (("cpu", probes), ("device", there)):
        begin = time.perf_counter()
        here[place] = search(seen)
        here[f"{place}_seconds"] = time.perf_counter() - begin
    left = [after - early for early, after in zip(before, memory(device), strict=True)]
    shape = (probes.features.shape[1], probes.n_classes, len(probes))
    row = {"what": name, "on": device, "shape": shape, "seconds": here["device_seconds"]}
    found = [
        list(one) if isinstance(one, Sizes) else [one] for one in (here["cpu"], here["device"])
    ]
    row |= {"cpu_seconds": here["cpu_seconds"], "same": agree(*found)}
    peak = None if device == "cpu" else torch.cuda.max_memory_allocated() / 2**30
    report.add("edit", row | {"gib": peak, "left_mib": left})
    if any(one > 0 for one in left):
        raise Failure(f"{left} MiB of the device are still held after the search.")


def memory(device: str) -> tuple[float, float]:
    """MiB of the device that are allocated, and that torch keeps."""
    if device == "cpu":
        return 0.0, 0.0
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated() / 2**20, torch.cuda.memory_reserved() / 2**20


def largest(report: Report, device: str, small: bool) -> None:
    """The best single weight over all cells of a large head, features memory-mapped."""
    width, classes, count = SMALL_LARGEST if small else LARGEST
    with tempfile.TemporaryDirectory(prefix="detour-gpu-") as folder:
        file = Path(folder) / "features.npy"
        write_features(file, count, width, classes)
        features = np.load(file, mmap_mode="r")
        number = torch.arange(count)
        head = torch.from_numpy(class_means(width, classes))
        probes = Probes(
            features, number // classes % 2, number % classes, head, torch.zeros(classes)
        )
        timed(report, device, "one_weight", one_weight, probes)
