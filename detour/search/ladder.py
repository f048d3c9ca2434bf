"""The ladder: what each further edited number buys, and the choice of `auto`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import quoted
from ..edit.record import Change
from ..judge.groups import GroupMetrics, collateral, group_metrics, listed, worst_difference
from ..probes.features import Probes
from ..probes.parts import needs_folds, split_parts
from .fitting import Fit, Fitted, cross_fit, nested, three_parts
from .one_weight import Progress, quiet
from .problem import Found
from .settings import AUTO, SIZES, Search
from .several import Sizes, fit_parts

UNEDITED = "unedited"
SURE = 0.8
"""`auto` edits where this interval of the gain on held-back probes lies above 0: nine draws in ten
are better. Of 95 % few edits of small groups are left, of any gain some do harm."""


@dataclass(frozen=True)
class Rung:
    """One size of edit, with its metrics on the three parts.

    choose: on the probes that it was chosen on, flattering. validate: where sizes were
    compared. report: to be reported. With cross-fitting `validate` is out of fold (each
    probe judged by an edit chosen without it), and so is `report` unless a part was given; there
    the number of weights, too, was chosen without it. collateral: on the report part, share of
    the predictions of other classes that changed.
    """

    name: str
    change: Change
    choose: GroupMetrics
    validate: GroupMetrics
    report: GroupMetrics
    collateral: float


@dataclass(frozen=True, eq=False)
class Ladder:
    """All rungs from `unedited` to `k_weights_bias`, and the one that was chosen.

    reason: a sentence why. crossfit: too few probes for three parts. approximate: some
    search did not try everything. notes: sentences for the report. report_rows: the probes
    reported on. in_sample: the edit itself was chosen on these too (cross-fitting with no
    report part of its own); the figures are out of fold even so. judged: the predictions `[N]`
    to report of the edit, of use for `report_rows`: those of the edit itself, or out of fold,
    each probe by an edit whose size, too, was chosen without it.
    """

    rungs: tuple[Rung, ...]
    chosen: str
    reason: str
    crossfit: bool
    approximate: bool
    sizes: tuple[int, int, int]
    notes: tuple[str, ...]
    report_rows: Tensor
    judged: Tensor
    in_sample: bool = False

    def __getitem__(self, name: str) -> Rung:
        return next(rung for rung in self.rungs if rung.name == name)

    @property
    def edit(self) -> Rung:
        """The chosen rung."""
        return self[self.chosen]


def build_ladder(
    probes: Probes,
    search: Search,
    progress: Progress = quiet,
    fit: Fit | None = None,
    compared: Probes | None = None,
) -> Ladder:
    """Every size of edit for worst-group accuracy, chosen, compared and reported apart.

    The size `auto` is `pick_size` on the validation part. The last rung has fewer
    than `max_weights` where more do no better on the validation part. Parts 50/25/25 by unit,
    or as the probes say; with under 40 probes of a group to validate on: five-fold
    cross-fitting. Heads without a bias have no rungs that need one.

    fit: finds the sizes on some probes; None = for worst-group accuracy. compared: the same
    probes with the groups that sizes are compared by, where it is not by their own.

    Raises ValueError for probes of one class or attribute only, or if a given split leaves a
    part empty. Source: ours.
    """
    _check_split(probes)

    def best(parts: Sequence[Tensor]) -> list[Sizes[Found]]:
        return fit_parts(probes, parts, search.target_class, search.max_weights, progress=progress)

    fitted = fit_on_parts(probes, fit or best, search.split_seed)
    compared = compared or probes
    judged, picks = _judged(probes, compared, fitted, search)
    rungs = _rungs(probes, fitted, judged)
    chosen, reason = _choose(probes, compared, fitted, search)
    notes = _notes(probes, fitted)
    is_auto = search.size == AUTO and chosen != UNEDITED  # the head as it is was judged as such
    if is_auto and picks:
        notes.append(_picked(picks))
    return Ladder(
        rungs=rungs,
        chosen=chosen,
        reason=reason,
        crossfit=fitted.crossfit,
        approximate=_is_approximate(fitted),
        sizes=(len(fitted.choose), len(fitted.validate), len(fitted.report)),
        notes=tuple(notes),
        report_rows=fitted.report,
        judged=judged[AUTO if is_auto and AUTO in judged else chosen],
        in_sample=not fitted.unseen,
    )


def fit_on_parts(probes: Probes, fit: Fit, seed: int = 0) -> Fitted:
    """Every size fitted and judged apart: on three parts, or by five folds with few probes."""
    parts = split_parts(probes, seed)
    if not needs_folds(probes, parts):
        return three_parts(probes, fit, parts)
    rows = parts.fitting if probes.split is not None else torch.arange(len(probes))
    own = probes.split is not None and len(parts.report) > 0
    return cross_fit(probes, fit, rows, seed, parts.report if own else None)


def pick_size(probes: Probes, right: dict[str, Tensor], rows: Tensor, seed: int) -> tuple[str, str]:
    """The rule of `auto` for groups: (name, reason) of the `smallest` edit with a sure gain over
    the head as it is, which is taken where there is none.

    right: which probes each size gets right `[N]`, `UNEDITED` among them. rows: probes that did
    not choose the edits. Sure: the interval `SURE` of the paired bootstrap by unit lies above 0.
    Source: ours.
    """
    sizes = {name: right[name] for name in SIZES if name in right}
    spans = {
        name: worst_difference(probes, value, right[UNEDITED], rows, seed, SURE)
        for name, value in sizes.items()
    }
    sure = {name: sizes[name] for name, (low, _) in spans.items() if low > 0}
    if sure:
        return smallest(probes, sure, rows, seed)
    worst = {name: group_metrics(probes, right[name], rows).worst for name in (UNEDITED, *sizes)}
    best = max(sizes, key=lambda name: worst[name])
    if worst[best] <= worst[UNEDITED]:
        return UNEDITED, (
            "auto edited nothing: held back, no size of edit does better than the head as it is."
        )
    low, high = spans[best]
    return UNEDITED, (
        f"auto edited nothing, since no gain is sure: held back, the best size, {best}, changes "
        f"the worst group by {100 * (worst[best] - worst[UNEDITED]):+.1f} points ({100 * SURE:g} % "
        f"interval {100 * low:+.1f} to {100 * high:+.1f}). Add pictures of the smallest groups, or "
        "choose a size to have it anyway."
    )


def smallest(
    probes: Probes, right: dict[str, Tensor], validate: Tensor, seed: int = 0
) -> tuple[str, str]:
    """(name, reason) of the first edit not significantly below the best.

    right: which probes each edit gets right `[N]`, the smallest edit first. Significant: the
    95 % interval of the paired bootstrap by unit lies above 0.
    """
    worst = {name: group_metrics(probes, value, validate).worst for name, value in right.items()}
    best = max(worst, key=lambda name: worst[name])
    for name in right:
        if name == best:
            break
        low, high = worst_difference(probes, right[best], right[name], validate, seed)
        if low <= 0:
            ahead = 100 * (worst[best] - worst[name])
            return name, (
                f"auto took {name}: the best, {best}, is ahead by {ahead:.1f} points of "
                "worst-group accuracy, not significantly (95 % interval "
                f"{100 * low:.1f} to {100 * high:.1f})."
            )
    return best, f"auto took {best}: no smaller edit is as good on the validation part."


def _judged(
    probes: Probes, compared: Probes, fitted: Fitted, search: Search
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The predictions to report of each rung, of `auto` if they are out of fold, and its picks."""
    if fitted.unseen:
        return fitted.in_sample.rungs(fitted.steps), {}

    def pick(right: dict[str, Tensor], rows: Tensor) -> str:
        return _auto(compared, right, rows, search)[0]

    return nested(probes, fitted, pick)


