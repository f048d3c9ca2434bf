"""Edits on a head: its edited rows, a saved stack on top of another, and the predictions on
cached features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..checks import shortened
from ..classifier.head import HALVES, Head
from ..probes.features import Probes, linear
from .record import Cell, Change, EditStack, as_float32, edit_of

Place = tuple[int, int | None]
"""Row and column of a weight; of a bias, its row and None."""


def edited_logits(probes: Probes, head: Head) -> Tensor:
    """Logits `[N, C]` with another head, float32; rows that did not change keep theirs.

    Raises ValueError if the probes carry no head to compare with.
    """
    own, bias = probes.head, head.bias
    changed = (own.weight != head.weight).any(dim=1)
    if bias is not None and own.bias is not None:
        changed |= own.bias != bias
    rows = changed.nonzero().flatten()
    if len(rows) == 0:
        return probes.z
    z = probes.z.clone()
    z[:, rows] = linear(probes.features, head.weight[rows], None if bias is None else bias[rows])
    return z


def changed_logits(probes: Probes, change: Change) -> Tensor:
    """Logits `[N, C]` after a change, its numbers rounded to float32 as the record has them.

    Probes without a head: the cached-feature formula in float64.
    """
    if probes.weight is not None:
        cells = edit_of(change, probes.head).cells
        new = {(cell.row, cell.column): cell.new for cell in cells}
        return edited_logits(probes, _written(probes.head, new))
    z = probes.z.to(torch.float64, copy=True)
    everything = torch.arange(len(probes))
    for part in change.by_row:
        for column, t in part.weights:
            z[:, part.row] -= t * probes.columns(everything, column, column + 1)[:, 0]
        z[:, part.row] += part.shift
    return z


def stack_logits(probes: Probes, stack: EditStack) -> Tensor:
    """Logits `[N, C]` with all edits of a stack; the probes' head must be the unedited one."""
    return edited_logits(probes, apply_edits(stack, probes.head))


def with_edits(probes: Probes, stack: EditStack) -> Probes:
    """The same probes as a head with these edits sees them; `probes` has the unedited one."""
    if not stack.edits:
        return probes
    head = apply_edits(stack, probes.head)
    return replace(probes, weight=head.weight, bias=head.bias, logits=None)


def predictions(probes: Probes, logits: Tensor) -> Tensor:
    """Predicted classes `[N]`: `argmax` (the lower index wins ties), or tag present 0/1."""
    if probes.cut is not None:
        return (logits[:, probes.tag].double() > probes.cut).long()
    return logits.argmax(dim=1)


def correct(probes: Probes, logits: Tensor) -> Tensor:
    """Which probes are predicted right, `[N]` bool."""
    return predictions(probes, logits) == probes.y


def combined(base: EditStack, other: EditStack, head: Head, degree: float = 1.0) -> EditStack:
    """`base` with all edits of `other` pushed on top, their degrees times `degree`.

    head: the unedited one that both belong to, `other` by the rule of `adopted`. At degree 0 it
    keeps its bits, at 1 the edits of `other` are exactly as saved; cells that both touch follow
    the rule of `apply_edits`: every edit counts from the unedited number.

    Raises ValueError for edits of another head (hash), a degree that is not finite, an edit
    that `base` has already (it would act twice), and cells that leave the range of float32.
    """
    if not math.isfinite(degree):
        raise ValueError(f"The degree is {degree}; it must be a finite number.")
    other = adopted(other, head)
    apply_edits(other, head)
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
    apply_edits(made, head)
    return made


def apply_edits(stack: EditStack, head: Head) -> Head:
    """The head with all edits of the stack; the given one is not written to.

    A cell becomes float32(old + sum of degree_e * (new_e - old)) computed in float64, and
    exactly `new` when a single edit at degree 1 touches it. All other cells keep their bits,
    and so does everything at degree 0. Raises ValueError if the head is not the one that the
    edits were made for, or if a cell leaves the range of its type.
    """
    if head.shape != tuple(stack.shape) or head.sha256 != stack.sha256:
        raise ValueError(_another_model(stack, head))
    _check_old(stack, head)
    return _written(head, effective_cells(stack))


