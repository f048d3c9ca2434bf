"""The close search over (t, s) for many probes: sampled crossings, then around the best."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .margins import Problem
from .pivots import best_shift_at, pivot_slope
from .probes import Probes
from .scan import BATCH, peaks, shift_events

SCREEN_PROBES = 256
SCREEN_SLOPES = 12
LEVELS = ((1024, 12), (8192, 4))
"""Samples of so many probes, and how many weights stay in the search after each."""
CLOSE_SLOPES = 48
PIVOTS = 32
FEW_PIVOTS = 8
ROUNDS = 6

Candidate = tuple[Problem, int, list[float]]
"""A weight: its problem (row), its column, and slopes worth trying."""


def screen_weights(
    probes: Probes,
    problems: list[Problem],
    keep: int,
    skip: tuple[int, ...],
    blocks: Callable,
) -> list[Candidate]:
    """The `keep` weights that do best at a few sampled slopes on a sample of the probes.

    The sample takes at most `SCREEN_PROBES` probes, spread over the groups; the slopes are
    quantiles of the crossings of random pairs in it; s is exact for each.
    """
    problems = [p for p in problems if len(p.rows)]
    small = [p.part(sample(p, SCREEN_PROBES)) for p in problems]
    scored: list[tuple[int, int, int]] = []
    lookup = {id(q): n for n, q in enumerate(small)}
    for q, first, columns in blocks(probes, small):
        keys = _screen(q, columns).tolist()
        scored += [
            (key, -lookup[id(q)], -(first + j))
            for j, key in enumerate(keys)
            if first + j not in skip
        ]
    scored.sort(reverse=True)
    return [(problems[-n], -j, []) for _, n, j in scored[:keep]]


def _screen(problem: Problem, columns: Tensor) -> Tensor:
    found = []
    step = max(1, BATCH // (SCREEN_SLOPES * max(1, len(problem.rows))))
    for part in columns.split(step, dim=1):
        slopes = crossing_quantiles(problem, part, SCREEN_SLOPES)
        v = problem.margin - slopes[:, :, None] * part.T[:, None, :]
        keys = peaks(shift_events(problem, v.flatten(0, 1)))
        found.append(keys.view(len(slopes), -1).amax(dim=1))
    return torch.cat(found)


def refine_pair(
    probes: Probes, kept: list[Candidate], tick: Callable[[], None]
) -> tuple[int, int, int, float, float]:
    """The best (row, column, key, t, s) of the kept weights.

    Each is tried at quantiles of sampled crossings, then by turning the line about the
    probes next to it; on growing samples (`LEVELS`), the best few at last on all probes.
    Weights that come with slopes stay in to the end. tick: called after each; may raise.
    """
    forced = [candidate for candidate in kept if candidate[2]]
    count = max(len(p.rows) for p, _, _ in kept)
    for size, stay in LEVELS:
        if count <= size:
            break
        tried = []
        for p, j, slopes in kept:
            q = p.part(sample(p, size))
            key, t, _ = _close(q, probes.columns(q.rows, j, j + 1)[:, 0], slopes, 2)
            tick()
            tried.append((key, (p, j, [*slopes, t])))
        tried.sort(key=lambda item: -item[0])
        kept = [candidate for _, candidate in tried[:stay]]
        names = {(p.row, j) for p, j, _ in kept}
        kept += [(p, j, slopes) for p, j, slopes in forced if (p.row, j) not in names]
    results = []
    for p, j, slopes in kept:
        column = probes.columns(p.rows, j, j + 1)[:, 0]
        key, t, s = _close(p, column, slopes, ROUNDS)
        tick()
        results.append((-key, abs(t), abs(s), p.row, j, t, s))
    key, _, _, row, j, t, s = min(results)
    return row, j, -key, t, s


def sample(problem: Problem, size: int) -> Tensor:
    """At most about `size` of the K probes, spread evenly inside every group and margin."""
    count = len(problem.rows)
    if count <= size:
        return torch.arange(count)
    order = problem.margin.argsort()
    order = order[problem.group[order].argsort(stable=True)]
    return order[torch.linspace(0, count - 1, size).round().long()]


def crossing_quantiles(problem: Problem, columns: Tensor, levels: int) -> Tensor:
    """Quantiles of the crossings of random pairs of probes, `[B, levels]` for `[K, B]`.

    Only pairs that a line can be wrong about: of different signs.
    """
    i, k = _pairs(problem, 64 * levels)
    a, m = columns[i] - columns[k], problem.margin[i] - problem.margin[k]
    t = torch.where(a != 0, m[:, None] / a, torch.nan).T
    at = (torch.arange(levels, dtype=torch.float64) + 0.5) / levels
    return torch.nanquantile(t, at, dim=1).T.nan_to_num(0.0, 0.0, 0.0)


def _pairs(problem: Problem, count: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    ups = (problem.sign > 0).nonzero().flatten()
    downs = (problem.sign < 0).nonzero().flatten()
    if len(ups) == 0 or len(downs) == 0:
        ups = downs = torch.arange(len(problem.sign))
    i = ups[torch.randint(len(ups), (count,), generator=draw)]
    return i, downs[torch.randint(len(downs), (count,), generator=draw)]


def _close(
    problem: Problem, column: Tensor, slopes: list[float], rounds: int
) -> tuple[int, float, float]:
    quantiles = crossing_quantiles(problem, column[:, None], CLOSE_SLOPES)[0]
    t = torch.cat([quantiles, torch.tensor([0.0, *slopes], dtype=torch.float64)])
    best = best_shift_at(problem, column, t)
    for _ in range(rounds):
        line = problem.margin - best[1] * column + best[2]
        pivots = min(len(line), max(FEW_PIVOTS, min(PIVOTS, BATCH // max(1, len(line)))))
        near = line.abs().topk(pivots, largest=False).indices
        key, turned = pivot_slope(problem, column, near)
        if key <= best[0]:
            break
        better = best_shift_at(problem, column, torch.tensor([turned], dtype=torch.float64))
        if better[0] <= best[0]:
            break
        best = better
    return best
