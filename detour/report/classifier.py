"""What a loaded classifier is, in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..checks import listed, shortened
from ..classifier.model import ImageClassifier, Prediction

SHOWN = 8
"""Labels that are named."""
LONGEST = 80
"""Letters of each of them."""


def describe_classifier(classifier: ImageClassifier, name: str) -> str:
    """Network, classes, activation, and the assumptions of the loader.

    name: of its file.
    """
    labels, about = classifier.labels, classifier.description
    some = ", ".join(shortened(label, LONGEST) for label in labels[:SHOWN])
    some += ", ..." if len(labels) > SHOWN else ""
    limit = f", threshold {about.threshold:g}" if about.activation == "sigmoid" else ""
    lines = [
        f"{name}: {about.architecture or 'a head on CLIP vision'}",
        f"{len(labels)} class{'es' if len(labels) > 1 else ''}: {some}",
        f"{classifier.feature_count} features, {about.activation}{limit}",
    ]
    return "\n".join([*lines, *classifier.notes])


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


def describe_changes(before: Sequence[Prediction], after: Sequence[Prediction]) -> str:
    """How many pictures changed their label between two classifiers, from what to what, which."""
    changed = [
        (number, f"{old.label} -> {new.label}")
        for number, (old, new) in enumerate(zip(before, after, strict=True), 1)
        if old.label != new.label
    ]
    lines = [f"{len(changed)} of {len(after)} pictures changed their label"]
    for change, count in Counter(change for _, change in changed).most_common():
        numbers = [number for number, own in changed if own == change]
        lines.append(f"  {change}: {count} (pictures {listed(numbers, 20)})")
    return "\n".join(lines)
