"""What a classifier is, apart from its weights: labels, preprocessing, activation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..user_input import folded_name, is_number, is_text, listed, quoted
from .preprocess import Preprocessing

ACTIVATIONS = ("softmax", "sigmoid")


@dataclass(frozen=True)
class Description:
    """Everything about a classifier that its weights do not tell.

    labels: one name per class, in the order of the logits.
    architecture: `library:name`, for example `torchvision:resnet50`; empty for a backbone
        that only a host can build.
    preprocessing: what happens to a picture first.
    activation: `softmax` (one class per picture) or `sigmoid` (each class by itself, taggers).
    threshold: with `sigmoid`, the score from which a class counts as present, between 0 and 1.
    config: the JSON from which a transformers network is built, or what timm is told beside the
        name; empty for others.
    backbone_hash: names the backbone of a head that was fitted on a host's model; else empty.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    labels: tuple[str, ...]
    architecture: str = ""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    activation: str = "softmax"
    threshold: float = 0.5
    config: str = ""
    backbone_hash: str = ""

    def __post_init__(self) -> None:
        if not self.labels:
            raise ValueError("A classifier needs at least one label.")
        for index, label in enumerate(self.labels):
            if not isinstance(label, str) or not label.strip() or not is_text(label):
                raise ValueError(f"Label {index} is {quoted(label)}: every class needs a name.")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation {quoted(self.activation)} is unknown: use softmax (one class per "
                "picture) or sigmoid (tags)."
            )
        if not isinstance(self.threshold, (int, float)) or not 0 < self.threshold < 1:
            raise ValueError(f"threshold {quoted(self.threshold)} must lie between 0 and 1.")

    @property
    def cutoff(self) -> float:
        """The logit from which a class counts as present with `sigmoid`."""
        return math.log(self.threshold / (1 - self.threshold))

    def index_of(self, label: str) -> int:
        """The class of a label, or of its number written as text.

        A label wins over a number; upper and lower case, and the ways to write an accent, are
        the same unless that is ambiguous.
        Raises ValueError for an unknown label and for one that several classes carry.
        """
        wanted, folded = label.strip(), folded_name(label)
        for found in (
            [i for i, name in enumerate(self.labels) if name == wanted],
            [i for i, name in enumerate(self.labels) if folded_name(name) == folded],
        ):
            if len(found) == 1:
                return found[0]
            if found:
                raise ValueError(
                    f"Classes {listed(found)} are all called {quoted(wanted)}: write "
                    "the number of the one that you mean."
                )
        if is_number(wanted) and int(wanted) < len(self.labels):
            return int(wanted)
        raise ValueError(
            f"There is no class {quoted(wanted)} among the {len(self.labels)} of this classifier: "
            f"use one of {listed(self.labels)}, or a number from 0 to {len(self.labels) - 1}."
        )
