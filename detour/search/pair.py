"""One weight and the bias together: the best (t, s) for worst-group accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..edit.record import Change
from ..probes.features import Probes
from .grow import first_weights
from .one_weight import (
    MAX_BYTES,
    Progress,
    best_columns,
    best_shift,
    best_weight,
    column_blocks,
    part_of,
    problems_of,
    quiet,
    rows_of,
    unedited,
)
from .problem import Found, Problem
from .sample import Sample
from .scan import (
    GRID,
    LIMIT,
    Events,
    at_a_time,
    best_point,
    crossed,
    group_counts,
    peaks,
    point,
    present_key,
    scan,
    shift_events,
    unpack,
    worst_of,
)
from .shifts import shift_levels
from .smoothed import change_of
from .where import on_device

EXACT_UP_TO = 64
"""Up to this many probes that matter, every interval of every weight is tried."""


def weight_and_bias(
    probes: Probes,
    rows: Tensor | None = None,
    target_class: int | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress = quiet,
) -> Found:
    """`W[c, j] -= t` and `b[c] += s` with the best worst-group accuracy on the probes `rows`.

    Up to 64 probes that matter: exact over every weight, t and s. More: the weights that do
    best by smoothed accuracies (`grow`) are searched closely (`approximate` is set). Never worse
    than the best single weight or the best bias shift; if one of these does as well, it is
    returned, the fewer numbers first; the empty change if nothing beats the head as it is.
    t is a midpoint, then s at that t; ties: higher mean, then smaller |t|, then |s|.

    Errors as `worst_group`. Source: ours.
    """

    def work(placed: Probes) -> Found:
        chosen = rows_of(placed, rows)
        problems = problems_of(placed, chosen, target_class)
        weight = best_weight(placed, problems, max_bytes)
        simple = best_simple(problems, best_shift(problems), weight)
        sample = Sample.of(placed, [chosen])
        return best_pairs(sample, [problems], [simple], max_bytes, progress)[0]

    return on_device(probes, work)


def best_simple(problems: list[Problem], shift: Found, weight: Found) -> Found:
    """The best of no edit, a bias and one weight, the fewest numbers first."""
    edits = (unedited(problems), shift, weight)
    return max(edits, key=lambda found: found.key)  # max keeps the first of equals


def best_pairs(
    sample: Sample,
    parts: Sequence[list[Problem]],
    simple: Sequence[Found],
    max_bytes: int = MAX_BYTES,
    progress: Progress = quiet,
) -> list[Found]:
    """`weight_and_bias` for each part of the sample, on problems of some rows.

    simple: `best_simple` of each part.
    """
    probes = sample.probes
    kept = _candidates(sample, parts, simple, max_bytes, part_of(progress, 0.0, 0.5))
    done: list[Found] = []
    for part, (problems, least) in enumerate(zip(parts, simple, strict=True)):
        before, after = ((1 + number / len(parts)) / 2 for number in (part, part + 1))
        share, found = part_of(progress, before, after), least
        if part not in kept:
            found = _exact_pair(probes, problems, max_bytes, share, least)
        elif kept[part]:
            row, j, key, t, s = refine_pair(probes, kept[part], partial(share, 1.0))
            found = Found(Change(row, ((j, t),), s), *unpack(key), key, approximate=True)
        done.append(found if found.key > least.key else least)
    return done


def _exact_pair(
    probes: Probes,
    problems: list[Problem],
    max_bytes: int,
    progress: Progress,
    simple: Found,
) -> Found:
    blocks = column_blocks(probes, problems, max_bytes, progress)
    _, tied = best_columns(blocks, pivot_keys, simple.key)
    results = []
    for p, j in tied:
        column = probes.columns(p.rows, j, j + 1)[:, 0]
        slopes = best_slopes(p, column, crossing_midpoints(p, column))
        key, t, s = best_shift_at(p, column, slopes)
        results.append((-key, abs(t), abs(s), p.row, j, t, s))
    if not results:
        return simple
    key, _, _, row, j, t, s = min(results)
    return Found(Change(row, ((j, t),), s), *unpack(-key), -key)


def _candidates(
    sample: Sample,
    parts: Sequence[list[Problem]],
    simple: Sequence[Found],
    max_bytes: int,
    progress: Progress,
) -> dict[int, list[Candidate]]:
    """Of each part with too many probes that matter to try everything: the weights that do best by
    smoothed accuracies and the best one alone, each with its t."""
    most = [max(len(p.rows) for p in problems) for problems in parts]
    many = [part for part, count in enumerate(most) if count > EXACT_UP_TO]
    few = {part: between(TRIED, TRIED_PROBES // most[part]) for part in many}
    rows = [own[0].row for own in zip(*parts, strict=True) if any(len(p.rows) for p in own)]
    fits = first_weights(sample, rows, few, max_bytes, progress) if few else []
    kept = {}
    for part in many:
        own = {p.row: p for p in parts[part] if len(p.rows)}
        changes = [simple[part].change]
        changes += [change_of(sample, fit) for fit in fits if fit.part == part]
        kept[part] = [(own[c.row], j, t) for c in changes for j, t in c.weights if c.row in own]
    return kept


# Lines through a pivot: the search over (t, s) as scans over t alone.
#
# Probe k is predicted c iff `m_k - t * a_k + s > 0`: in the plane of (a, m), iff it lies above
# a line of slope t. Every way in which a line can part K points, with at least one of them
# below it, is reached by a line that runs just above one of them: lower the line until it
# meets the first. So with probe i as the pivot, `s = -(m_i - t * a_i)`, the rest is a scan
# over t of the margins `m_k - m_i` and features `a_k - a_i`: K scans of K thresholds instead
# of one sort for each of the K (K - 1) / 2 crossings `(m_i - m_k) / (a_i - a_k)`.


def pivot_events(problem: Problem, columns: Tensor, pivots: Tensor) -> Events:
    """Scans over t of B columns `[K, B]` with P pivots (numbers into the K probes).

    B * P scans; each pivot, and its exact duplicates with it, is just below the line.
    """
    a = columns.T[:, None, :] - columns.T[:, pivots, None]
    m = (problem.margin[None, :] - problem.margin[pivots, None]).expand_as(a)
    tau, delta, right = crossed(m / a, a > 0, problem.sign > 0, m > 0)
    count = len(problem.rows)
    return Events(
        tau=tau.view(-1, count),
        delta=delta.view(-1, count),
        base=group_counts(problem, right).view(-1, len(problem.size)),
        group=problem.group,
        size=problem.size,
    )


def pivot_keys(problem: Problem, columns: Tensor, floor: int = -1) -> Tensor:
    """The best key of each column `[K, B]` over all lines, `[B]`; see `peaks` for which
    are exact and for `floor`."""
    count = len(problem.rows)
    all_above = present_key(replace(problem, margin=torch.ones_like(problem.margin)))
    pivots = torch.arange(count)
    found = []
    for part in columns.split(max(1, at_a_time(columns.device) // max(1, count * count)), dim=1):
        keys = peaks(pivot_events(problem, part, pivots), floor)
        found.append(keys.view(part.shape[1], -1).amax(dim=1))
    return torch.cat(found).clamp_min(all_above)


def pivot_slope(problem: Problem, column: Tensor, pivots: Tensor) -> tuple[int, float]:
    """The best key of one column `[K]` over lines near the pivots, and a slope t that has it."""
    best, slope = -1, 0.0
    for part in pivots.split(max(1, at_a_time(column.device) // len(column))):
        keys, tau = scan(pivot_events(problem, column[:, None], part))
        peak = keys.amax(1)
        if int(peak.max()) > best:
            best, line = int(peak.max()), int(peak.argmax())
            slope = best_point(keys[line], tau[line])
    return best, slope


def crossing_midpoints(problem: Problem, column: Tensor) -> Tensor:
    """One t inside every interval between the crossings of K probes, sorted.

    Intervals too thin for rounding (1e-12 of t) are left out. Memory K squared.
    """
    i, k = torch.triu_indices(len(column), len(column), 1)
    a, m = column[i] - column[k], problem.margin[i] - problem.margin[k]
    t = m[a != 0] / a[a != 0]
    t = t[t.abs() <= LIMIT].unique()
    if len(t) == 0:
        return torch.zeros(1, dtype=torch.float64)
    inside = (t[:-1] + t.diff() / 2)[t.diff() > 1e-12 * t[1:].abs()]
    ends = torch.tensor([point(t, 0), point(t, len(t))], dtype=torch.float64)
    return torch.cat([ends[:1], inside, ends[1:]])


def best_slopes(problem: Problem, column: Tensor, slopes: Tensor) -> Tensor:
    """Those of the slopes `[T]` of one column `[K]` with the best worst-group accuracy."""
    levels = shift_levels(problem, column[:, None], slopes[None])[0]
    return slopes[levels == levels.max()]


def best_shift_at(problem: Problem, column: Tensor, slopes: Tensor) -> tuple[int, float, float]:
    """The best (key, t, s) of one column `[K]` over the slopes `[T]`, s exact for each.

    Ties: smaller |t|, then smaller |s|.
    """
    best, choices = -1, []
    for part in slopes.split(max(1, at_a_time(column.device) // max(1, len(column)))):
        keys, tau = scan(shift_events(problem, problem.margin - part[:, None] * column))
        peak = keys.amax(1)
        if int(peak.max()) > best:
            best, choices = int(peak.max()), []
        if int(peak.max()) == best:
            rows = (peak == best).nonzero().flatten()
            row = int(rows[part[rows].abs().argmin()])
            choices.append((part[row].item(), keys[row], tau[row]))
    t, keys, tau = min(choices, key=lambda choice: abs(choice[0]))
    return best, t, best_point(keys, tau)


LEVEL, STAY = 8192, 2
"""A sample of so many probes, and how many weights stay in the search after it."""
TURNED = 0.01 * GRID
"""So much worse than the first one is after turning, the next is not worth turning."""
NEAR = (0.6, 0.8, 1.0, 1.25, 1.6)
"""Slopes that are tried, as multiples of the one that a weight comes with."""
CLOSE_SLOPES, CLOSE_THRESHOLDS = (8, 64), 2**13
"""So many slopes more, from few to many: where there are few probes they cost little."""
TRIED, TRIED_PROBES = (3, 16), 2**14
"""How many weights are searched closely, in the same way."""
PIVOTS = (8, 32)
ROUNDS = 6
Candidate = tuple[Problem, int, float]
"""A weight: its problem (row), its column, and a slope worth trying."""


def refine_pair(
    probes: Probes, kept: list[Candidate], tick: Callable[[], None]
) -> tuple[int, int, int, float, float]:
    """The best (row, column, key, t, s) of the kept weights.

    Each is tried near the slopes that it comes with and at quantiles of sampled crossings, of
    many probes on a sample; the best few then by turning the line about the probes next to it.
    tick: called after each; may raise.
    """
    tried: list[tuple[int, Problem, int, Tensor]] = []
    for p in {id(p): p for p, _, _ in kept}.values():
        own = [(j, t) for q, j, t in kept if q is p]
        tried += [(level, p, j, slopes) for level, j, slopes in _tried(probes, p, own)]
        tick()
    tried.sort(key=lambda item: -item[0])
    results: list[tuple[int, float, float, int, int, float, float]] = []
    for level, p, j, slopes in tried[:STAY]:
        if results and level < worst_of(-results[0][0]) - TURNED:
            break
        column = probes.columns(p.rows, j, j + 1)[:, 0]
        if len(p.rows) > LEVEL:  # a sample chose them
            slopes = best_slopes(p, column, slopes)
        key, t, s = _turned(p, column, slopes)
        tick()
        results.append((-key, abs(t), abs(s), p.row, j, t, s))
    key, _, _, row, j, t, s = min(results)
    return row, j, -key, t, s


def _tried(
    probes: Probes, problem: Problem, kept: list[tuple[int, float]]
) -> Iterator[tuple[int, int, Tensor]]:
    """Of columns with a slope each: the best worst-group accuracy near it (on a sample of many
    probes), the column, and slopes to try closely."""
    few = problem.part(thinned(problem, LEVEL))
    columns = probes.cells(few.rows, torch.tensor([j for j, _ in kept]))
    around = torch.tensor([[t] for _, t in kept], dtype=torch.float64)
    slopes = _slopes(few, columns, around)
    levels = shift_levels(few, columns, slopes)
    best, at = levels.max(dim=1)
    for number, (j, _) in enumerate(kept):
        found = slopes[number][levels[number] == best[number]]
        if len(few.rows) < len(problem.rows):
            column = probes.columns(problem.rows, j, j + 1)
            near = torch.stack([around[number, 0], slopes[number, at[number]]])
            found = _slopes(problem, column, near[None])[0]
        yield int(best[number]), j, found


def thinned(problem: Problem, size: int) -> Tensor:
    """At most about `size` of the K probes, spread evenly inside every group and margin."""
    count = len(problem.rows)
    if count <= size:
        return torch.arange(count)
    order = problem.margin.argsort(stable=True)
    order = order[problem.group[order].argsort(stable=True)]
    return order[torch.linspace(0, count - 1, size).round().long()]


def crossing_quantiles(problem: Problem, columns: Tensor, levels: int) -> Tensor:
    """Quantiles of the crossings of random pairs of probes, `[B, levels]` for `[K, B]`.

    Only pairs that a line can be wrong about: of different signs.
    """
    i, k = _draw_pairs(problem, 64 * levels)
    a, m = columns[i] - columns[k], problem.margin[i] - problem.margin[k]
    t = torch.where(a != 0, m[:, None] / a, torch.nan).T
    at = (torch.arange(levels, dtype=torch.float64) + 0.5) / levels
    return torch.nanquantile(t, at, dim=1).T.nan_to_num(0.0, 0.0, 0.0)


def between(limits: tuple[int, int], wanted: int) -> int:
    """What is wanted, from the least to the most."""
    return max(limits[0], min(limits[1], wanted))


def _draw_pairs(problem: Problem, count: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator(device="cpu").manual_seed(0)
    ups = (problem.sign > 0).nonzero().flatten()
    downs = (problem.sign < 0).nonzero().flatten()
    if len(ups) == 0 or len(downs) == 0:
        ups = downs = torch.arange(len(problem.sign))

    def drawn(members: Tensor) -> Tensor:
        return members[torch.randint(len(members), (count,), generator=draw, device="cpu")]

    return drawn(ups), drawn(downs)


def _slopes(problem: Problem, columns: Tensor, around: Tensor) -> Tensor:
    """Slopes to try for columns `[K, B]`, `[B, T]`: none, near the given ones `[B, S]`, and
    quantiles of sampled crossings."""
    levels = between(CLOSE_SLOPES, CLOSE_THRESHOLDS // len(columns))
    near = (around[..., None] * torch.tensor(NEAR, dtype=torch.float64)).flatten(1)
    quantiles = crossing_quantiles(problem, columns, levels)
    return torch.cat([quantiles, torch.zeros_like(near[:, :1]), near], dim=1)


def _turned(problem: Problem, column: Tensor, slopes: Tensor) -> tuple[int, float, float]:
    """The best (key, t, s) of one column `[K]`: of the slopes, then by turning the line about the
    probes next to it."""
    best = best_shift_at(problem, column, slopes)
    for _ in range(ROUNDS):
        line = problem.margin - best[1] * column + best[2]
        pivots = min(len(line), between(PIVOTS, CLOSE_THRESHOLDS // len(line)))
        near = line.abs().argsort(stable=True)[:pivots]
        key, turned = pivot_slope(problem, column, near)
        if key <= best[0]:
            break
        better = best_shift_at(problem, column, torch.tensor([turned], dtype=torch.float64))
        if better[0] <= best[0]:
            break
        best = better
    return best
