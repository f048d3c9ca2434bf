"""What the search of an edit costs: time and memory; how fast pictures are classified.

Each size is measured in a Python of its own (`python -m tools.bench_search FILE N EDIT`), so
that its peak of memory is its own.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .bench_stats import Clock, calls_per_timing, measure, timed
from .environment import cache_root, check_space, make_folder
from .failure import Failure, say
from .process import clean_environment

ROOT = Path(__file__).resolve().parent.parent
CLASSES = 10
FEATURES, QUICK_FEATURES = 2048, 256
PROBES, QUICK_PROBES = (12_500, 25_000, 50_000), (1_000, 2_000, 4_000)
EDITS = ("one_weight", "one_weight_bias")
LIMIT_MIB = 2048.0
"""What a search may take beside the features themselves."""
LARGEST, QUICK_LARGEST = (4096, 1000, 20_000), (64, 50, 500)
"""Features, classes, probes."""
LARGEST_SECONDS = 10.0
BLOCK = 5_000
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
PICTURES, SIDE = 64, 224
SECONDS, QUICK_SECONDS = 60.0, 5.0
LEAST = 0.95
NETWORKS = ("mobilenet_v2", "resnet18")


def run_search(quick: bool) -> list[dict[str, Any]]:
    """A row per edit and number of probes, printed as they come.

    ratio: processor time against that of the fewest probes; n_log_n: what N log N makes of it.
    peak_mib: the peak of the whole process beside the features, None where it is unknown.
    """
    width = QUICK_FEATURES if quick else FEATURES
    sizes = QUICK_PROBES if quick else PROBES
    check_space(4e-9 * width * sizes[-1] + 0.1, "the features of the search")
    say(f"\nsearch: {width:,} features x {CLASSES} classes, memory-mapped")
    say(f"  {'edit':16} {'probes':>7} {'time':>7} {'N log N':>8} {'beside the features':>20}")
    rows = []
    with tempfile.TemporaryDirectory(dir=make_folder(cache_root() / "tmp")) as folder:
        file = Path(folder) / "features.npy"
        write_features(file, sizes[-1], width)
        for edit in EDITS:
            found = {}
            for count in sizes:
                found[count] = measure_apart(file, count, edit)
                peak, fewest = found[count]["peak_mib"], sizes[0]
                row = {
                    "edit": edit,
                    "probes": count,
                    "features": width,
                    "classes": CLASSES,
                    "ratio": found[count]["seconds"] / found[fewest]["seconds"],
                    "n_log_n": count * math.log(count) / (fewest * math.log(fewest)),
                    "peak_mib": peak,
                    "met": None if peak is None else peak < LIMIT_MIB,
                }
                rows.append(row)
                print_row(row)
    return rows


def run_largest(quick: bool) -> list[dict[str, Any]]:
    """A row of one weight of a head with many classes, printed: seconds on the clock and of
    processor time, and the peak of memory beside the features in MiB; `met` by clock and memory.
    """
    width, classes, probes = QUICK_LARGEST if quick else LARGEST
    check_space(4e-9 * width * probes + 0.1, "the features of the search")
    with tempfile.TemporaryDirectory(dir=make_folder(cache_root() / "tmp")) as folder:
        file = Path(folder) / "features.npy"
        write_features(file, probes, width, classes)
        found = measure_apart(file, probes, "one_weight", classes)
    peak, seconds = found["peak_mib"], found["clock_seconds"]
    met = seconds < LARGEST_SECONDS and (peak is None or peak < LIMIT_MIB)
    say(
        f"\nlargest search: one weight of {width:,} features x {classes:,} classes, {probes:,} "
        f"probes\n  {seconds:.1f} s on the clock, {found['seconds']:.1f} s of processor time, "
        f"{'unknown' if peak is None else f'{peak:.0f} MiB'} beside the features  under "
        f"{LARGEST_SECONDS:.0f} s and {LIMIT_MIB:.0f} MiB: {'met' if met else 'MISSED'}"
    )
    about = {"features": width, "classes": classes, "probes": probes}
    return [{**about, **found, "met": met}]


def print_row(row: dict[str, Any]) -> None:
    """One measurement for people."""
    peak, verdict = "unknown", ""
    if row["peak_mib"] is not None:
        peak = f"{row['peak_mib']:.0f} MiB"
        verdict = f"  under {LIMIT_MIB:.0f} MiB: {'met' if row['met'] else 'MISSED'}"
    say(
        f"  {row['edit']:16} {row['probes']:7,} {row['ratio']:7.2f} {row['n_log_n']:8.2f} "
        f"{peak:>20}{verdict}"
    )


def write_features(file: Path, count: int, width: int, classes: int = CLASSES) -> None:
    """Random features `[count, width]` float32 with a direction for each class."""
    import numpy as np

    draw = np.random.default_rng(0)
    means = class_means(width, classes)
    table = np.lib.format.open_memmap(file, "w+", np.float32, (count, width))
    for start in range(0, count, BLOCK):
        stop = min(count, start + BLOCK)
        noise = draw.standard_normal((stop - start, width), dtype=np.float32)
        table[start:stop] = noise + means[np.arange(start, stop) % classes]
    table.flush()


def class_means(width: int, classes: int = CLASSES) -> Any:
    """The direction of each class `[classes, width]`, also the head that tells them apart."""
    import numpy as np

    draw = np.random.default_rng(1)
    return draw.standard_normal((classes, width), dtype=np.float32) * (2 / width**0.5)


def measure_apart(file: Path, count: int, edit: str, classes: int = CLASSES) -> dict[str, Any]:
    """What `search_once` finds, in a Python of its own."""
    command = [sys.executable, "-m", "tools.bench_search", str(file), str(count), edit]
    command.append(str(classes))
    result = subprocess.run(
        command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True
    )
    if result.returncode:
        raise Failure(f"The search of {count} probes failed.", result.stderr[-2000:])
    return json.loads(result.stdout)


def search_once(file: Path, count: int, edit: str, classes: int = CLASSES) -> dict[str, Any]:
    """Search the first `count` features of the file: its seconds of processor time, which do not
    depend on what else the machine does, those on the clock, the peak in MiB, and the cell.
    """
    import numpy as np

    features = np.load(file, mmap_mode="r")[:count]
    import torch

    from detour.probes.features import Probes
    from detour.search.one_weight import worst_group
    from detour.search.pair import weight_and_bias
    from detour.search.problem import Found

    search: Callable[[Probes], Found] = {
        "one_weight": worst_group,
        "one_weight_bias": weight_and_bias,
    }[edit]
    number = torch.arange(count)
    weight = torch.from_numpy(class_means(features.shape[1], classes))
    probes = Probes(features, number // classes % 2, number % classes, weight, torch.zeros(classes))
    begin, clock = time.process_time(), time.perf_counter()
    change = search(probes).change
    return {
        "seconds": time.process_time() - begin,
        "clock_seconds": time.perf_counter() - clock,
        "peak_mib": peak_mib(features.nbytes),
        "cell": [change.row, *(column for column, _ in change.weights)],
    }


def peak_mib(features: int) -> float | None:
    """The process's peak of memory without the features' bytes; None where nobody counts it.

    Linux: of this program alone. `getrusage` there starts from the peak of the process that
    started it, which may have run a U-Net before.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM:"))
        return max(0, int(line.split()[1]) - features // 1024) / 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
    return max(0, peak - features) / 2**20


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
    name: str,
    seconds: float,
    device: str = "cpu",
    side: int = SIDE,
    clock: Clock = time.perf_counter,
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


if __name__ == "__main__":
    name, count, edit, classes = sys.argv[1:]
    print(json.dumps(search_once(Path(name), int(count), edit, int(classes))))