def _auto(
    compared: Probes, right: dict[str, Tensor], rows: Tensor, search: Search
) -> tuple[str, str]:
    """The size that `auto` takes, and why. What `mistakes` finds is proved elsewhere (`mend`)."""
    if search.method != "mistakes":
        return pick_size(compared, right, rows, search.split_seed)
    sizes = {name: right[name] for name in SIZES if name in right}
    return smallest(compared, sizes, rows, search.split_seed)


def _rungs(probes: Probes, fitted: Fitted, judged: dict[str, Tensor]) -> tuple[Rung, ...]:
    in_sample, held_out = (one.rungs(fitted.steps) for one in (fitted.in_sample, fitted.held_out))
    before, rows = in_sample["unedited"][fitted.report], fitted.report
    return tuple(
        Rung(
            name,
            found.change,
            group_metrics(probes, in_sample[name] == probes.y, fitted.choose),
            group_metrics(probes, held_out[name] == probes.y, fitted.validate),
            group_metrics(probes, judged[name] == probes.y, rows),
            collateral(before, judged[name][rows], set(map(probes.label, found.change.rows))),
        )
        for name, found in fitted.sizes.rungs(fitted.steps).items()
    )


def _is_approximate(fitted: Fitted) -> bool:
    """Whether the search over one weight and the bias did not try everything."""
    return any(found.approximate for found in fitted.sizes.steps[:1])


