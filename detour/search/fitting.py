"""Fit every size of edit once, and judge each on probes that it was not chosen on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..edit.apply import changed_logits, predictions
from ..edit.record import Change
from ..judge.groups import group_metrics
from ..probes.features import Probes
from ..probes.parts import Parts, folds
from .problem import has_contrast
from .several import Path

Fit = Callable[[Tensor, float, float], Path]
"""Finds a path on some probes; reports progress from one share to another."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A path, and the predictions `[N]` of its steps.

    in_sample: of the edits chosen on `choose`. held_out: the same where three parts are
    used; with cross-fitting, for the probes of `validate`, of edits chosen without them.
    steps: how many weights the last rung takes. folds: of cross-fitting. unjudged: how many
    probes of `validate` could only be judged unedited.
    """

    path: Path
    in_sample: dict[str, Tensor]
    held_out: dict[str, Tensor]
    steps: int
    choose: Tensor
    validate: Tensor
    report: Tensor
    folds: tuple[Tensor, ...] = ()
    unjudged: int = 0

    @property
    def crossfit(self) -> bool:
        """Whether there were too few probes for three parts."""
        return bool(self.folds)

    def key(self, rung: str, steps: int | None = None) -> str:
        """The step of the path that a rung of the ladder stands for, with so many weights."""
        last = self.steps if steps is None else steps
        return {"one_weight_bias": "step1", "k_weights_bias": f"step{last}"}.get(rung, rung)

    def steps_on(self, probes: Probes, rows: Tensor) -> int:
        """How many weights the last rung takes by the probes `rows` of `validate`."""
        return _steps(probes, self.held_out, rows)

    @property
    def apart(self) -> bool:
        """Whether the probes reported on have no part in choosing the edit."""
        return self.report is not self.validate


def three_parts(probes: Probes, fit: Fit, parts: Parts) -> Fitted:
    """Chosen on one part, compared on another, reported on the third."""
    path = fit(parts.choose, 0.0, 1.0)
    found = _predictions(probes, path)
    steps = _steps(probes, found, parts.validate)
    return Fitted(path, found, found, steps, parts.choose, parts.validate, parts.report)


def cross_fit(probes: Probes, fit: Fit, rows: Tensor, report: Tensor, seed: int) -> Fitted:
    """Chosen on all `rows`; each of five folds is judged by edits chosen on the other four.

    A fold whose others have one class or attribute only is judged unedited.
    report: where to report; pass `rows` itself to report on the folds.
    """
    parts = tuple(part for part in folds(probes, rows, seed) if len(part))
    share = 1 / (len(parts) + 1)
    path = fit(rows, 0.0, share)
    found = _predictions(probes, path)
    held_out = {name: value.clone() for name, value in found.items()}
    unjudged = 0
    for number, part in enumerate(parts, start=1):
        others = rows[~torch.isin(rows, part)]
        without = {"unedited": found["unedited"]}
        if has_contrast(probes, others):
            without = _predictions(probes, fit(others, number * share, (number + 1) * share))
        else:
            unjudged += len(part)
        last = list(without)[-1]
        for name, value in held_out.items():
            value[part] = without.get(name, without[last])[part]
    steps = _steps(probes, held_out, rows)
    return Fitted(path, found, held_out, steps, rows, rows, report, parts, unjudged)


def _predictions(probes: Probes, path: Path) -> dict[str, Tensor]:
    named = {"unedited": Change(0), "bias_only": path.bias.change, "one_weight": path.weight.change}
    if not path.has_bias:
        del named["bias_only"]
    named |= {f"step{n}": found.change for n, found in enumerate(path.steps, start=1)}
    return {n: predictions(probes, changed_logits(probes, change)) for n, change in named.items()}


def _steps(probes: Probes, found: dict[str, Tensor], rows: Tensor) -> int:
    """How many weights to take: as long as worst-group accuracy on these probes grows."""
    steps = 1
    while f"step{steps + 1}" in found:
        now, more = (
            group_metrics(probes, found[f"step{n}"] == probes.y, rows).worst
            for n in (steps, steps + 1)
        )
        if more <= now:
            break
        steps += 1
    return steps


# Cross-fitting to the end: the size of an edit, too, is chosen without the probes it is judged on.
#
# Picking the best of several sizes on the very probes that are then reported flatters the pick.
# So each fold is judged by the size, and the number of weights, that do best on the other folds.


AUTO = "auto"


Pick = Callable[[dict[str, Tensor], Tensor], str]
"""Which size to take, given which probes each gets right `[N]`, judged on some of the probes."""


@dataclass(frozen=True, eq=False)
class Nested:
    """Predictions `[N]` of each size, and of `auto`; picks: how many folds took which size."""

    judged: dict[str, Tensor]
    picks: dict[str, int]


def nested(probes: Probes, fitted: Fitted, names: list[str], pick: Pick) -> Nested:
    """The predictions of cross-fitted edits whose size was chosen on the other folds.

    names: the sizes to judge. pick: chooses among them (those of the edits). A fold that has no
    others is judged as it came. No edit is searched anew. Source: ours, after the
    leave-one-fold-out choice of Tibshirani and Tibshirani (2009).
    """
    judged = {name: fitted.held_out[fitted.key(name, 1)].clone() for name in names}
    judged[AUTO] = fitted.held_out["unedited"].clone()
    picks: Counter[str] = Counter()
    for part in fitted.folds:
        others = fitted.validate[~torch.isin(fitted.validate, part)]
        if len(others) == 0:
            continue
        steps = fitted.steps_on(probes, others)
        found = {name: fitted.held_out[fitted.key(name, steps)] for name in names}
        taken = pick({name: value == probes.y for name, value in found.items()}, others)
        for name, value in {**found, AUTO: found[taken]}.items():
            judged[name][part] = value[part]
        picks[taken] += 1
    return Nested(judged, dict(picks))
