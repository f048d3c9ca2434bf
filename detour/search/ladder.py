"""The ladder: what each further edited number buys, and the choice of `auto`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import quoted
from ..edit.record import Change
from ..judge.groups import GroupMetrics, collateral, group_metrics, listed, worst_difference
from ..probes.features import Probes
from ..probes.parts import needs_folds, split_parts
from .fitting import AUTO, Fit, Fitted, cross_fit, nested, three_parts
from .one_weight import MAX_BYTES, Progress
from .several import Path, fit_path

EDITS = ("one_weight", "one_weight_bias", "k_weights_bias")
RUNGS = ("unedited", "bias_only", *EDITS)


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
    target: int | None = None,
    edit: str = "auto",
    max_weights: int = 3,
    seed: int = 0,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
) -> Ladder:
    """Every size of edit for worst-group accuracy, chosen, compared and reported apart.

    target: the class (row) to edit, None for the best. edit: `auto` takes the smallest edit
    that is not significantly below the best on the validation part (95 % interval of the
    paired bootstrap by unit), or one of `EDITS`. max_weights: the k of the last rung; it
    stops earlier where validation worst-group accuracy stops growing. Parts 50/25/25 by
    unit, or as the probes say; with under 40 probes of a group to validate on: five-fold
    cross-fitting. Heads without a bias have no rungs that need one.

    Raises ValueError for probes of one class or attribute only, for an unknown `edit`, or if
    a given split leaves a part empty. Source: ours.
    """
    _check_inputs(probes, edit, max_weights)

    def fit(rows: Tensor, start: float, stop: float) -> Path:
        step = None if progress is None else _slice(progress, start, stop)
        return fit_path(probes, rows, target, max_weights, max_bytes, step)

    fitted = _fit(probes, fit, seed)
    judged, picks = _judged(probes, fitted, seed)
    rungs = _rungs(probes, fitted, judged)
    chosen, reason = _choose(probes, fitted, rungs, edit, seed)
    notes = _notes(probes, fitted)
    if edit == AUTO and picks:
        notes.append(_picked(picks))
    return Ladder(
        rungs=rungs,
        chosen=chosen,
        reason=reason,
        crossfit=fitted.crossfit,
        approximate=fitted.path.approximate,
        sizes=(len(fitted.choose), len(fitted.validate), len(fitted.report)),
        notes=tuple(notes),
        report_rows=fitted.report,
        judged=judged[AUTO if edit == AUTO and AUTO in judged else chosen],
        in_sample=not fitted.apart,
    )


def _fit(probes: Probes, fit: Fit, seed: int) -> Fitted:
    parts = split_parts(probes, seed)
    if not needs_folds(probes, parts):
        return three_parts(probes, fit, parts)
    rows = parts.fitting if probes.split is not None else torch.arange(len(probes))
    apart = probes.split is not None and len(parts.report) > 0
    return cross_fit(probes, fit, rows, parts.report if apart else rows, seed)


def smallest(
    probes: Probes, right: dict[str, Tensor], validate: Tensor, seed: int = 0
) -> tuple[str, str]:
    """The rule of `auto`: (name, reason) of the first edit not significantly below the best.

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


def _judged(probes: Probes, fitted: Fitted, seed: int) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The predictions to report of each rung, of `auto` if they are out of fold, and its picks."""
    names = [name for name in RUNGS if fitted.key(name) in fitted.in_sample]
    if fitted.apart:
        return {name: fitted.in_sample[fitted.key(name)] for name in names}, {}

    def pick(right: dict[str, Tensor], rows: Tensor) -> str:
        return smallest(probes, {n: v for n, v in right.items() if n in EDITS}, rows, seed)[0]

    found = nested(probes, fitted, names, pick)
    return found.judged, found.picks


def _rungs(probes: Probes, fitted: Fitted, judged: dict[str, Tensor]) -> tuple[Rung, ...]:
    rungs = []
    before = fitted.in_sample["unedited"]
    for name in RUNGS:
        if name not in judged:
            continue
        key = fitted.key(name)
        change = fitted.path.change(key)
        found, apart = fitted.in_sample[key], fitted.held_out[key]
        rungs.append(
            Rung(
                name,
                change,
                group_metrics(probes, found == probes.y, fitted.choose),
                group_metrics(probes, apart == probes.y, fitted.validate),
                group_metrics(probes, judged[name] == probes.y, fitted.report),
                collateral(
                    before[fitted.report],
                    judged[name][fitted.report],
                    {probes.label(change.row)},
                ),
            )
        )
    return tuple(rungs)


def _choose(
    probes: Probes, fitted: Fitted, rungs: tuple[Rung, ...], edit: str, seed: int
) -> tuple[str, str]:
    names = [rung.name for rung in rungs if rung.name in EDITS]
    if edit != AUTO and edit not in names:
        raise ValueError(
            f"This head has no bias; the edit {quoted(edit)} needs one. Use 'one_weight'."
        )
    reason = "Chosen by hand."
    if edit == AUTO:
        right = {name: fitted.held_out[fitted.key(name)] == probes.y for name in names}
        edit, reason = smallest(probes, right, fitted.validate, seed)
    if not fitted.path.change(fitted.key(edit)).numbers:
        reason += " No edit of this size does better on the probes than the head as it is."
    return edit, reason


def _notes(probes: Probes, fitted: Fitted) -> list[str]:
    notes = [*probes.empty_groups(), *_missing(probes, fitted)]
    few = "Some group has too few probes for three parts (40 to validate on, any in the others)"
    if fitted.crossfit and fitted.apart:
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
    if fitted.path.approximate:
        notes.append(
            "The search over weight and bias together is approximate: the 64 most promising "
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


def _slice(progress: Progress, start: float, stop: float) -> Progress:
    return lambda share: progress(start + share * (stop - start))


def _check_inputs(probes: Probes, edit: str, max_weights: int) -> None:
    if edit != AUTO and edit not in EDITS:
        raise ValueError(f"The edit is {quoted(edit)}; known are auto, {', '.join(EDITS)}.")
    if max_weights < 1:
        raise ValueError(f"max_weights is {max_weights}; at least 1 is needed.")
    if probes.split is None:
        return
    parts = split_parts(probes)
    for name in ("choose", "report"):
        if len(getattr(parts, name)) == 0:
            raise ValueError(
                f"The split leaves the part '{name}' empty. Use the split numbers 0 (choose), "
                "1 (validate) and 2 (report), or give none."
            )
