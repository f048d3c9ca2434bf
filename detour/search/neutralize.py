"""From probes to a finished edit, the same in every host: choose, record, measure before and
after, with the ladder of sizes beside every method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checks import LARGEST_SEED, MOST_WEIGHTS, quoted, read_degree, read_whole, require_choice
from ..classifier.facts import read_class
from ..edit.apply import changed_logits, correct, predictions, stack_logits, with_edits
from ..edit.edited import EditedClassifier
from ..edit.record import Change, Edit, EditStack, edit_of, new_stack
from ..judge.compare import CurvePoint, best_degree, degree_curve
from ..judge.gap import Standing, shortcut_gap, standings
from ..judge.groups import Gain, GroupMetrics, collateral, gain, group_metrics
from ..probes.features import NO_CLASSES, Probes
from ..probes.parts import split_parts
from ..probes.probe_set import ProbeSet, read_attribute
from .closed_forms import evidence, paired
from .fitting import AUTO
from .ladder import EDITS, Ladder, build_ladder, smallest
from .one_weight import Progress

METHODS = ("worst_group", "evidence", "paired")


@dataclass(frozen=True, eq=False)
class Neutralized:
    """A new edit on top of its stack, and what it does on probes that did not choose it.

    before, after: metrics on the report part (out of fold with cross-fitting and degree 1).
    curve: the same against the degree. collateral: share of the predictions of other classes
    that changed; None for a tag, whose edit reaches no other tag. gap: mean logit with minus
    without the feature on the same pictures, before and after, for `paired`; with two classes
    the logit minus the other one's, which is what counts and what `paired` closes. Fields that
    need classes are None without them. standings: for `paired` with more than two classes, the
    class's place before, after, and with a shift of its bias alone. learned: the classifier
    itself was fitted on some of the probes that are reported on. gain: what may be claimed of
    worst-group accuracy; None without classes and without an edit. unit: the degree that "as
    found" stands for: 1, or what `evidence` took for the best.
    """

    stack: EditStack
    before: GroupMetrics | None = None
    after: GroupMetrics | None = None
    curve: tuple[CurvePoint, ...] = ()
    collateral: float | None = None
    ladder: Ladder | None = None
    gap: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    standings: tuple[Standing, ...] = ()
    learned: bool = False
    gain: Gain | None = None
    unit: float = 1.0

    @property
    def edit(self) -> Edit:
        """The new edit."""
        return self.stack.edits[-1]


def neutralize(
    probes: Probes,
    stack: EditStack | None = None,
    method: str = "worst_group",
    edit: str = "auto",
    target: int | None = None,
    max_weights: int = 3,
    degree: float | None = None,
    present: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Neutralized:
    """Neutralise the spurious feature of the probes, on top of the edits there are.

    probes: with the *unedited* head. stack: edits of it that stay (none if None). method:
    one of `METHODS`; edit, target, max_weights, seed: see `build_ladder` (closed forms know
    no k weights). degree: 0 none, 1 as found; None is 1, and for `evidence` the degree that
    is best on the validation part. present: the attribute that is the spurious feature.
    Raises ValueError for probes without a head, an unknown method, and as the methods do.
    """
    _check(probes, method)
    stack = new_stack(probes.head) if stack is None else stack
    now = with_edits(probes, stack)
    ladder, unit = None, 1.0
    if method == "worst_group":
        ladder = build_ladder(now, target, edit, max_weights, seed, progress=progress)
        change, rows = ladder.edit.change, ladder.report_rows
        notes = [*ladder.notes, ladder.reason]
    else:
        change, rows, *notes = _closed_form(now, method, edit, target, present, seed)
    made = edit_of(change, probes.head, method=method, class_name=_name(probes, change))
    pushed = stack.push(made)
    if degree is None and method == "evidence":
        degree, note = _best_degree(probes, pushed, split_parts(now, seed).validate)
        unit = degree or 1.0  # no multiple of 0 is anything else
        notes.append(note)
    pushed = pushed.with_degree(1.0 if degree is None else degree)
    done = Neutralized(pushed, ladder=ladder, notes=tuple(notes), unit=unit)
    if method == "paired":
        parts = split_parts(now, seed).choose, rows
        done = _without_classes(probes, now, done, change.row, parts, present)
    return done if probes.classes is None else _measured(probes, now, done, rows, seed)


def _without_classes(
    probes: Probes,
    now: Probes,
    done: Neutralized,
    row: int,
    parts: tuple[Tensor, Tensor],
    present: int,
) -> Neutralized:
    """What can be measured whatever the pictures show; `parts`: rows to choose, to report on."""
    logits, (choose, rows) = stack_logits(probes, done.stack), parts
    scores = [z - z.flip(1) if now.is_binary else z for z in (now.z, logits)]
    before, after = (shortcut_gap(now, z, row, rows, present) for z in scores)
    was, found = (predictions(now, z)[rows] for z in (now.z, logits))
    return replace(
        done,
        gap=(before, after),
        collateral=None if now.is_tagged else collateral(was, found, {row}),
        standings=standings(now, logits, row, choose, rows, present),
    )


def _name(probes: Probes, change: Change) -> str:
    return probes.class_name(probes.label(change.row)) if probes.class_names else ""


def _best_degree(probes: Probes, stack: EditStack, validate: Tensor) -> tuple[float, str]:
    """The degree of `evidence`, and the sentence that says where it is from."""
    if len(validate) == 0:
        return 1.0, "There is no validation part to compare degrees on: degree 1 is the formula's."
    curve = degree_curve(probes, stack, validate)
    degree, lacking = best_degree(curve), curve[0].metrics.unmeasured_names
    note = f"Degree {degree:g} is the best on the validation part."
    if degree == 0:
        note += " There no degree of this edit is better than none."
    if lacking:
        note += f" That part has nothing of {lacking}."
    return degree, note


def _check(probes: Probes, method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"The method is {quoted(method)}; known are {', '.join(METHODS)}.")
    _ = probes.head


def _closed_form(
    now: Probes, method: str, edit: str, target: int | None, present: int, seed: int
) -> tuple[Change, Tensor, str]:
    form = evidence if method == "evidence" else paired
    sizes = {"one_weight": False, "one_weight_bias": True}
    if edit not in ("auto", *sizes):
        raise ValueError(
            f"The edit is {quoted(edit)}, but the method {quoted(method)} knows auto, one_weight "
            "and one_weight_bias only. Use the method 'worst_group' for more weights."
        )
    parts = split_parts(now, seed)
    if now.bias is None or (now.classes is None and edit == "auto"):
        edit = "one_weight" if edit == "auto" else edit
    if edit == "auto" and len(parts.validate) == 0:
        edit = "one_weight"
    report = parts.report if now.classes is not None else torch.cat([parts.validate, parts.report])
    about = f"Chosen on {len(parts.choose)} probes, reported on {len(report)} others."
    if edit != "auto":
        return form(now, parts.choose, target, sizes[edit], present), report, about
    changes = {n: form(now, parts.choose, target, bias, present) for n, bias in sizes.items()}
    right = {n: correct(now, changed_logits(now, change)) for n, change in changes.items()}
    name, reason = smallest(now, right, parts.validate, seed)
    return changes[name], report, f"{about} {reason}"


def _measured(
    probes: Probes, now: Probes, done: Neutralized, rows: Tensor, seed: int
) -> Neutralized:
    was, found = predictions(now, now.z), predictions(now, stack_logits(probes, done.stack))
    notes, seen = done.notes, done.ladder is not None and done.ladder.in_sample
    if done.ladder is not None and seen and done.edit.degree == 1:
        found, seen = done.ladder.judged, False
    elif seen:
        notes = (*notes, "At a degree other than 1 the figures are those of the probes chosen on.")
    right = was == now.y, found == now.y
    before, after = (group_metrics(now, one, rows) for one in right)
    changed = None
    if not now.is_tagged:
        edited = {cell.row for cell in done.edit.cells}
        changed = collateral(was[rows], found[rows], edited)
    made = replace(done.edit, metrics_before=before.as_dict(), metrics_after=after.as_dict())
    return replace(
        done,
        stack=done.stack.undo().push(made),
        before=before,
        after=after,
        collateral=changed,
        gain=gain(now, right, rows, seen, seed) if made.cells else None,
        curve=tuple(degree_curve(probes, done.stack, rows)),
        notes=notes,
    )


def neutralize_with_ladder(
    probes: Probes,
    stack: EditStack,
    method: str = "worst_group",
    edit: str = "auto",
    target: int | None = None,
    max_weights: int = 3,
    degree: float = 1.0,
    present: int = 1,
    seed: int = 0,
    auto_degree: bool = True,
    progress: Progress | None = None,
) -> Neutralized:
    """`neutralize`, and for the closed forms the ladder of the search beside it.

    degree: 0 none, 1 as found. auto_degree: `evidence` takes the degree that is best on the
    validation part for "as found", and `degree` multiplies it. Probes without classes have no
    ladder; where the search cannot be done, a note says why. Errors as `neutralize`.
    """
    if method == "worst_group":
        return neutralize(
            probes, stack, method, edit, target, max_weights, degree, present, seed, progress
        )

    def closed(degree: float | None) -> Neutralized:
        return neutralize(
            probes, stack, method, edit, target, degree=degree, present=present, seed=seed
        )

    found = method == "evidence" and auto_degree
    done = closed(None if found else degree)
    if found and degree != 1:
        best = done.edit.degree
        note = f"{done.notes[-1]} Here it is {degree:g} times that."
        done = replace(closed(best * degree), unit=done.unit)
        done = replace(done, notes=(*done.notes, note))
    if probes.classes is None:
        return done
    return _beside(probes, stack, done, target, max_weights, seed, progress)


def _beside(
    probes: Probes,
    stack: EditStack,
    done: Neutralized,
    target: int | None,
    max_weights: int,
    seed: int,
    progress: Progress | None,
) -> Neutralized:
    now = with_edits(probes, stack)
    try:
        ladder = build_ladder(now, target, "auto", max_weights, seed, progress=progress)
    except ValueError as reason:  # the closed forms need less than the search does
        return replace(done, notes=(*done.notes, f"No ladder beside this edit. {reason}"))
    return replace(done, ladder=ladder)


@dataclass(frozen=True)
class EditSearch:
    """The settings of one search; `neutralize_with_ladder` says what they mean.

    size: how many numbers may change, `auto` or one of `EDITS`. target_class, attribute: as
    typed, a name or a number; empty = as the method chooses, and attribute 1.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    method: str = "worst_group"
    size: str = AUTO
    target_class: str = ""
    degree: float = 1.0
    max_weights: int = 3
    attribute: str = ""
    split_seed: int = 0
    auto_degree: bool = True

    def __post_init__(self) -> None:
        require_choice("method", self.method, METHODS)
        require_choice("edit", self.size, (AUTO, *EDITS))
        put = object.__setattr__  # some controls give 3.0 for 3
        put(self, "degree", read_degree(self.degree))
        put(self, "max_weights", read_whole("max_weights", self.max_weights, 1, MOST_WEIGHTS))
        put(self, "split_seed", read_whole("split_seed", self.split_seed, 0, LARGEST_SEED))

    def run(
        self,
        classifier: EditedClassifier,
        probe_set: ProbeSet,
        progress: Callable[[float], None],
    ) -> tuple[Probes, Neutralized]:
        """The probes as the classifier sees them, and the edit on top of those that it has.

        Features take long: they are computed once the class and the attribute are known to
        exist, and classes where the method needs them.
        """
        present = read_attribute(probe_set.attribute_names, self.attribute)
        row = read_class(classifier.unedited.description, self.target_class)
        if self.method != "paired" and not probe_set.class_names:
            raise ValueError(NO_CLASSES)
        probes = classifier.probes(probe_set, tag=self.target_class)
        done = neutralize_with_ladder(
            probes,
            classifier.stack,
            self.method,
            self.size,
            row,
            self.max_weights,
            self.degree,
            present,
            self.split_seed,
            self.auto_degree,
            progress,
        )
        crossfit = done.ladder is not None and done.ladder.in_sample
        learned = classifier.learned_from(probe_set, self.split_seed, whole=crossfit)
        return probes, replace(done, learned=learned)

    def feature(self, probes: Probes) -> str:
        """What the probes call the spurious feature."""
        return probes.attribute_name(read_attribute(probes.attribute_names, self.attribute))
