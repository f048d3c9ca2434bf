"""`ImageClassifier`: a backbone that is shared, a head that is this object's own, and what it
says about pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from .facts import Description
from .head import HALVES
from .preprocess import Preprocessing, check_layout

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all); what it raises stops the work."""
CHUNK = 32
FLOATS_PER_PIXEL = 64
"""For each pixel that the network sees: what the largest layers of the usual networks keep at a
time, roughly."""
WORKING_BYTES = 2**30
"""So much may those layers take: large pictures go through the network fewer at a time."""


class ImageClassifier(nn.Module):
    """An image classifier whose last linear layer can be exchanged without touching the rest.

    backbone: normalised pictures `[B, 3, H, W]` to features `[B, D]`. It is shared between
        this object and what `with_head` returns, and nothing here ever writes to it. Hosts
        move it between devices; the small head follows by itself.
    weight, bias: the head, `[C, D]` and `[C]` or None; copied, so that it is this object's own.
    description: labels, preprocessing, activation. notes: sentences about the loading.

    Raises ValueError if the shapes do not fit each other or the labels.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        backbone: nn.Module,
        weight: Tensor,
        bias: Tensor | None,
        description: Description,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        _check_head(weight, bias, len(description.labels))
        self.backbone = backbone
        self.description = description
        self.notes = notes
        self.register_buffer("weight", _own(weight))
        self.register_buffer("bias", None if bias is None else _own(bias))
        self.train(False)

    @property
    def labels(self) -> tuple[str, ...]:
        """One name per class, in the order of the logits."""
        return self.description.labels

    @property
    def preprocessing(self) -> Preprocessing:
        """What happens to a picture before the backbone sees it."""
        return self.description.preprocessing

    @property
    def feature_count(self) -> int:
        """D, the number of features that the head looks at."""
        return self.weight.shape[1]

    def train(self, mode: bool = True) -> ImageClassifier:
        """Always evaluation mode: dropout and batch statistics would change the logits."""
        del mode
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """The same as `logits` with its defaults."""
        return self.logits(images)

    def features(
        self, images: Tensor, *, chunk: int = CHUNK, progress: Progress | None = None
    ) -> Tensor:
        """Features `[B, D]`, float32, of pictures `[B, H, W, C]` in 0..1, on their device.

        Up to `chunk` pictures at a time run on the backbone's device, fewer where they are
        large. An empty batch gives `[0, D]`.
        Raises ValueError for pictures that cannot be used.
        """
        check_layout(images)
        if chunk < 1:
            raise ValueError(f"chunk is {chunk}: at least one picture at a time must be read.")
        device, dtype = _place(self.backbone)
        count, chunk = len(images), min(chunk, self._at_once(images.shape[1:3]))
        result = torch.empty(count, self.feature_count, device=images.device)
        for start in range(0, count, chunk):
            part = self.preprocessing(images[start : start + chunk], device)
            with torch.no_grad():
                found = self.backbone(part.to(dtype))
            if found.ndim != 2 or found.shape[1] != self.feature_count:
                raise ValueError(
                    f"The backbone makes features {list(found.shape)}, the head wants "
                    f"[{len(part)}, {self.feature_count}]: they do not belong together."
                )
            result[start : start + chunk] = found
            if progress is not None:
                progress(min(start + chunk, count), count)
        return result

    def logits(
        self, images: Tensor, *, chunk: int = CHUNK, progress: Progress | None = None
    ) -> Tensor:
        """Logits `[B, C]`, float32, of pictures `[B, H, W, C]`; otherwise like `features`."""
        return self.head(self.features(images, chunk=chunk, progress=progress))

    def head(self, features: Tensor) -> Tensor:
        """Logits `[B, C]` of features `[B, D]`: features @ weight.T + bias."""
        weight = self.weight.to(features.device)
        bias = None if self.bias is None else self.bias.to(features.device)
        with torch.no_grad():
            return nn.functional.linear(features, weight, bias)

    def scores(self, logits: Tensor) -> Tensor:
        """Scores `[B, C]` in 0..1: softmax over the classes, or a sigmoid of each by itself."""
        softmax = self.description.activation == "softmax"
        return logits.softmax(dim=1) if softmax else logits.sigmoid()

    def with_head(self, weight: Tensor, bias: Tensor | None) -> ImageClassifier:
        """The same classifier with another head of the same shape; the backbone is shared.

        Raises ValueError for another number of features or classes, and for NaN.
        """
        if weight.shape != self.weight.shape:
            raise ValueError(
                f"The new head is {list(weight.shape)}, this classifier has "
                f"{list(self.weight.shape)}: it belongs to another one."
            )
        return ImageClassifier(self.backbone, weight, bias, self.description, self.notes)

    def working_bytes(self, pictures: int) -> int:
        """Roughly the memory that a chunk of so many pictures needs beside the weights."""
        size = self.preprocessing.input_size
        return min(pictures, self._at_once(size)) * _layer_bytes(size)

    def _at_once(self, size: Sequence[int]) -> int:
        """How many pictures of a height and width fit into `WORKING_BYTES`; at least one."""
        seen = self.preprocessing.seen_size(*size)
        return max(1, WORKING_BYTES // _layer_bytes(seen))

    def backbone_hash(self, half: str = "") -> str:
        """Names what features depend on: SHA-256 over preprocessing, architecture and weights;
        see `hash_backbone`."""
        kind = f"{self.description.architecture}{self.description.config}"
        return hash_backbone(self.backbone, self.preprocessing, kind, half)


def hash_backbone(
    backbone: nn.Module, preprocessing: Preprocessing, kind: str = "", half: str = ""
) -> str:
    """SHA-256, as hex, over the preprocessing and every weight: name, shape, float32 values.

    kind: what else makes the network, since two can have the same weights (`tf_` networks of
    timm pad otherwise); empty for a host's own model. half: one of `HALVES`, as if the weights
    had been loaded in it.
    """
    digest = hashlib.sha256(f"{preprocessing!r}{kind}".encode())
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(f"{name}{list(value.shape)}".encode())
        if half and value.is_floating_point():
            value = value.to(HALVES[half])
        digest.update(
            value.detach().cpu().float().contiguous().numpy().astype("<f4", copy=False).tobytes()
        )
    return digest.hexdigest()


def _layer_bytes(size: Sequence[int]) -> int:
    return size[0] * size[1] * FLOATS_PER_PIXEL * 4


def _own(value: Tensor) -> Tensor:
    return value.detach().to(torch.float32, copy=True).contiguous()


def _place(backbone: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where the backbone is and in which precision it wants its input: that of its weights, or
    what it says as `input_dtype` if it casts them itself."""
    first = next((p for p in backbone.parameters() if p.is_floating_point()), None)
    if first is None:
        return torch.device("cpu"), torch.float32
    return first.device, getattr(backbone, "input_dtype", first.dtype)


