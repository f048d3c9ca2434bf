"""What the tab's buttons do: classifiers, pictures, probes and edits.

Every action takes what is held, the work under way and the controls' values, and returns what
is held then and what is shown. Loading this file loads what classifiers need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..detour.checks import (
    counted,
    quoted,
    read_degree,
    read_number,
    read_whole,
)
from ..detour.classifier.model import predict
from ..detour.classifier.save import save_new_classifier
from ..detour.edit.edited import EditedClassifier
from ..detour.edit.file import named_edits, save_new_edits
from ..detour.edit.record import EditStack
from ..detour.files import name_below, resolve_inside
from ..detour.images import check_image
from ..detour.judge.compare import Comparison, compare, compare_classifiers
from ..detour.judge.degree import DegreeCurve
from ..detour.probes.features import Probes
from ..detour.probes.folder import passed_over, pictures_of, read_folder
from ..detour.probes.pictures import make_thumbnail
from ..detour.probes.probe_set import ProbeSet
from ..detour.report.bars import stacked
from ..detour.report.classifier import describe_classifier, describe_predictions
from ..detour.report.degree import degree_lines, draw_degree
from ..detour.report.edit import edit_picture, edit_text
from ..detour.report.groups import draw_group_bars, group_text
from ..detour.report.probes import describe_probes, preview
from ..detour.report.proof import (
    applied_picture,
    applied_text,
    described,
    described_again,
    described_removal,
)
from ..detour.report.removal import draw_removal, removal_text
from ..detour.report.sentences import edit_lines
from ..detour.search.check import check_edits
from ..detour.search.neutralize import neutralize_classifier
from ..detour.search.remove_class import remove_from_classifier
from ..detour.search.settings import KEEP_RIGHT
from .classifier_host import OnDevice, load_hosted
from .folders import edit_roots, edit_save_folder, model_save_folder, picture_roots
from .work import Action, Held, Shown, Work

NO_EDIT = "There is no edit yet: find one under 4 or 5, or apply an edit file under 7."
MOST_EDITS = 20
"""Edits that are listed."""


@dataclass(frozen=True, eq=False)
class LastEdit:
    """The edit that the degree slider moves.

    probes: as the unedited head sees them. before: the edits below it. curve: accuracies
    against the degree, None without classes. unit: the degree that 1 on the slider stands
    for (`evidence` finds its own).
    """

    probes: Probes
    before: EditStack
    split_seed: int
    curve: DegreeCurve | None = None
    unit: float = 1.0


def neutralize(
    held: Held,
    work: Work,
    method: str,
    size: str,
    target_class: str | None,
    degree: float,
    max_weights: float,
    attribute: str | None,
    split_seed: float,
    auto_degree: bool,
    keep_right: float = KEEP_RIGHT,
) -> tuple[Held, Shown]:
    """Find an edit that takes the suspect feature out, on top of the edits there are."""
    classifier, probe_set = need_classifier(held, work), need_probes(held)
    seen, done = neutralize_classifier(
        classifier,
        probe_set,
        work.shared("Searching"),
        method=method,
        size=size,
        target_class=target_class,
        degree=degree,
        max_weights=max_weights,
        attribute=attribute,
        split_seed=split_seed,
        auto_degree=bool(auto_degree),
        keep_right=keep_right,
    )
    last = LastEdit(seen, classifier.stack, done.search.split_seed, done.curve, done.unit)
    told = f"{edit_lines(done.stack)[0]} {_count(done.stack)}"
    if done.edit.cells and done.found_degree == 0 != done.search.degree:
        told += " No degree did better than none; the slider counts in the formula's own degrees."
    feature = seen.attribute_name(done.search.attribute)
    done = described(done, feature)
    shown = Shown(told, edit_text(done, feature), edit_picture(done, feature))
    return replace(held, classifier=classifier.with_stack(done.stack), last=last), shown


def _count(stack: EditStack) -> str:
    return f"The classifier has {counted(len(stack.edits), 'edit')} now."


def set_degree(held: Held, work: Work, degree: float) -> tuple[Held, Shown]:
    """The last edit at another degree, measured anew; nothing is searched."""
    classifier, wanted = need_classifier(held, work), read_degree(degree)
    if not classifier.stack.edits:
        raise ValueError(NO_EDIT)
    last: LastEdit | None = held.last
    if last is None:
        raise ValueError(
            "The degree of an edit can be set here as long as it is the last one and its probes "
            "are the ones read last: find it anew, or apply its file at another degree."
        )
    stack = classifier.stack.with_degree(wanted * last.unit)
    told = f"The last edit is at degree {stack.edits[-1].degree:g} now."
    lines = [*edit_lines(stack), *degree_lines(last.curve, stack.edits[-1].degree)]
    report, chart = "\n".join(lines), None
    if last.probes.classes is not None:
        done = compare(last.probes, stack, (last.probes, last.before), "report", last.split_seed)
        stack = _with_metrics(stack, done)
        report += f"\n\n{group_text(done)}"
        pictures = [draw_group_bars(done.after, done.before)]
        if last.curve is not None:
            pictures.append(draw_degree(last.curve, stack.edits[-1].degree))
        chart = stacked(pictures)
    return replace(held, classifier=classifier.with_stack(stack)), Shown(told, report, chart)


def slide_degree(held: Held, work: Work, degree: float) -> tuple[Held, Shown]:
    """`set_degree` where there is an edit to move; else the slider waits for the next one."""
    if held.last is None:
        return held, Shown("The degree counts from the next edit on.")
    return set_degree(held, work, degree)


def _with_metrics(stack: EditStack, done: Comparison) -> EditStack:
    """The last edit with what was measured at its present degree, for its file."""
    before = {} if done.before is None else done.before.as_dict()
    made = replace(stack.edits[-1], metrics_before=before, metrics_after=done.after.as_dict())
    return described_again(stack.undo().push(made), done)


def remove(
    held: Held, work: Work, target_class: str | None, degree: float, size: str, split_seed: float
) -> tuple[Held, Shown]:
    """Edit the classifier so that it no longer predicts a class."""
    classifier, probe_set = need_classifier(held, work), need_probes(held)
    seen, done = remove_from_classifier(
        classifier,
        probe_set,
        work.shared("Searching"),
        target_class=target_class,
        degree=degree,
        size=size,
        split_seed=split_seed,
    )
    last = LastEdit(seen, classifier.stack, done.search.split_seed)
    done = described_removal(done)
    told = f"{edit_lines(done.stack)[0]} {_count(done.stack)}"
    shown = Shown(told, removal_text(done), draw_removal(done))
    return replace(held, classifier=classifier.with_stack(done.stack), last=last), shown


def evaluate(
    held: Held, work: Work, part: str, split_seed: float, target_class: str | None = None
) -> tuple[Held, Shown]:
    """Accuracy of each group, beside that of the unedited classifier; of a tagger, for one tag."""
    classifier, probe_set = need_classifier(held, work), need_probes(held)
    done = compare_classifiers(classifier, probe_set, None, part, split_seed, target_class)
    told = f"Worst-group accuracy: {done.after.worst:.1%}{done.after.of_groups}."
    return held, Shown(told, group_text(done), draw_group_bars(done.after, done.before))


def undo(held: Held, work: Work) -> tuple[Held, Shown]:
    """Take the last edit off: exactly what was before."""
    classifier = need_classifier(held, work)
    stack = classifier.stack.undo()
    shown = Shown(f"The last edit was taken off. {_count(stack)}", _listed(stack))
    return replace(held, classifier=classifier.with_stack(stack), last=None), shown


def _listed(stack: EditStack) -> str:
    """The newest edits, the last one first."""
    lines: list[str] = []
    for _ in stack.edits[-MOST_EDITS:]:
        lines += edit_lines(stack)
        stack = stack.undo()
    more = len(stack.edits)
    return "\n".join([*lines, f"and {more} more edits below"] if more else lines)


def save_edit(held: Held, work: Work, name: str) -> tuple[Held, Shown]:
    """All edits as a file of a few kilobytes, for the same model."""
    classifier = need_classifier(held, work)
    if not classifier.stack.edits:
        raise ValueError(NO_EDIT)
    path = save_new_edits(classifier.stack, name or "", edit_save_folder())
    return held, Shown(f"Saved {name_below(path, edit_save_folder())} in detour/edits.")


def apply_edit(held: Held, work: Work, file: str | None, degree: float) -> tuple[Held, Shown]:
    """The edits of a file on top of those there are, checked on the probes if some were read."""
    classifier = need_classifier(held, work)
    if not file:
        raise ValueError("No edit file was chosen: choose one, or save an edit first.")
    edits = named_edits(file, edit_roots())
    share = read_degree(degree)
    edited = classifier.with_more(edits, share)
    checked, note = None, ""
    try:
        checked = None if held.probes is None else check_edits(edited, classifier, held.probes)
    except ValueError as reason:  # the probes that were read may be for another classifier
        note = f"\n\nNot checked on the probes that were read. {reason}"
    report = applied_text(edits, edited.stack.sha256, checked, share) + note
    chart = None if checked is None else applied_picture(checked)
    shown = Shown(f"Applied {file}. {_count(edited.stack)}", report, chart)
    return replace(held, classifier=edited, last=None), shown


def save_classifier(held: Held, work: Work, name: str) -> tuple[Held, Shown]:
    """The classifier with its edits as one safetensors file."""
    classifier = need_classifier(held, work)
    path = save_new_classifier(classifier.edited(), name or "", model_save_folder())
    return held, Shown(
        f"Saved {name_below(path, model_save_folder())} in models/image_classifiers."
    )


EDIT_ACTIONS: dict[str, Action] = {
    "neutralize": neutralize,
    "set_degree": set_degree,
    "slide_degree": slide_degree,
    "remove": remove,
    "evaluate": evaluate,
    "undo": undo,
    "save_edit": save_edit,
    "apply_edit": apply_edit,
    "save_classifier": save_classifier,
}
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
    loaded = load_hosted(work, file, architecture, labels, activation, limit)
    names, report = loaded.labels, describe_classifier(loaded.unedited, file)
    told = f"Loaded {file}: {len(names)} classes."
    return Held(loaded, held.probes), Shown(told, report, labels=names[:MOST_LABELS])


def classify(
    held: Held,
    work: Work,
    files: Sequence[Any] | None,
    folder: str,
    top_k: float,
    threshold: float,
) -> tuple[Held, Shown]:
    """What the classifier says about dropped pictures, or about those in a folder."""
    classifier = need_classifier(held, work)
    top, limit = read_whole("top_k", top_k, 1, 100), read_number("The threshold", threshold, 0, 1)
    pictures, notes = (dropped(files), ()) if files else pictures_in(folder)
    for path in pictures:
        check_image(path)
    found = predict(classifier.edited(), classifier.logits(pictures), top, limit)
    shown = [
        (Image.fromarray(make_thumbnail(path).numpy()), f"{one.label} {one.score:.0%}")
        for path, one in zip(pictures[:MOST_SHOWN], found, strict=False)
    ]
    edits = counted(len(classifier.stack.edits), "edit")
    told = f"Classified {len(found)} pictures with {edits} on the classifier."
    report = "\n".join([describe_predictions(found, MOST_LISTED), *notes])
    return held, Shown(told, report, None, tuple(shown))


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
    **EDIT_ACTIONS,
}


def need_classifier(held: Held, work: Work) -> EditedClassifier:
    """The loaded classifier, to compute as this work says; ValueError if there is none."""
    if held.classifier is None:
        raise ValueError("No classifier is loaded: choose one under 1 and press Load.")
    return replace(held.classifier, runtime=OnDevice(work))


def need_probes(held: Held) -> ProbeSet:
    """The probes; ValueError if there are none."""
    if held.probes is None:
        raise ValueError("There are no probes: name their folder under 3 and press Read probes.")
    return held.probes
