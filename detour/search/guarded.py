"""The edit that mends the most wrong pictures while the right ones stay right: exact, over the
few weights that tell the two apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..edit.apply import predictions
from ..edit.record import Change
from ..probes.features import Probes
from .mistakes import WRONG
from .one_weight import Progress
from .pair import pivot_events
from .problem import Found, Problem, problem, searched_rows
from .scan import BATCH, GRID, Events, accuracies, best_point, events, shift_events, sort_events
from .several import Sizes

KEEP = 0.95
"""At least this share of the right pictures must stay right, of the edited class and of others."""
PROMISING = 8
"""So many weights are taken of each comparison."""
MOST_PIVOTS = 256
NEVER = torch.iinfo(torch.int64).min


@dataclass(frozen=True, eq=False)
class Guarded:
    """The problem of a row with three groups: right ones of its class, right others, wrong ones.

    columns: the weights that are tried.
    """

    problem: Problem
    columns: list[int]


def fit_mistakes(
    probes: Probes,
    rows: Tensor,
    target_class: int | None,
    progress: Progress,
    columns: list[int] | None = None,
) -> Sizes[Found]:
    """Each size of edit, chosen on the probes `rows`: the bias, one weight, both together.

    columns: the weights to try, those that tell right and wrong apart if None. Source: ours.
    """
    predicted = predictions(probes, probes.z)
    tried = [
        Guarded(
            _guarded(probes, row, rows),
            _telling(probes, row, rows, predicted) if columns is None else columns,
        )
        for row in searched_rows(probes, target_class)
    ]
    none = Found(Change(tried[0].problem.row), 0.0, 1.0, 0)
    weight = max((_best_weight(probes, one, none) for one in tried), key=lambda found: found.key)
    none = replace(none, change=Change(weight.change.row))
    if probes.weight is not None and probes.bias is None:
        return Sizes(none, None, weight)
    shift = max((_best_shift(one, none) for one in tried), key=lambda found: found.key)
    progress(0.3)
    pair = max((_best_pair(probes, one, none) for one in tried), key=lambda found: found.key)
    progress(1.0)
    best = max((none, weight, shift, pair), key=lambda found: found.key)
    return Sizes(none, shift, weight, (best,))


def _guarded(probes: Probes, row: int, rows: Tensor) -> Problem:
    own, wrong = probes.y == probes.label(row), probes.a == WRONG
    group = torch.where(wrong, 2, torch.where(own, 0, 1))
    base = problem(probes, row, rows)
    size = torch.bincount(group[rows], minlength=3).double()
    return replace(base, group=group[base.rows], size=size)


def _keys(moves: Events) -> tuple[Tensor, Tensor]:
    """As `scan.scan`, with the keys of this search: mended less broken, where the guard holds."""
    ordered = sort_events(moves)
    own, others, mended = (right.clone() for right in accuracies(ordered))
    sides = own.nan_to_num() * moves.size[0] + others.nan_to_num() * moves.size[1]
    kept = sides / moves.size[:2].sum()
    keys = ((mended + kept - 1) * GRID).round().to(torch.int64)
    keys[(own < KEEP) | (others < KEEP)] = NEVER
    keys[:, 1:-1][ordered.tau[:, 1:] <= ordered.tau[:, :-1]] = NEVER
    return keys, ordered.tau


def _best_weight(probes: Probes, one: Guarded, none: Found) -> Found:
    best = replace(none, change=Change(one.problem.row))
    for j in one.columns:
        keys, tau = _keys(events(one.problem, probes.columns(one.problem.rows, j, j + 1)))
        key = int(keys.max())
        if key > best.key:
            best = _found(one.problem.row, ((j, best_point(keys[0], tau[0])),), 0.0, key)
    return best


def _best_shift(one: Guarded, none: Found) -> Found:
    keys, tau = _keys(shift_events(one.problem, one.problem.margin[None]))
    key = int(keys.max())
    if key <= none.key:
        return replace(none, change=Change(one.problem.row))
    return _found(one.problem.row, (), best_point(keys[0], tau[0]), key)


def _best_pair(probes: Probes, one: Guarded, none: Found) -> Found:
    best = replace(none, change=Change(one.problem.row))
    p = one.problem
    for j in one.columns:
        column = probes.columns(p.rows, j, j + 1)[:, 0]
        for pivots in _pivots(p):
            moves = pivot_events(p, column[:, None], pivots)
            keys, tau = _keys(moves)
            if int(keys.max()) <= best.key:
                continue
            at = int(keys.amax(dim=1).argmax())
            t = best_point(keys[at], tau[at])
            shifted, levels = _keys(shift_events(p, (p.margin - t * column)[None]))
            key = int(shifted.max())
            if key > best.key:
                best = _found(p.row, ((j, t),), best_point(shifted[0], levels[0]), key)
    return best


def _pivots(p: Problem) -> Iterator[Tensor]:
    count = len(p.rows)
    order = p.margin.argsort()
    some = order[torch.linspace(0, count - 1, min(count, MOST_PIVOTS)).round().long()]
    yield from some.split(max(1, BATCH // max(1, count)))


def _found(row: int, weights: tuple[tuple[int, float], ...], shift: float, key: int) -> Found:
    return Found(Change(row, weights, shift), key / GRID, key / GRID, key)


def _telling(probes: Probes, row: int, rows: Tensor, predicted: Tensor) -> list[int]:
    """The weights whose features differ most between right and wrong inside a class.

    False alarms of the row are compared with right pictures of other classes, which should not
    be called so either, and with its true alarms, which look alike to the classifier; misses
    the other way round. Differences count in units of the spread inside these sets.
    """
    label = probes.label(row)
    y, said, wrong = probes.y[rows] == label, predicted[rows] == label, probes.a[rows] == WRONG
    sets = {"alarm": wrong & said, "miss": wrong & y, "own": ~wrong & y, "others": ~wrong & ~y}
    width = probes.features.shape[1]
    features = probes.columns(rows, 0, width)
    mean, square, total = {}, torch.zeros(width, dtype=torch.float64), 0
    for name, mask in sets.items():
        if bool(mask.any()):
            part = features[mask]
            mean[name] = part.mean(0)
            square += (part - mean[name]).square().sum(0)
            total += len(part)
    spread = (square / max(1, total)).sqrt()
    spread = spread + 0.01 * spread.mean() + torch.finfo(torch.float64).tiny
    columns: list[int] = []
    for alarm, miss in (("others", "own"), ("own", "others")):
        gap = torch.zeros(width, dtype=torch.float64)
        if "alarm" in mean and alarm in mean:
            gap += mean["alarm"] - mean[alarm]
        if "miss" in mean and miss in mean:
            gap -= mean["miss"] - mean[miss]
        order = (gap.abs() / spread).argsort(descending=True, stable=True)[:PROMISING]
        columns += [j for j in order.tolist() if j not in columns]
    return columns
