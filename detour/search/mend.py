"""`mistakes` from its pictures to an edit and what is beside it: sizes, guard, random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..edit.apply import predictions
from ..judge.apart import Apart, told_apart
from ..judge.groups import GroupMetrics, group_metrics
from ..judge.mending import Mending, mending
from ..probes.features import Probes
from ..probes.parts import needs_folds, split_parts
from .fitting import Fit
from .guarded import fit_mistakes
from .ladder import UNEDITED, Ladder, build_ladder, fit_on_parts
from .mistakes import WRONG
from .one_weight import Progress, part_of, quiet
from .problem import Found
from .settings import KEEP_RIGHT, LEAST_KEPT, Search
from .several import Sizes

DRAWS = 8
"""So many random weights are fitted like the edit."""


@dataclass(frozen=True)
class Mended:
    """What the report on mistakes says beside the edit.

    apart: whether the last layer sees a difference at all. random: the pictures reported on with
    each of the random weights in place of the one chosen, at degree 1; empty without an edit.
    refused: why there is no edit, empty if there is one.
    """

    apart: Apart
    random: tuple[GroupMetrics, ...] = ()
    refused: str = ""


def mend(now: Probes, search: Search, progress: Progress = quiet) -> tuple[Ladder, Mended]:
    """The sizes of edit for right and wrong pictures, the one to take, and what is beside it.

    now: of `mistakes.prepared`, under the head as it is. There is no edit where the last layer
    sees no difference between right and wrong, and where on held-back pictures the guard is
    clearly broken or no more is mended than breaks: counted in pictures, under a lowered guard in
    shares of the wrong and of the right ones. Raises ValueError as `build_ladder`.
    Source: ours.
    """
    predicted, wrong = predictions(now, now.z), now.a == WRONG
    apart = told_apart(now, wrong, predicted, _fitting(now, search), search.split_seed)
    fit = _fit_of(now, search, None)
    ladder = build_ladder(now, search, part_of(progress, 0.0, 0.8), fit, _as_two_groups(now))
    ladder = replace(ladder, rungs=tuple(r for r in ladder.rungs if r.name != "k_weights_bias"))
    refused = _refused(ladder, apart, search.keep_right)
    if refused:
        none = replace(ladder, chosen=UNEDITED, reason="", judged=predicted, notes=())
        return none, Mended(apart, refused=refused)
    random = _random(now, search, ladder, part_of(progress, 0.8, 1.0))
    return ladder, Mended(apart, random)


def _as_two_groups(now: Probes) -> Probes:
    """The same pictures in two groups, right and wrong, whatever their classes."""
    one, none = torch.zeros(len(now), dtype=torch.long), torch.zeros(len(now), 2)
    return Probes(none, now.a, one, logits=none, units=now.unit_numbers)


def _fitting(now: Probes, search: Search) -> Tensor:
    """The pictures that have a say in the edit."""
    parts = split_parts(now, search.split_seed)
    folded = now.split is None and needs_folds(now, parts)
    return torch.arange(len(now)) if folded else parts.fitting


def _fit_of(now: Probes, search: Search, columns: list[int] | None) -> Fit:
    def fit(parts: Sequence[Tensor]) -> list[Sizes[Found]]:
        return [
            fit_mistakes(now, rows, search.target_class, columns=columns, keep=search.keep_right)
            for rows in parts
        ]

    return fit


def _refused(ladder: Ladder, apart: Apart, keep: float) -> str:
    """Why there is no edit; empty if there is one."""
    if not apart.told:
        return (
            "Right and wrong pictures cannot be told apart by what the last layer sees "
            f"({apart.count} pictures, {apart.auc:.2f} where 0.5 is chance, p = {apart.p:.2g}): "
            "the fault lies deeper than the last layer, or there are too few pictures. No edit was "
            "made."
        )
    if not ladder.edit.change.numbers:
        return (
            f"No edit mends more than it breaks while {100 * keep:g} % of the right pictures stay "
            f"right, so none was made. {_advice(keep)}"
        )
    found = mending(ladder.edit.validate)
    if _mends_more(found, keep) and found.kept.high >= keep:
        return ""
    return (
        f"Held back, the best edit mends {found.mended.hits} of {found.mended.count} wrong "
        f"pictures and breaks {found.broken.hits} of {found.broken.count} right ones, so none was "
        f"made. {_advice(keep)}"
    )


def _mends_more(found: Mending, keep: float) -> bool:
    """Whether more is mended than breaks: in pictures, or in shares under a lowered guard, which
    lets more right ones break than there may be wrong ones to mend."""
    if keep < KEEP_RIGHT:
        return found.mended.value > found.broken.value
    return found.mended.hits > found.broken.hits


def _advice(keep: float) -> str:
    less = ", or lower the share of right ones to keep" if keep > LEAST_KEPT else ""
    return f"Label more pictures{less}."


def _random(
    now: Probes, search: Search, ladder: Ladder, progress: Progress
) -> tuple[GroupMetrics, ...]:
    """Random weights in place of the chosen one, with all else as it is."""
    draw = torch.Generator().manual_seed(search.split_seed)
    columns = torch.randperm(now.features.shape[1], generator=draw)[:DRAWS].tolist()
    found = []
    for number, column in enumerate(columns, start=1):
        fitted = fit_on_parts(now, _fit_of(now, search, [column]), search.split_seed)
        judges = fitted.in_sample if fitted.unseen else fitted.held_out
        right = judges.rungs(1)[ladder.chosen] == now.y
        found.append(group_metrics(now, right, fitted.report))
        progress(number / len(columns))  # may raise to cancel
    return tuple(found)
