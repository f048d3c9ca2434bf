"""ImageNet's own shortcut: a watermark that MobileNetV2 takes for evidence of a carton.

The shortcut and the watermark are of ImageNet-W (Li et al., CVPR 2023); its own transform is
used, from its package. The photos ship inside scikit-image.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from scipy import stats
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import pil_to_tensor

from detour.classifier.model import ImageClassifier
from detour.classifier.preprocess import Preprocessing
from detour.edit.apply import changed_logits
from detour.edit.record import Change
from detour.judge.gap import places
from detour.probes.features import Probes
from detour.search.closed_forms import from_pairs

from .features import mobilenet
from .methods import with_change

CARTON, SIDE = 478, 224
PHOTOS = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "page.png",
    "retina.jpg",
    "rocket.jpg",
)
"""Every photo of a scene or a thing in the wheel, by name; of stereo pairs the left one."""
CROPS = 20
SPLITS = 40
"""Other random halves of the photos, since one split of so few can be lucky or unlucky."""
SMALLEST_CROP = 0.5
"""Crops are squares of this share up to all of the shorter side."""
MISSING = "The package imagenet-w is not installed, so the watermark was not measured."


@dataclass(frozen=True)
class Watermarked:
    """Probes of all crops, plain (attribute 0) and with the watermark (1); units are photos."""

    probes: Probes
    names: tuple[str, ...]

    def rows(self, photos: Sequence[int]) -> Tensor:
        """The probes of these photos."""
        return torch.isin(self.probes.unit_numbers, torch.tensor(list(photos))).nonzero().flatten()


def add_watermark() -> Callable[[Image.Image], Image.Image] | None:
    """ImageNet-W's own transform for pictures of 224 pixels; None if it is not installed."""
    try:
        from imagenet_w import AddWatermark
    except ImportError:
        return None
    return AddWatermark(SIDE)


def photo_files() -> list[Path]:
    """The photos of `PHOTOS` that this version of the wheel has."""
    folder = Path(str(resources.files("skimage").joinpath("data")))
    return [folder / name for name in PHOTOS if (folder / name).is_file()]


