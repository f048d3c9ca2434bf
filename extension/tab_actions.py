"""What the tab's buttons do: classifiers, pictures and probes. `tab_edits` has the edits.

Every action takes what is held, the work under way and the controls' values, and returns what
is held then and what is shown. Loading this file loads what classifiers need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..detour.classifier import (
    check_image,
    describe_classifier,
    describe_predictions,
    parse_labels,
    predict,
)
from ..detour.paths import resolve_inside
from ..detour.probing import describe_probes, preview, read_folder
from ..detour.probing.folder import passed_over, pictures_of
from ..detour.probing.sources import make_thumbnail
from ..detour.user_input import quoted, read_number, read_whole
from . import tab_edits
from .folders import picture_roots
from .hosted import HostedClassifier, load_hosted
from .tab_inputs import need_classifier
from .tab_session import Action, Held, Shown, Work

AUTO = "auto"
MOST_SHOWN = 60
"""Pictures that are shown with their labels; the report has more."""
MOST_LISTED = 1000
MOST_LABELS = 2000
"""Labels offered in the lists; of a classifier with more, the number can be written."""


def load(
    held: Held,
    work: Work,
    file: str | None,
    architecture: str,
    labels: str,
    activation: str,
    threshold: float,
) -> tuple[Held, Shown]:
    """Load a classifier; edits of the one before go with it, the probes stay."""
    if not file:
        raise ValueError("No classifier was chosen: put one into models/image_classifiers.")
    work.show(0.0, "Loading")
    limit = read_number("The threshold", threshold, 0, 0.999)
    hosted = load_hosted(
        file,
        architecture.strip(),
        parse_labels(labels),
        "" if activation == AUTO else activation,
        None if limit == 0 else limit,
    )
    labels, report = hosted.unedited.labels, describe_classifier(hosted.unedited, file)
    told = f"Loaded {file}: {len(labels)} classes."
    return Held(hosted, held.probes), Shown(told, report, labels=labels[:MOST_LABELS])


def classify(
    held: Held,
    work: Work,
    files: Sequence[Any] | None,
    folder: str,
    top_k: float,
    threshold: float,
) -> tuple[Held, Shown]:
    """What the classifier says about dropped pictures, or about those in a folder."""
    classifier = need_classifier(held)
    top, limit = read_whole("top_k", top_k, 1, 100), read_number("The threshold", threshold, 0, 1)
    pictures, notes = (dropped(files), ()) if files else pictures_in(folder)
    for path in pictures:
        check_image(path)
    found = predict(classifier.edited(), classifier.logits(pictures, work), top, limit)
    shown = [
        (Image.fromarray(make_thumbnail(path).numpy()), f"{one.label} {one.score:.0%}")
        for path, one in zip(pictures[:MOST_SHOWN], found, strict=False)
    ]
    told = f"Classified {len(found)} pictures with {_edits(classifier)}."
    report = "\n".join([describe_predictions(found, MOST_LISTED), *notes])
    return held, Shown(told, report, None, tuple(shown))


def _edits(classifier: HostedClassifier) -> str:
    count = len(classifier.stack.edits)
    return f"{count} edit{'' if count == 1 else 's'} on the classifier"


def dropped(files: Sequence[Any]) -> list[Path]:
    """The paths of uploaded files: Gradio 3 gives open files, Gradio 4 names."""
    return [Path(getattr(file, "name", file)) for file in files]


def pictures_in(folder: str) -> tuple[list[Path], tuple[str, ...]]:
    """The picture files of a folder below one of the picture folders, by name, and sentences
    that name what was passed over there."""
    if not folder.strip():
        raise ValueError("There is nothing to classify: drop pictures, or name a folder.")
    path = resolve_inside(folder, picture_roots())
    if not path.is_dir():
        raise ValueError(f"{quoted(folder)} is no folder: write the name of one.")
    found = pictures_of(path, path)
    if not found:
        raise ValueError(f"There are no pictures in {quoted(folder)} itself: name another folder.")
    return found, passed_over(path, found, "not in the folder itself")


def read_probes(held: Held, work: Work, folder: str) -> tuple[Held, Shown]:
    """Read labelled pictures from a folder below one of the picture folders."""
    work.show(0.0, "Reading")
    probes = read_folder(resolve_inside(folder, picture_roots()))
    work.check()
    told = f"Read {len(probes)} probe pictures in {len(probes.counts())} groups."
    shown = Shown(told, describe_probes(probes), preview(probes), attributes=probes.attribute_names)
    return replace(held, probes=probes, last=None), shown


ACTIONS: dict[str, Action] = {
    "load": load,
    "classify": classify,
    "read_probes": read_probes,
    **tab_edits.ACTIONS,
}
