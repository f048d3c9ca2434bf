"""What a classifier says about pictures: labels, scores, and which pictures to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .model import ImageClassifier

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


def describe_predictions(found: Sequence[Prediction], most: int | None = None) -> str:
    """How many are kept, the share of each label, a line for each picture (the first `most`)."""
    kept = sum(one.kept for one in found)
    each = Counter(one.label for one in found).most_common()
    counts = ", ".join(f"{count} {label} ({count / len(found):.0%})" for label, count in each)
    lines = [
        f"{number}: {one.label}  " + ", ".join(f"{name} {score:.1%}" for name, score in one.top)
        for number, one in enumerate(found[:most], 1)
    ]
    more = len(found) - len(lines)
    last = [f"... and {more} more"] if more else []
    return "\n".join([f"{kept} of {len(found)} pictures kept", counts, *lines, *last])
