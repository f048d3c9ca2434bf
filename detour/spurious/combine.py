"""A saved stack of edits on top of the edits that a classifier already has."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from .edit import EditStack, apply_edits


def combined(
    base: EditStack, other: EditStack, weight: Tensor, bias: Tensor | None, degree: float = 1.0
) -> EditStack:
    """`base` with all edits of `other` pushed on top, their degrees times `degree`.

    weight, bias: the unedited head that both belong to. At degree 0 the head keeps its bits,
    at 1 the edits of `other` are exactly as saved; cells that both touch follow the rule of
    `apply_edits`: every edit counts from the unedited number.

    Raises ValueError for edits of another head (hash), a degree that is not finite, an edit
    that `base` has already (it would act twice), and cells that leave the range of float32.
    """
    if not math.isfinite(degree):
        raise ValueError(f"The degree is {degree}; it must be a finite number.")
    apply_edits(other, weight, bias)
    present = {edit.cells for edit in base.edits if edit.cells}
    for number, edit in enumerate(other.edits, start=1):
        if edit.cells in present:
            raise ValueError(
                f"Edit {number} (class {edit.class_name or edit.class_index}) is on this "
                "classifier already and would act twice. Connect the classifier from before it "
                "was edited, or change the degree there."
            )
    added = (replace(edit, degree=edit.degree * degree) for edit in other.edits)
    made = base.push(*added)
    apply_edits(made, weight, bias)
    return made
