"""`*.edit.json`: an edit stack as a small file to keep and to share."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..checks import is_text, quoted, shortened
from ..files import EDIT_ENDING, open_file, resolve_inside, write_new, write_whole
from .record import Cell, Edit, EditStack, as_float32, check_edit

FORMAT = "detour-edit"
VERSION = 1
LONGEST_NUMBER = 400
"""Digits of a number in an edit file."""
LARGEST = 4 * 2**20
"""Bytes: a larger file is no edit file, and none is written."""


def to_json(stack: EditStack) -> dict[str, Any]:
    """The stack as plain data: format, version, architecture, head (shape, hashes), edits."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "architecture": stack.architecture,
        "head": {
            "shape": list(stack.shape),
            "sha256": stack.sha256,
            "sha256_rounded": dict(stack.halves),
        },
        "edits": [_edit_to_json(edit) for edit in stack.edits],
    }


def from_json(data: Any) -> EditStack:
    """The stack of plain data; raises ValueError with the field that is wrong."""
    top = _object(data, "the file")
    if top.get("format") != FORMAT:
        raise ValueError(f"This is no edit file: its format is {quoted(top.get('format'))}.")
    if top.get("version") != VERSION:
        raise ValueError(
            f"This edit file has version {quoted(top.get('version'))}; this release reads "
            f"version {VERSION}. Update Detour."
        )
    head = _object(top.get("head"), "head")
    sizes = _list(head.get("shape"), "head.shape")
    if len(sizes) != 2:
        raise ValueError(f"head.shape is {quoted(sizes)}; two numbers are needed.")
    shape = (_integer(sizes[0], "head.shape"), _integer(sizes[1], "head.shape"))
    sha256 = _text(head.get("sha256"), "head.sha256")
    halves = {
        name: _text(value, "head.sha256_rounded")
        for name, value in _object(head.get("sha256_rounded", {}), "head.sha256_rounded").items()
    }
    architecture = _text(top.get("architecture", ""), "architecture")
    edits: list[Edit] = []
    old: dict[tuple[int, int | None], float] = {}
    for number, entry in enumerate(_list(top.get("edits"), "edits")):
        edit = _edit_from_json(_object(entry, f"edit {number}"), f"edit {number}")
        check_edit(edit, shape)
        for cell in edit.cells:
            if old.setdefault((cell.row, cell.column), cell.old) != cell.old:
                raise ValueError(
                    f"Edit {number} gives another old value of row {cell.row}, column "
                    f"{cell.column} than an edit before it; the file was damaged."
                )
        edits.append(edit)
    return EditStack(shape, sha256, tuple(edits), architecture, halves)


def save_edits(stack: EditStack, path: str | Path) -> Path:
    """Write an edit file; an existing one is replaced only once the new one is complete.

    Raises ValueError for edits that `load_edits` would find too large, OSError if the file
    cannot be written.
    """
    return write_whole(Path(path), partial(_write, _encoded(stack)))


def save_new_edits(stack: EditStack, name: str, folder: Path, numbered: bool = False) -> Path:
    """Write an edit file below `folder`, under a name that is free; see `write_new`."""
    write = partial(_write, _encoded(stack))
    return write_new(write, name, EDIT_ENDING, folder, numbered=numbered)


def _encoded(stack: EditStack) -> bytes:
    data = (json.dumps(to_json(stack), indent=1, allow_nan=False) + "\n").encode("ascii")
    if len(data) > LARGEST:
        raise ValueError(
            f"These {len(stack.edits)} edits make a file of {len(data):,} bytes, more than the "
            f"{LARGEST:,} that can be read again: take edits off, or save the classifier with "
            "them instead."
        )
    return data


def _write(data: bytes, draft: Path) -> None:
    draft.write_bytes(data)


def load_edits(path: str | Path) -> EditStack:
    """Read an edit file; raises ValueError with what is wrong with it."""
    source = Path(path)
    name = shortened(source.name, 100)
    with open_file(source) as file:
        raw = file.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise ValueError(f"{name} is larger than {LARGEST >> 20} MiB: no edit file.")
    try:
        data = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_int=_whole)
        return from_json(data)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{name} is no edit file: not readable as JSON.") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def named_edits(name: str, roots: Sequence[Path]) -> EditStack:
    """The edits of a file below one of the folders; a link there is the user's own.

    Raises ValueError for another ending, for a name that leads out of the folders and for what
    is wrong in the file; FileNotFoundError where none of them has it.
    """
    if not isinstance(name, str) or not name.endswith(EDIT_ENDING):
        raise ValueError(f"The edit file is {quoted(name)}; an edit file ends with {EDIT_ENDING}.")
    return load_edits(resolve_inside(name, roots, links=True))


def _edit_to_json(edit: Edit) -> dict[str, Any]:
    cells = [
        {
            "kind": "bias" if cell.column is None else "weight",
            "row": cell.row,
            "column": cell.column,
            "old": cell.old,
            "new": cell.new,
        }
        for cell in edit.cells
    ]
    return {
        "method": edit.method,
        "class_index": edit.class_index,
        "class_name": edit.class_name,
        "degree": edit.degree,
        "cells": cells,
        "metrics_before": dict(edit.metrics_before),
        "metrics_after": dict(edit.metrics_after),
        "meaning": edit.meaning,
        "proof": edit.proof,
    }


def _edit_from_json(entry: dict[str, Any], where: str) -> Edit:
    index = entry.get("class_index")
    return Edit(
        cells=tuple(
            _cell_from_json(_object(cell, f"a cell of {where}"), where)
            for cell in _list(entry.get("cells"), f"cells of {where}")
        ),
        degree=_number(entry.get("degree"), f"degree of {where}"),
        method=_text(entry.get("method", ""), f"method of {where}"),
        class_index=None if index is None else _integer(index, f"class_index of {where}"),
        class_name=_text(entry.get("class_name", ""), f"class_name of {where}"),
        metrics_before=_object(entry.get("metrics_before", {}), f"metrics_before of {where}"),
        metrics_after=_object(entry.get("metrics_after", {}), f"metrics_after of {where}"),
        meaning=_text(entry.get("meaning", ""), f"meaning of {where}"),
        proof=_text(entry.get("proof", ""), f"proof of {where}"),
    )


def _cell_from_json(cell: dict[str, Any], where: str) -> Cell:
    kind = cell.get("kind")
    if kind not in ("weight", "bias"):
        raise ValueError(
            f"A cell of {where} has the kind {quoted(kind)}; 'weight' or 'bias' is known."
        )
    column = _integer(cell.get("column"), f"column of {where}") if kind == "weight" else None
    old, new = (_number(cell.get(name), f"{name} of {where}") for name in ("old", "new"))
    row = _integer(cell.get("row"), f"row of {where}")
    return Cell(row, column, as_float32(old), as_float32(new))


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"it holds a number of {len(digits)} digits; none needs so many.")
    return int(digits)


def _no_constant(name: str) -> float:
    raise ValueError(f"it holds {name}; every number must be finite.")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {quoted(value)}; an object is needed.")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is {quoted(value)}; a list is needed.")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not is_text(value):
        raise ValueError(f"{what} is {quoted(value)}; a text is needed.")
    return value


def _integer(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{what} is {quoted(value)}; a whole number from 0 is needed.")
    return value


def _number(value: Any, what: str) -> float:
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not numeric or abs(value) > 1e308 or not math.isfinite(value):
        raise ValueError(f"{what} is {quoted(value)}; a finite number is needed.")
    return float(value)
