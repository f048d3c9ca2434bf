"""What a loaded classifier is, in a few lines."""

from __future__ import annotations

from .model import ImageClassifier

SHOWN = 8
"""Labels that are named."""


def describe_classifier(classifier: ImageClassifier, name: str) -> str:
    """Network, classes, activation, and the assumptions of the loader.

    name: of its file.
    """
    labels, about = classifier.labels, classifier.description
    some = ", ".join(labels[:SHOWN]) + (", ..." if len(labels) > SHOWN else "")
    limit = f", threshold {about.threshold:g}" if about.activation == "sigmoid" else ""
    lines = [
        f"{name}: {about.architecture or 'a head on CLIP vision'}",
        f"{len(labels)} classes: {some}",
        f"{classifier.feature_count} features, {about.activation}{limit}",
    ]
    return "\n".join([*lines, *classifier.notes])
