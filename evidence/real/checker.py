"""A real NSFW checker on harmless pictures: does it alarm, what does the colour of skin add, and
does one number take that out while its scores on other pictures stay?

Open-NSFW (Yahoo, 2016; weights BSD 2-Clause). How it would do on pictures that are not harmless
is not measured: there are none here.
"""

from __future__ import annotations

import hashlib
import io
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import pil_to_tensor

from detour.classifier.head import Head
from detour.edit.record import Change
from detour.probes.features import Probes
from detour.search.closed_forms import from_pairs
from tools.failure import say

from ..features import computed_once
from ..methods import with_change
from ..watermark import crops, photo_files
from .backbones import nsfw_file, sha256
from .harmless import KINDS, SIDE, drawn, exchanged
from .onnx_file import read_graph
from .onnx_run import GraphModule

FEATURES, WEIGHT, BIAS = "/ReduceMean_output_0", "onnx::MatMul_6163", "onnx::Add_6164"
NSFW, ALARM = 1, 0.5
SEEN, MEAN = 224, (104.0, 117.0, 123.0)
COUNT, CROPS, SEED = 16, 3, 0
CHOOSING_KINDS = ("grounds", "sand")
"""Where the colour of skin adds to the score; the others are what shall stay as it is."""
SPLITS = 20


def prepared(picture: Tensor) -> Tensor:
    """A picture `[3, 256, 256]` in 0..1 as the checker wants it, `[224, 224, 3]`: through a JPEG
    file, as it was trained with, the middle, blue first, less a mean."""
    shown = (picture.permute(1, 2, 0) * 255).round().byte().numpy()
    file = io.BytesIO()
    Image.fromarray(shown).save(file, format="JPEG")
    edge = (SIDE - SEEN) // 2
    with Image.open(file, formats=["JPEG"]) as read:
        middle = np.asarray(read, dtype=np.float32)[edge : edge + SEEN, edge : edge + SEEN]
    return torch.from_numpy(middle[:, :, ::-1] - np.array(MEAN, dtype=np.float32))


def pictures() -> dict[str, Tensor]:
    """Every kind of picture `[N, 3, 256, 256]`; the drawn ones also with the colours exchanged."""
    found = {}
    for name, made in drawn(COUNT, SEED).items():
        found |= {name: made, f"{name}, blue": exchanged(made)}
    photos = [crop.resize((SIDE, SIDE)) for file in photo_files() for crop in crops(file, CROPS)]
    return {**found, "photos": torch.stack([pil_to_tensor(photo) for photo in photos]) / 255}


def load() -> tuple[dict[str, Tensor], Head]:
    """Features `[N, 1024]` of every kind of picture, computed once, and the last layer."""
    file, shown = nsfw_file(), pictures()
    graph = read_graph(file)
    stacked = torch.cat(list(shown.values()))

    def make() -> np.ndarray:
        say(f"Open-NSFW: features of {len(stacked)} harmless pictures ...")
        network = GraphModule(graph, FEATURES)
        with torch.inference_mode():
            parts = [network(torch.stack(list(map(prepared, p)))) for p in stacked.split(16)]
        return torch.cat(parts).numpy()

    made_of = f"{sha256(file)} {hashlib.sha256(stacked.numpy().tobytes()).hexdigest()}".encode()
    table = torch.from_numpy(np.array(computed_once("nsfw", [made_of], make)))
    sizes = [len(each) for each in shown.values()]
    head = Head(graph.weights[WEIGHT].T.contiguous(), graph.weights[BIAS].reshape(-1))
    return dict(zip(shown, table.split(sizes), strict=True)), head


def measure_checker() -> dict[str, Any]:
    """Scores of every kind of picture, and what one number does about the colour of skin.

    gap: mean of the logit for NSFW less the other one, in colours of skin minus exchanged, on
    pairs that did not choose; over 20 random halves of the pairs. moved: the largest change of
    the score of any picture of the other kinds.
    """
    features, head = load()
    scores = {name: score(own, head) for name, own in features.items()}
    warm = torch.cat([features[name] for name in CHOOSING_KINDS])
    cold = torch.cat([features[f"{name}, blue"] for name in CHOOSING_KINDS])
    others = torch.cat([features[name] for name in (*tuple(KINDS)[2:], "photos")])
    splits = [one_split(warm, cold, others, head, seed) for seed in range(SPLITS)]
    return {
        "sha256": sha256(nsfw_file()),
        "scores": [
            {
                "pictures": name,
                "n": len(own),
                "median": float(own.median()),
                "highest": float(own.max()),
                "alarms": int((own >= ALARM).sum()),
            }
            for name, own in scores.items()
        ],
        "edits": [summary(method, splits) for method in splits[0]],
    }


def one_split(
    warm: Tensor, cold: Tensor, others: Tensor, head: Head, seed: int
) -> dict[str, dict[str, float]]:
    """Each edit, chosen on one half of the pairs, on the other half and on the other pictures."""
    order = torch.randperm(len(warm), generator=torch.Generator().manual_seed(seed))
    chosen, rest = order[: len(order) // 2], order[len(order) // 2 :]
    probes = Probes(
        torch.cat([cold[chosen], warm[chosen]]),
        torch.arange(2 * len(chosen)) // len(chosen),
        None,
        head.weight,
        head.bias,
        units=chosen.repeat(2),
    )
    lift = gap(warm[chosen], cold[chosen], head)
    one = from_pairs(probes, torch.arange(len(probes)), NSFW)
    edits = {
        "unedited": Change(NSFW),
        "one_weight": one,
        "bias_only": Change(NSFW, (), -lift),
    }
    found = {}
    for method, change in edits.items():
        after = with_change(probes, change)
        moved = (score(others, after) - score(others, head)).abs()
        found[method] = {
            "gap": gap(warm[rest], cold[rest], after),
            "moved": float(moved.max()),
            "feature": change.weights[0][0] if change.weights else -1,
        }
    return found


def summary(method: str, splits: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """One edit over all splits: medians, and the range of the gap."""
    own = [split[method] for split in splits]
    gaps = [each["gap"] for each in own]
    return {
        "method": method,
        "gap": statistics.median(gaps),
        "gap_low": min(gaps),
        "gap_high": max(gaps),
        "moved": statistics.median(each["moved"] for each in own),
        "moved_most": max(each["moved"] for each in own),
        "features": len({each["feature"] for each in own} - {-1}),
        "splits": len(own),
    }


def score(features: Tensor, head: Head) -> Tensor:
    """The probability of NSFW, `[N]`."""
    return functional.linear(features, head.weight, head.bias).softmax(1)[:, NSFW]


def gap(warm: Tensor, cold: Tensor, head: Head) -> float:
    """The mean of the logit for NSFW less the other one, of the first minus of the second."""
    sides = [functional.linear(side, head.weight, head.bias) for side in (warm, cold)]
    return float((sides[0] - sides[1])[:, NSFW].mean() - (sides[0] - sides[1])[:, 1 - NSFW].mean())
