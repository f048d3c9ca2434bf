"""Labels that lie in a file of their own beside the network, where its configuration has none."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ..checks import quoted
from .facts import Facts, parse_json, read_facts, read_text

_STEMS = ("labels", "class_names", "classes", "id2label", "tags", "top_tags")
FILES = tuple(f"{stem}{ending}" for stem in _STEMS for ending in (".txt", ".json"))
_NUMBERED = re.compile(r"LABEL_\d+")


def labelled(folder: Path, facts: Facts) -> Facts:
    """The facts with the labels of a file in the folder, if they have none of their own.

    transformers calls classes without names LABEL_0, LABEL_1, ...: those are no names, but stay
    if there are no others. Raises ValueError for a file that cannot be used.
    """
    if facts.labels and not are_numbered(facts.labels):
        return facts
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        return facts
    note = f"Its folder names the classes in {path.name}."
    return replace(facts, labels=_read(path), notes=(*facts.notes, note))


def are_numbered(labels: tuple[str, ...]) -> bool:
    """Whether the labels say no more than LABEL_0, LABEL_1, ..."""
    return all(isinstance(label, str) and _NUMBERED.fullmatch(label) for label in labels)


def _read(path: Path) -> tuple[str, ...]:
    """One label a line; or as JSON: a list, numbers with their labels, or labels with numbers."""
    text = read_text(path, "a list of labels")
    if path.suffix == ".txt":
        return tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())
    told = parse_json(f'{{"labels": {text}}}', path.name)
    inner = told["labels"]
    if isinstance(inner, dict) and inner and all(type(number) is int for number in inner.values()):
        told = {"labels": {str(number): label for label, number in inner.items()}}
    elif isinstance(inner, dict) and not all(str(key).isdigit() for key in inner):
        told = inner
    labels = read_facts(told).labels
    if not labels:
        raise ValueError(
            f"{path.name} holds no list of labels ({quoted(text, 60)}): write one a line into "
            "labels.txt, or take it out of the folder."
        )
    return labels
