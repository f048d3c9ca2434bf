"""What the routes do. Loading this file loads what classifiers need."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..detour.classifier.model import predict
from ..detour.classifier.save import save_new_classifier
from ..detour.edit.apply import effective_cells
from ..detour.edit.edited import EditedClassifier
from ..detour.edit.file import named_edits, save_new_edits, to_json
from ..detour.files import name_below, resolve_inside
from ..detour.probes.folder import read_folder
from ..detour.probes.pictures import Encoded
from ..detour.report.edit import edit_numbers, edit_text
from ..detour.report.groups import group_numbers
from ..detour.report.proof import applied_text, described
from ..detour.search.check import check_edits
from ..detour.search.neutralize import neutralize_classifier
from ..detour.search.settings import Search
from .classifier_host import load_hosted
from .folders import edit_roots, edit_save_folder, model_save_folder, picture_roots
from .work import Work


def classified(work: Work, asked: Any, images: list[bytes]) -> dict[str, Any]:
    """The predictions for pictures in the bytes of their files."""
    classifier = _asked_for(work, asked, asked.degree)
    pictures = [Encoded(data, f"images[{number}]") for number, data in enumerate(images)]
    found = predict(classifier.edited(), classifier.logits(pictures), asked.top_k, asked.threshold)
    return {
        "classifier": asked.classifier,
        "labels": list(classifier.unedited.labels),
        "predictions": [one.as_dict() for one in found],
    }


def edited(work: Work, asked: Any) -> dict[str, Any]:
    """Each number that the edit changes, the name of the saved classifier if one is, what the
    edit does in words, and the groups before and after on the probes if some are named."""
    unedited = load_hosted(work, asked.classifier)
    edits = named_edits(asked.edit, edit_roots())
    classifier = unedited.with_more(edits, asked.degree)
    checked = None
    if asked.probes:
        probe_set = read_folder(resolve_inside(asked.probes, picture_roots()))
        checked = check_edits(classifier, unedited, probe_set)
    made = classifier.edited()
    own = classifier.unedited
    changed = [
        {"row": row, "column": column, "from": _at(own, row, column), "to": value}
        for (row, column), value in effective_cells(classifier.stack).items()
    ]
    saved = ""
    if asked.save_as:
        path = save_new_classifier(made, asked.save_as, model_save_folder())
        saved = name_below(path, model_save_folder())
    return {
        "classifier": asked.classifier,
        "changed": changed,
        "saved_as": saved,
        "report": applied_text(edits, classifier.stack.sha256, checked, asked.degree),
        "check": None if checked is None else group_numbers(checked),
    }


def neutralized(work: Work, asked: Any) -> dict[str, Any]:
    """An edit on top of those that the classifier has: report, numbers, all edits as a file."""
    classifier = _asked_for(work, asked, 1.0)
    probe_set = read_folder(resolve_inside(asked.probes, picture_roots()))
    typed = {field.name: getattr(asked, field.name) for field in fields(Search)}
    seen, done = neutralize_classifier(classifier, probe_set, work.shared("Searching"), **typed)
    feature = seen.attribute_name(done.search.attribute)
    done = described(done, feature)
    saved = ""
    if asked.save_as:
        path = save_new_edits(done.stack, asked.save_as, edit_save_folder())
        saved = name_below(path, edit_save_folder())
    return {
        "classifier": asked.classifier,
        "report": edit_text(done, feature),
        "numbers": edit_numbers(done),
        "edit": to_json(done.stack),
        "saved_as": saved,
    }


def _asked_for(work: Work, asked: Any, degree: float) -> EditedClassifier:
    """The classifier that a request names, with the edits of its file, if it names one."""
    classifier = load_hosted(work, asked.classifier)
    if not asked.edit:
        return classifier
    return classifier.with_more(named_edits(asked.edit, edit_roots()), degree)


def _at(classifier: Any, row: int, column: int | None) -> float:
    return float(classifier.bias[row] if column is None else classifier.weight[row, column])
