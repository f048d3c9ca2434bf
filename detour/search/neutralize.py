"""From probes to a finished edit, the same in every host: choose, record, measure before and
after, with the ladder of sizes beside every method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..edit.apply import changed_logits, correct, predictions, stack_logits, with_edits
from ..edit.edited import EditedClassifier
from ..edit.record import Change, Edit, EditStack, edit_of, new_stack
from ..judge.degree import DegreeCurve, degree_curve
from ..judge.gap import Standing, shortcut_gap, standings
from ..judge.groups import Gain, GroupMetrics, collateral, gain, group_metrics
from ..probes.features import Probes
from ..probes.parts import split_parts
from ..probes.probe_set import ProbeSet
from .closed_forms import from_group_means, from_pairs
from .ladder import Ladder, build_ladder, smallest
from .mend import Mended, mend
from .mistakes import check_labels, prepared
from .one_weight import Progress, quiet
from .problem import searched_rows
from .settings import AUTO, SEARCHED, Search, read_search
from .where import room_to_search


@dataclass(frozen=True, eq=False)
class Neutralized:
    """A new edit on top of its stack, and what it does on probes that did not choose it.

    search: what was asked for. notes: sentences about how the edit was chosen. before, after:
    metrics on the report part (out of fold with cross-fitting and degree 1). curve: the same
    against the degree. collateral: share of the predictions of other classes that changed; None
    for a tag, whose edit reaches no other tag. gap: mean logit with minus without the feature on
    the same pictures, before and after, for `paired`; with two classes the logit minus the other
    one's, which is what counts and what `paired` closes. Fields that need classes are None
    without them. standings: for `paired` with more than two classes, the class's place before,
    after, and with a shift of its bias alone. gain: what may be claimed of worst-group accuracy;
    None without classes and without an edit. no_ladder: why there is none beside a closed form.
    found_degree: the degree that `evidence` found to be best on the validation part, if it
    looked and there is such a part; not_compared: the groups that this part lacks. learned: the
    classifier itself was fitted on some of the probes that are reported on. mended: of `mistakes`,
    what is said beside its edit.
    """

    search: Search
    stack: EditStack
    notes: tuple[str, ...] = ()
    before: GroupMetrics | None = None
    after: GroupMetrics | None = None
    curve: DegreeCurve | None = None
    collateral: float | None = None
    gap: tuple[float, float] | None = None
    standings: tuple[Standing, ...] = ()
    gain: Gain | None = None
    ladder: Ladder | None = None
    no_ladder: str = ""
    found_degree: float | None = None
    not_compared: tuple[str, ...] = ()
    learned: bool = False
    mended: Mended | None = None

    @property
    def edit(self) -> Edit:
        """The new edit."""
        return self.stack.edits[-1]

    @property
    def unit(self) -> float:
        """The degree that "as found" stands for: 1, or what `evidence` took for the best."""
        return self.found_degree or 1.0  # no multiple of 0 is anything else

    @property
    def is_in_sample(self) -> bool:
        """Whether the figures are of the probes that chose the edit: out of fold there are those
        of degree 1 only."""
        ladder = self.ladder if self.search.method in SEARCHED else None
        return ladder is not None and ladder.in_sample and self.edit.degree != 1


def neutralize_classifier(
    classifier: EditedClassifier, probe_set: ProbeSet, progress: Progress, **typed: Any
) -> tuple[Probes, Neutralized]:
    """The probes as the classifier sees them, and the edit on top of those that it has.

    typed: the settings as they were typed, see `read_search`. Features take long: they are
    computed once the settings are known to be of use.
    """
    search = read_search(classifier.unedited.description, probe_set, **typed)
    if search.method == "mistakes":
        check_labels(probe_set)
    probes = classifier.probes(probe_set, tag=typed.get("target_class") or "")
    if search.method == "mistakes":
        probes, search = prepared(probes, classifier.stack, search)
    searched = len(searched_rows(probes, search.target_class))
    with room_to_search(classifier.runtime, probes, searched) as placed:
        done = neutralize(placed, search, classifier.stack, progress)
    crossfit = done.ladder is not None and done.ladder.in_sample
    learned = classifier.learned_from(probe_set, search.split_seed, whole=crossfit)
    return probes, replace(done, learned=learned)


def neutralize(
    probes: Probes, search: Search, stack: EditStack | None = None, progress: Progress = quiet
) -> Neutralized:
    """Neutralise the spurious feature of the probes, on top of the edits there are.

    probes: with the *unedited* head. stack: edits of it that stay (none if None). The closed
    forms have the ladder of the search beside them, where there are classes.
    Raises ValueError for probes without a head, and as the methods do.
    """
    stack = new_stack(probes.head) if stack is None else stack
    if search.method == "mistakes":
        probes, search = prepared(probes, stack, search)
    now = with_edits(probes, stack)
    ladder, mended, found, lacking = None, None, None, ()
    if search.method == "mistakes":
        ladder, mended = mend(now, search, progress)
    elif search.method == "worst_group":
        ladder = build_ladder(now, search, progress)
    if ladder is not None:
        change, rows = ladder.edit.change, ladder.report_rows
        notes = filter(None, (*ladder.notes, ladder.reason))
    else:
        change, rows, *notes = _closed_form(now, search)
    if search.method == "evidence" and search.auto_degree:
        found, lacking = _best_degree(probes, stack.push(edit_of(change, probes.head)), search)
    made = edit_of(
        change,
        probes.head,
        degree=search.degree if found is None else found * search.degree,
        method=search.method,
        class_name=probes.class_name(probes.label(change.row)) if probes.class_names else "",
    )
    done = Neutralized(
        search,
        stack.push(made),
        tuple(notes),
        ladder=ladder,
        found_degree=found,
        not_compared=lacking,
        mended=mended,
    )
    if search.method == "paired":
        done = _paired_up(probes, now, done, rows)
    if probes.classes is None:
        return done
    done = _measured(probes, now, done, rows)
    return done if ladder is not None else _beside(now, done, progress)


def _closed_form(now: Probes, search: Search) -> tuple[Change, Tensor, str]:
    """The change, the probes to report on, and how it was chosen."""
    form = from_group_means if search.method == "evidence" else from_pairs
    sizes, size = {"one_weight": False, "one_weight_bias": True}, search.size
    parts = split_parts(now, search.split_seed)
    if size == AUTO and (now.bias is None or now.classes is None or len(parts.validate) == 0):
        size = "one_weight"
    report = parts.report if now.classes is not None else torch.cat([parts.validate, parts.report])
    about = f"Chosen on {len(parts.choose)} probes, reported on {len(report)} others."
    changes = {
        name: form(now, parts.choose, search.target_class, with_bias, search.attribute)
        for name, with_bias in sizes.items()
        if size in (AUTO, name)
    }
    if size != AUTO:
        return changes[size], report, about
    right = {n: correct(now, changed_logits(now, change)) for n, change in changes.items()}
    name, reason = smallest(now, right, parts.validate, search.split_seed)
    return changes[name], report, f"{about} {reason}"


def _best_degree(
    probes: Probes, stack: EditStack, search: Search
) -> tuple[float | None, tuple[str, ...]]:
    """The best degree of the last edit on the validation part, and the groups that it lacks;
    None where there is no such part."""
    validate = split_parts(probes, search.split_seed).validate
    if len(validate) == 0:
        return None, ()
    curve = degree_curve(probes, stack, validate)
    start = curve.start
    return curve.best(), tuple(start.names[g] for g in start.unmeasured)


def _paired_up(probes: Probes, now: Probes, done: Neutralized, rows: Tensor) -> Neutralized:
    """With what can be measured on the same pictures, whatever they show."""
    row, attribute = done.edit.class_index or 0, done.search.attribute
    logits = stack_logits(probes, done.stack)
    choose = split_parts(now, done.search.split_seed).choose
    scores = [z - z.flip(1) if now.is_binary else z for z in (now.z, logits)]
    before, after = (shortcut_gap(now, z, row, rows, attribute) for z in scores)
    was, found = (predictions(now, z)[rows] for z in (now.z, logits))
    return replace(
        done,
        gap=(before, after),
        collateral=None if now.is_tagged else collateral(was, found, {row}),
        standings=standings(now, logits, row, choose, rows, attribute),
    )


def _measured(probes: Probes, now: Probes, done: Neutralized, rows: Tensor) -> Neutralized:
    """With the accuracies of the groups."""
    was, found = predictions(now, now.z), predictions(now, stack_logits(probes, done.stack))
    out_of_fold = done.ladder is not None and done.ladder.in_sample and not done.is_in_sample
    if done.ladder is not None and out_of_fold and done.edit.cells:  # else the head is as it was
        found = done.ladder.judged
    right = was == now.y, found == now.y
    before, after = (group_metrics(now, one, rows) for one in right)
    edited = {cell.row for cell in done.edit.cells}
    made = replace(done.edit, metrics_before=before.as_dict(), metrics_after=after.as_dict())
    seed = done.search.split_seed
    claims = made.cells and done.mended is None  # where the wrong ones begin at 0, any edit gains
    return replace(
        done,
        stack=done.stack.undo().push(made),
        before=before,
        after=after,
        collateral=None if now.is_tagged else collateral(was[rows], found[rows], edited),
        gain=gain(now, right, rows, done.is_in_sample, seed) if claims else None,
        curve=degree_curve(probes, done.stack, rows),
    )


def _beside(now: Probes, done: Neutralized, progress: Progress) -> Neutralized:
    """With the ladder of the search, the closed form's rival."""
    search = replace(done.search, method="worst_group", size=AUTO)
    try:
        return replace(done, ladder=build_ladder(now, search, progress))
    except ValueError as reason:  # the closed forms need less than the search does
        return replace(done, no_ladder=str(reason))
