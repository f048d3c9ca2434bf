"""The edit record: changed numbers of a head, against the head as it was loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..checks import quoted
from ..classifier.head import Head


@dataclass(frozen=True)
class Change:
    """`W[row, j] -= t` for every (j, t) in `weights`, and `b[row] += shift`.

    others: the same for further rows, each row once and without others of its own. The empty
    change is "no edit".
    """

    row: int
    weights: tuple[tuple[int, float], ...] = ()
    shift: float = 0.0
    others: tuple[Change, ...] = ()

    @property
    def by_row(self) -> tuple[Change, ...]:
        """One change for each row."""
        return (replace(self, others=()), *self.others)

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows (classes) of the head that it is about."""
        return tuple(part.row for part in self.by_row)

    @property
    def numbers(self) -> int:
        """How many numbers of the head are edited."""
        return sum(len(part.weights) + (part.shift != 0) for part in self.by_row)


@dataclass(frozen=True)
class Cell:
    """One edited number: `weight[row, column]`, or `bias[row]` where column is None.

    old: its unedited value. new: its value at degree 1. Both are float32 values.
    """

    row: int
    column: int | None
    old: float
    new: float


@dataclass(frozen=True)
class Edit:
    """One edit: the cells that move together, by `degree` (0 = none, 1 = as found).

    metrics_before, metrics_after: what was measured when it was made, for people. meaning, proof:
    in words what it does, and on what that was shown; empty where nobody wrote them.
    """

    cells: tuple[Cell, ...]
    degree: float = 1.0
    method: str = ""
    class_index: int | None = None
    class_name: str = ""
    metrics_before: Mapping[str, Any] = field(default_factory=dict)
    metrics_after: Mapping[str, Any] = field(default_factory=dict)
    meaning: str = ""
    proof: str = ""


@dataclass(frozen=True)
class EditStack:
    """All edits of one head, oldest first; nothing is ever written into the head itself.

    shape, sha256, halves: those of the unedited head; no halves in files of old releases.
    """

    shape: tuple[int, int]
    sha256: str
    edits: tuple[Edit, ...] = ()
    architecture: str = ""
    halves: Mapping[str, str] = field(default_factory=dict)

    def push(self, *edits: Edit) -> EditStack:
        """The stack with more edits on top; refuses cells outside the head or with NaN."""
        for edit in edits:
            check_edit(edit, self.shape)
        return replace(self, edits=(*self.edits, *edits))

    def undo(self) -> EditStack:
        """The stack without its last edit: exactly what it was before.

        Raises ValueError if there is none.
        """
        if not self.edits:
            raise ValueError("There is no edit to undo: the classifier is as it was loaded.")
        return replace(self, edits=self.edits[:-1])

    def with_degree(self, degree: float) -> EditStack:
        """The stack with the last edit at another degree."""
        if not self.edits:
            raise ValueError("There is no edit whose degree could be set.")
        return self.undo().push(replace(self.edits[-1], degree=degree))

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows (classes) of the head that an edit touches."""
        return tuple(sorted({cell.row for edit in self.edits for cell in edit.cells}))


def new_stack(head: Head, architecture: str = "") -> EditStack:
    """An empty stack for an unedited head."""
    return EditStack(head.shape, head.sha256, (), architecture, head.halves)


def edit_of(change: Change, head: Head, **about: Any) -> Edit:
    """The edit that a change makes of an *unedited* head; `about`: fields of `Edit`.

    `new` is float32(old - t), float32(old + shift). Raises ValueError if the head has no
    bias to shift, or if a number leaves the range of float32.
    """
    cells = [cell for part in change.by_row for cell in _cells_of(part, head)]
    edit = Edit(tuple(cells), class_index=change.row, **about)
    check_edit(edit, head.shape)
    return edit


def _cells_of(change: Change, head: Head) -> Iterator[Cell]:
    """The cells of one row."""
    for column, t in change.weights:
        old = float(head.weight[change.row, column])
        yield Cell(change.row, column, old, as_float32(old - t))
    if change.shift:
        if head.bias is None:
            raise ValueError(
                "This head has no bias, so it cannot be shifted. Choose the edit 'one_weight'."
            )
        old = float(head.bias[change.row])
        yield Cell(change.row, None, old, as_float32(old + change.shift))


def check_edit(edit: Edit, shape: tuple[int, int]) -> None:
    """Refuse an edit that does not fit a head of this shape or holds a NaN."""
    if not math.isfinite(edit.degree):
        raise ValueError(f"The degree is {edit.degree}; it must be a finite number.")
    if edit.class_index is not None and not 0 <= edit.class_index < shape[0]:
        raise ValueError(
            f"The edit is said to be about class {quoted(edit.class_index)}; the head has "
            f"{shape[0]} of them. Is it for another model?"
        )
    places = [(cell.row, cell.column) for cell in edit.cells]
    for cell in edit.cells:
        inside = 0 <= cell.row < shape[0]
        if cell.column is not None:
            inside = inside and 0 <= cell.column < shape[1]
        if not inside:
            raise ValueError(
                f"The edit changes row {cell.row}, column {cell.column}; the head has "
                f"{shape[0]} rows and {shape[1]} columns. Is it for another model?"
            )
        if not (math.isfinite(as_float32(cell.old)) and math.isfinite(as_float32(cell.new))):
            raise ValueError(
                f"The edit of row {cell.row}, column {cell.column} goes from {cell.old} to "
                f"{cell.new}; both must be finite float32 numbers."
            )
    if len(set(places)) < len(places):
        raise ValueError(f"The edit names a cell twice: {places}. Each may occur once.")


def as_float32(value: float) -> float:
    """The float32 number nearest to a value, infinite beyond their range."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))