def crops(path: Path, count: int = CROPS) -> list[Image.Image]:
    """Square crops of one photo, at 224 x 224; random, and the same ones each time."""
    draw, found = random.Random(f"{path.name} 0"), []
    with Image.open(path) as file:
        photo = file.convert("RGB")
    for _ in range(count):
        side = round(min(photo.size) * draw.uniform(SMALLEST_CROP, 1))
        x, y = (draw.randint(0, size - side) for size in photo.size)
        square = photo.crop((x, y, x + side, y + side))
        found.append(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return found


def photograph(transform: Callable[[Image.Image], Image.Image]) -> Watermarked:
    """MobileNetV2's features of every crop, without and with the watermark."""
    base = mobilenet()
    steps = Preprocessing(resize=None, crop=None)
    classifier = ImageClassifier(
        base.backbone, base.weight, base.bias, replace(base.description, preprocessing=steps)
    )
    files = photo_files()
    features, units = [], []
    for number, file in enumerate(files):
        plain = crops(file)
        pictures = [*plain, *(transform(crop) for crop in plain)]
        stacked = torch.stack([pil_to_tensor(picture).permute(1, 2, 0) for picture in pictures])
        features.append(classifier.features(stacked))
        units += [number] * len(pictures)
    marks = torch.arange(2 * CROPS) // CROPS
    probes = Probes(
        torch.cat(features),
        marks.repeat(len(files)),
        None,
        classifier.weight,
        classifier.bias,
        units=units,
    )
    return Watermarked(probes, tuple(file.stem for file in files))


def measure_watermark(data: Watermarked) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Rows per method on photos that chose nothing, rows per photo, and the edit in words.

    Chosen by `paired` on every other photo (by name). gap: mean change of the carton logit by
    the watermark, its sd and t interval over photos. The bias shift takes away as much as the
    watermark adds.
    """
    count = len(data.names)
    choose, report = data.rows(range(0, count, 2)), range(1, count, 2)
    one = from_pairs(data.probes, choose, CARTON)
    lift = gaps(data.probes, data.probes.z, range(0, count, 2))
    edits = {
        "unedited": Change(CARTON),
        "one_weight": one,
        "one_weight_bias": from_pairs(data.probes, choose, CARTON, with_bias=True),
        "bias_only": Change(CARTON, (), -statistics.fmean(lift)),
    }
    rows, photos, before = [], [], data.probes.z
    for method, change in edits.items():
        head = with_change(data.probes, change)
        logits = functional.linear(torch.as_tensor(data.probes.features), head.weight, head.bias)
        rows.append({"method": method, **summary(data, before, logits, report)})
        photos += per_photo(data, method, before, logits, report)
    (column, t) = one.weights[0]
    words = (
        f"row {CARTON}, feature {column}, minus {t:.2f}; chosen on {(count + 1) // 2} photos, "
        f"reported on {len(report)} others, {CROPS} crops each"
    )
    return rows, photos, words


def other_splits(data: Watermarked) -> dict[str, Any]:
    """How much of the effect one weight leaves when other halves of the photos choose it.

    median, largest: of the share left on the photos that did not choose, over `splits` random
    halves; below: how many leave less than a tenth; features: how many different ones were chosen.
    """
    count, left, features = len(data.names), [], set()
    for seed in range(SPLITS):
        photos = random.Random(seed).sample(range(count), count)
        chosen, others = sorted(photos[: (count + 1) // 2]), sorted(photos[(count + 1) // 2 :])
        change = from_pairs(data.probes, data.rows(chosen), CARTON)
        before = statistics.fmean(gaps(data.probes, data.probes.z, others))
        after = statistics.fmean(gaps(data.probes, changed_logits(data.probes, change), others))
        left.append(abs(after / before))
        features.add(change.weights[0][0])
    return {
        "splits": SPLITS,
        "median": statistics.median(left),
        "largest": max(left),
        "below": sum(value < 0.1 for value in left),
        "features": len(features),
    }


def summary(data: Watermarked, before: Tensor, logits: Tensor, report: range) -> dict[str, Any]:
    """One row of the table, on the photos `report`."""
    rows = data.rows(report)
    marked = data.probes.a[rows] == 1
    plain, shown = rows[~marked], rows[marked]
    found = gaps(data.probes, logits, report)
    reach = math.inf
    if len(found) > 1:
        spread = statistics.stdev(found) / math.sqrt(len(found))
        reach = float(stats.t.ppf(0.975, len(found) - 1)) * spread
    others = torch.arange(logits.shape[1]) != CARTON
    return {
        "gap": statistics.fmean(found),
        "gap_sd": statistics.stdev(found),
        "gap_low": statistics.fmean(found) - reach,
        "gap_high": statistics.fmean(found) + reach,
        "rank_plain": float(places(logits[plain], CARTON).median()),
        "rank_watermark": float(places(logits[shown], CARTON).median()),
        "top1_changed_plain": share(logits[plain].argmax(1) != before[plain].argmax(1)),
        "carton_top1_watermark": share(logits[shown].argmax(1) == CARTON),
        "others_changed": int((logits[:, others] != before[:, others]).any(0).sum()),
        "photos": len(report),
        "n": len(plain),
    }


def per_photo(
    data: Watermarked, method: str, before: Tensor, logits: Tensor, report: range
) -> list[dict[str, Any]]:
    """For each photo: the gap, the ranks, and plain crops with another top-1 class."""
    found = []
    for number in report:
        rows = data.rows(range(number, number + 1))
        plain, shown = rows[data.probes.a[rows] == 0], rows[data.probes.a[rows] == 1]
        found.append(
            {
                "photo": data.names[number],
                "method": method,
                "gap": gaps(data.probes, logits, range(number, number + 1))[0],
                "rank_plain": float(places(logits[plain], CARTON).median()),
                "rank_watermark": float(places(logits[shown], CARTON).median()),
                "top1_changed_plain": share(logits[plain].argmax(1) != before[plain].argmax(1)),
            }
        )
    return found


def gaps(probes: Probes, logits: Tensor, photos: Sequence[int]) -> list[float]:
    """For each photo the mean carton logit with the watermark minus without it."""
    carton, unit = logits[:, CARTON].double(), probes.unit_numbers
    return [
        float(
            carton[(unit == number) & (probes.a == 1)].mean()
            - carton[(unit == number) & (probes.a == 0)].mean()
        )
        for number in photos
    ]


def share(hits: Tensor) -> float:
    """The share of true values."""
    return float(hits.double().mean())
