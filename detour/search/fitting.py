"""Fit every size of edit once, and judge each on probes that it was not chosen on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..edit.apply import changed_logits, predictions
from ..judge.groups import group_metrics
from ..probes.features import Probes
from ..probes.parts import Parts, folds
from .problem import Found, has_contrast
from .settings import AUTO
from .several import Sizes

Fit = Callable[[Sequence[Tensor]], list[Sizes[Found]]]
"""Finds every size on each of some parts of the probes, which may overlap."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Every size of edit, and the predictions `[N]` with it.

    in_sample: of the edits chosen on `choose`. held_out: the same where three parts are
    used; with cross-fitting, for the probes of `validate`, of edits chosen without them.
    steps: how many weights the last rung takes. unseen: the probes reported on have no part in
    choosing the edit. folds: of cross-fitting. unjudged: how many probes of `validate` could
    only be judged unedited.
    """

    sizes: Sizes[Found]
    in_sample: Sizes[Tensor]
    held_out: Sizes[Tensor]
    steps: int
    choose: Tensor
    validate: Tensor
    report: Tensor
    unseen: bool
    folds: tuple[Tensor, ...] = ()
    unjudged: int = 0

    @property
    def crossfit(self) -> bool:
        """Whether there were too few probes for three parts."""
        return bool(self.folds)


def three_parts(probes: Probes, fit: Fit, parts: Parts) -> Fitted:
    """Chosen on one part, compared on another, reported on the third."""
    sizes = fit([parts.choose])[0]
    found = _predictions(probes, sizes)
    steps = count_steps(probes, found, parts.validate)
    return Fitted(sizes, found, found, steps, parts.choose, parts.validate, parts.report, True)


def cross_fit(
    probes: Probes, fit: Fit, rows: Tensor, seed: int, report: Tensor | None = None
) -> Fitted:
    """Chosen on all `rows`; each of five folds is judged by edits chosen on the other four.

    A fold whose others have one class or attribute only is judged unedited.
    report: where to report, on the folds if None.
    """
    parts = tuple(part for part in folds(probes, rows, seed) if len(part))
    others = [rows[~torch.isin(rows, part)] for part in parts]
    told = [has_contrast(probes, each) for each in others]
    sizes, *without = fit([rows, *(each for each, good in zip(others, told, strict=True) if good)])
    found = _predictions(probes, sizes)
    held_out, unjudged = found.each(Tensor.clone), 0
    for part, good in zip(parts, told, strict=True):
        if good:
            judges = _predictions(probes, without.pop(0)).with_steps(len(found.steps))
        else:
            judges = found.each(lambda _: found.unedited)
            unjudged += len(part)
        for own, judge in zip(held_out, judges, strict=True):
            own[part] = judge[part]
    steps, unseen = count_steps(probes, held_out, rows), report is not None
    report = rows if report is None else report
    return Fitted(sizes, found, held_out, steps, rows, rows, report, unseen, parts, unjudged)


def _predictions(probes: Probes, sizes: Sizes[Found]) -> Sizes[Tensor]:
    return sizes.each(lambda found: predictions(probes, changed_logits(probes, found.change)))


def count_steps(probes: Probes, found: Sizes[Tensor], rows: Tensor) -> int:
    """How many weights to take: the fewest with the best worst-group accuracy on these probes."""
    worst = [group_metrics(probes, step == probes.y, rows).worst for step in found.steps]
    return 1 + worst.index(max(worst)) if worst else 1


# Cross-fitting to the end: the size of an edit, too, is chosen without the probes it is judged on.
#
# Picking the best of several sizes on the very probes that are then reported flatters the pick.
# So each fold is judged by the size, and the number of weights, that do best on the other folds.


Pick = Callable[[dict[str, Tensor], Tensor], str]
"""Which size to take, given which probes each gets right `[N]`, judged on some of the probes."""


def nested(probes: Probes, fitted: Fitted, pick: Pick) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The predictions `[N]` of cross-fitted edits whose size was chosen on the other folds: of
    each size and of `auto`; and how many folds took which size.

    pick: chooses among the sizes. A fold that has no others is judged as it came. No edit is
    searched anew. Source: ours, after the leave-one-fold-out choice of Tibshirani and
    Tibshirani (2009).
    """
    judged = {name: value.clone() for name, value in fitted.held_out.rungs(1).items()}
    judged[AUTO] = fitted.held_out.unedited.clone()
    picks: Counter[str] = Counter()
    for part in fitted.folds:
        others = fitted.validate[~torch.isin(fitted.validate, part)]
        if len(others) == 0:
            continue
        found = fitted.held_out.rungs(count_steps(probes, fitted.held_out, others))
        taken = pick({name: value == probes.y for name, value in found.items()}, others)
        for name, value in {**found, AUTO: found[taken]}.items():
            judged[name][part] = value[part]
        picks[taken] += 1
    return judged, dict(picks)