def _choose(probes: Probes, compared: Probes, fitted: Fitted, search: Search) -> tuple[str, str]:
    """The name of the chosen rung, and why."""
    name, reason, rungs = search.size, "Chosen by hand.", fitted.held_out.rungs(fitted.steps)
    if name == AUTO:
        right = {size: value == probes.y for size, value in rungs.items()}
        name, reason = _auto(compared, right, fitted.validate, search)
    if name not in rungs:
        raise ValueError(
            f"This head has no bias; the edit {quoted(name)} needs one. Use 'one_weight'."
        )
    if name != UNEDITED and not fitted.sizes.rungs(fitted.steps)[name].change.numbers:
        reason += " No edit of this size does better on the probes than the head as it is."
    return name, reason


def _notes(probes: Probes, fitted: Fitted) -> list[str]:
    notes = [*probes.empty_groups(), *_missing(probes, fitted)]
    few = "Some group has too few probes for three parts (40 to validate on, any in the others)"
    if fitted.crossfit and fitted.unseen:
        notes.append(
            f"{few}: sizes are compared by five-fold cross-fitting on the {len(fitted.choose)} "
            f"probes that choose; reported on {len(fitted.report)} others."
        )
    elif fitted.crossfit:
        notes.append(
            f"{few}: five-fold cross-fitting, each probe is judged by an edit that was chosen "
            "without it; the edit itself is chosen on all of them."
        )
    else:
        notes.append(
            f"Chosen on {len(fitted.choose)} probes, compared on {len(fitted.validate)}, "
            f"reported on {len(fitted.report)} others; no unit is in two parts."
        )
    if fitted.unjudged:
        notes.append(
            f"{fitted.unjudged} of {len(fitted.validate)} probes are judged unedited: without "
            "them, and what shares their units, too little is left to choose an edit on. Add "
            "pictures of other seeds or photos."
        )
    if _is_approximate(fitted):
        notes.append(
            "The search over weight and bias together is approximate: only the most promising "
            "weights were searched closely."
        )
    return notes


def _missing(probes: Probes, fitted: Fitted) -> list[str]:
    """Groups that had no say in the edit or in its size."""
    notes = []
    for rows, what in ((fitted.choose, "choose the edit"), (fitted.validate, "compare sizes")):
        lacking = [probes.group_name(g) for g in probes.unmeasured(rows)]
        if lacking:
            notes.append(
                f"No probe to {what} is of {listed(lacking)}: what the edit does there was not "
                "looked at. Change the split."
            )
    return notes[:1] if fitted.crossfit else notes


def _picked(picks: dict[str, int]) -> str:
    counts = ", ".join(f"{name} in {count}" for name, count in picks.items())
    return (
        "The figures of the edit are of auto as a whole: each fold was judged by the size that "
        f"the other folds chose ({counts})."
    )


def _check_split(probes: Probes) -> None:
    if probes.split is None:
        return
    parts = split_parts(probes)
    for name in ("choose", "report"):
        if len(getattr(parts, name)) == 0:
            raise ValueError(
                f"The split leaves the part '{name}' empty. Use the split numbers 0 (choose), "
                "1 (validate) and 2 (report), or give none."
            )