def adopted(stack: EditStack, head: Head) -> EditStack:
    """The edits as edits of this head: of its own, and of the same model in another precision.

    That is so where one of the two heads is the other rounded to half precision, bit for bit; two
    different heads in full precision are never taken for one. Each number then counts from what
    it is in this head, to the same number at degree 1. Raises ValueError for another model.
    """
    if head.shape == tuple(stack.shape) and head.sha256 == stack.sha256:
        return stack
    half = _rounding(stack, head)
    if half is None:
        raise ValueError(_another_model(stack, head))
    edits = tuple(
        replace(edit, cells=tuple(_moved(cell, head, half) for cell in edit.cells))
        for edit in stack.edits
    )
    return replace(stack, sha256=head.sha256, halves=head.halves, edits=edits)


def _rounding(stack: EditStack, head: Head) -> str | None:
    """The type to which one of the two heads was rounded to give the other."""
    if head.shape != tuple(stack.shape):
        return None
    same = (
        half
        for half in HALVES
        if stack.halves.get(half) == head.sha256 or head.halves[half] == stack.sha256
    )
    return next(same, None)


def _moved(cell: Cell, head: Head, half: str) -> Cell:
    """The cell with the number of this head as its old one."""
    now = _number(cell, head)
    old, found = (torch.tensor(value).to(HALVES[half]) for value in (cell.old, now))
    if old != found:
        raise ValueError(_damaged(cell, now))
    return replace(cell, old=now)


def _another_model(stack: EditStack, head: Head) -> str:
    return (
        f"These edits were made for another model: a head of shape {list(stack.shape)} with "
        f"hash {shortened(stack.sha256[:12])}, this one is {list(head.shape)} with hash "
        f"{head.sha256[:12]}. Load the model that the edits belong to."
    )


def effective_cells(stack: EditStack) -> dict[Place, float]:
    """The value of every cell that an edit of non-zero degree touches."""
    touched: dict[Place, list[tuple[float, Cell]]] = {}
    for edit in stack.edits:
        for cell in edit.cells if edit.degree != 0 else ():
            touched.setdefault((cell.row, cell.column), []).append((edit.degree, cell))
    return {place: _effective(terms) for place, terms in touched.items()}


def _effective(terms: list[tuple[float, Cell]]) -> float:
    if len(terms) == 1 and terms[0][0] == 1:
        return terms[0][1].new
    old = terms[0][1].old
    return as_float32(old + sum(degree * (cell.new - old) for degree, cell in terms))


def _check_old(stack: EditStack, head: Head) -> None:
    for cell in (cell for edit in stack.edits for cell in edit.cells):
        now = _number(cell, head)
        if now != cell.old:
            raise ValueError(_damaged(cell, now))


def _number(cell: Cell, head: Head) -> float:
    """What stands at the cell's place in an unedited head."""
    if cell.column is not None:
        return float(head.weight[cell.row, cell.column])
    if head.bias is None:
        raise ValueError("These edits shift a bias, but this head has none.")
    return float(head.bias[cell.row])


def _damaged(cell: Cell, now: float) -> str:
    return (
        f"The edit says that row {cell.row}, column {cell.column} was {cell.old}, but it "
        f"is {now} in this head. The edit was damaged; make it again."
    )


def _written(head: Head, values: Mapping[Place, float]) -> Head:
    """A copy of the head with these numbers in it."""
    weight = head.weight.detach().clone()
    bias = None if head.bias is None else head.bias.detach().clone()
    for (row, column), value in values.items():
        if column is not None:
            _put(weight, (row, column), value)
        elif bias is not None:
            _put(bias, (row,), value)
    return Head(weight, bias)


def _put(tensor: Tensor, place: tuple[int, ...], value: float) -> None:
    tensor[place] = value
    if not bool(torch.isfinite(tensor[place])):
        raise ValueError(
            f"With these edits the number at {list(place)} becomes {value}, beyond the range of "
            f"{tensor.dtype}. Lower the degree."
        )
