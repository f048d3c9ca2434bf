"""A classifier and the edits on its head, which are kept beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .apply import apply_edits
from .record import EditStack, new_stack

if TYPE_CHECKING:
    from ..classifier.model import ImageClassifier


def unedited_stack(classifier: ImageClassifier) -> EditStack:
    """An empty stack for this classifier's head."""
    return new_stack(classifier.weight, classifier.bias, classifier.description.architecture)


def edited_classifier(classifier: ImageClassifier, stack: EditStack) -> ImageClassifier:
    """The classifier with these edits on its head, the backbone shared; itself without edits.

    Raises ValueError if the edits belong to another head.
    """
    if not stack.edits:
        return classifier
    return classifier.with_head(*apply_edits(stack, classifier.weight, classifier.bias))
