"""Edit files: what is in them, what they do to a head, and what is written of them again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fuzz_safetensors import OWN
from hostile import TEXTS, changed, damaged, nested, value
from watch import Case, Make

from detour.classifier.head import Head
from detour.classifier.load import load_classifier
from detour.edit.apply import apply_edits, combined, effective_cells
from detour.edit.edited import unedited_stack
from detour.edit.file import load_edits, named_edits, save_new_edits, to_json
from detour.edit.record import Change, edit_of


@contextmanager
def opened(_folder: Path) -> Iterator[Make]:
    """The generator."""
    own = load_classifier(OWN)
    head = Head(own.weight, own.bias)
    about = {"method": "worst_group", "class_name": "builder", "metrics_before": {"worst": 0.5}}
    edits = [
        edit_of(Change(1, ((3, 0.25),), 0.5), head, degree=0.75, **about),
        edit_of(Change(0, ((1, -0.5), (2, 1.0))), head),
    ]
    tree = to_json(unedited_stack(own).push(*edits))
    yield lambda draw, place: _case(draw, place, tree, head)


def _case(draw: random.Random, place: Path, tree: dict[str, Any], head: Head) -> Case:
    kind = draw.choice(("tree", "tree", "tree", "bytes", "other", "name"))
    name = "a.edit.json"
    data = json.dumps(changed(draw, tree)).encode("utf-8", "surrogatepass")
    if kind == "bytes":
        data = damaged(draw, json.dumps(tree, indent=draw.choice((None, 1))).encode())
    elif kind == "other":
        data = _other(draw)
    elif kind == "name":
        data, name = json.dumps(tree).encode(), draw.choice((*TEXTS, f"{draw.choice(TEXTS)}/a"))
    (place / "a.edit.json").write_bytes(data)
    degree = draw.choice((0.0, 0.5, 1.0, -4.0, 4.0))
    if kind == "name":
        return Case(f"edit name {name[:60]!r}", lambda: _named(place, name), writes=True)
    return Case(f"edit {kind}", lambda: _use(place, head, degree), writes=True)


def _other(draw: random.Random) -> bytes:
    """What is no edit file at all."""
    text = draw.choice((json.dumps(value(draw)), nested(draw), "", "\ufeff{}", "{} {}", "9" * 5000))
    return draw.choice(
        (text.encode("utf-8", "surrogatepass"), draw.randbytes(50), bytes(5_000_000))
    )


def _use(place: Path, head: Head, degree: float) -> None:
    """Read, applied, and written under another name, which then says the same."""
    read = load_edits(place / "a.edit.json")
    stack = combined(type(read)(head.shape, head.sha256), read, head, degree)
    apply_edits(stack, head)
    if degree == 0.0 and not all(head.weight[r, c] == v for (r, c), v in _weights(stack).items()):
        raise AssertionError("an edit at degree 0 changed a weight")
    again = load_edits(save_new_edits(read, "b", place))
    if json.dumps(to_json(again)) != json.dumps(to_json(read)):
        raise AssertionError("an edit file came out of itself as another")


def _weights(stack: Any) -> dict[tuple[int, int], float]:
    cells = effective_cells(stack)
    return {(row, column): v for (row, column), v in cells.items() if column is not None}


def _named(place: Path, name: str) -> None:
    """A name as it is typed, to read and to write; whatever it is, it stays below the folder."""
    stack = load_edits(place / "a.edit.json")
    made = save_new_edits(stack, name, place / "out")
    if (place / "out").resolve() not in made.parents:
        raise AssertionError("an edit was written outside of its folder")
    named_edits(f"{name}.edit.json", [place / "out"])