def _check_head(weight: Tensor, bias: Tensor | None, labels: int) -> None:
    if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        shapes = [list(weight.shape), None if bias is None else list(bias.shape)]
        raise ValueError(f"A head is a weight [C, D] and a bias [C] or none, not {shapes}.")
    if labels != len(weight):
        raise ValueError(
            f"There are {labels} labels, but the classifier has {len(weight)} classes: give "
            "one label per class, in its order."
        )
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and not torch.isfinite(value).all():
            raise ValueError(f"The {name} of the head holds NaN or infinite values.")


NOTHING = "(none)"
"""The label of a picture on which no tag is present."""


@dataclass(frozen=True)
class Prediction:
    """One picture: its classes (one with softmax, any number of tags with sigmoid), and scores.

    top: the highest scores, as (label, score 0..1), falling. score: of the class that was
    asked for, else the highest. kept: whether the picture passes the filter.
    """

    labels: tuple[str, ...]
    top: tuple[tuple[str, float], ...]
    score: float
    kept: bool

    @property
    def label(self) -> str:
        """The classes in one line."""
        return ", ".join(self.labels) or NOTHING

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        top = [{"label": name, "score": score} for name, score in self.top]
        return {"label": self.label, "score": self.score, "kept": self.kept, "top": top}


def present(classifier: ImageClassifier, logits: Tensor, threshold: float = 0.0) -> Tensor:
    """Which classes each picture has, bool `[B, C]`.

    softmax: the largest logit, the first one in a tie. sigmoid: every score above the
    threshold, as for the edits; 0 = the classifier's own threshold.
    """
    about = classifier.description
    if about.activation == "softmax":
        return torch.nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]).bool()
    if threshold == 1:
        return torch.zeros_like(logits, dtype=torch.bool)
    return logits.double() > (replace(about, threshold=threshold) if threshold else about).cutoff


def predict(
    classifier: ImageClassifier,
    logits: Tensor,
    top_k: int = 1,
    threshold: float = 0.0,
    keep: int | None = None,
) -> list[Prediction]:
    """What logits `[B, C]` say about B pictures.

    threshold: a picture is kept if its score is at least this; with sigmoid also the score above
    which a tag is present (0 = the classifier's own). keep: the class that a picture must have
    to be kept; None = any.

    Raises ValueError for NaN in the logits, for a threshold outside 0..1 and for top_k < 1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it must lie between 0 and 1.")
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be at least 1.")
    if not torch.isfinite(logits).all():
        raise ValueError(
            "The classifier's results hold NaN or infinite values: its weights are damaged, or "
            "half precision was too coarse for it."
        )
    scores, has = classifier.scores(logits), present(classifier, logits, threshold)
    best = scores.topk(min(top_k, scores.shape[1]), dim=1)
    found = []
    for row in range(len(logits)):
        names = tuple(classifier.labels[i] for i in has[row].nonzero().flatten().tolist())
        values, places = best.values[row].tolist(), best.indices[row].tolist()
        top = tuple((classifier.labels[i], s) for i, s in zip(places, values, strict=True))
        score = top[0][1] if keep is None else float(scores[row, keep])
        wanted = bool(names) if keep is None else bool(has[row, keep])
        found.append(Prediction(names, top, score, wanted and score >= threshold))
    return found
