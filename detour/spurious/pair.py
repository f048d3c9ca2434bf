"""One weight and the bias together: the best (t, s) for worst-group accuracy."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from .change import Change, Found
from .margins import Problem
from .pivots import best_shift_at, crossing_midpoints, pivot_keys
from .probes import Probes
from .refine import refine_pair, screen_weights
from .scan import unpack
from .search import (
    MAX_BYTES,
    Progress,
    best_columns,
    best_shift,
    best_weight,
    column_blocks,
    problems_of,
    unedited,
)

EXACT_UP_TO = 64
"""Up to this many probes that matter, every interval of every weight is tried."""
SCREENED = 64
"""Beyond that, this many weights are searched closely."""


def weight_and_bias(
    probes: Probes,
    rows: Tensor | None = None,
    target: int | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
) -> Found:
    """`W[c, j] -= t` and `b[c] += s` with the best worst-group accuracy on the probes `rows`.

    Up to 64 probes that matter: exact over every weight, t and s. More: the weights are
    screened on a sample, the best 64 searched closely (`approximate` is set). Never worse
    than the best single weight or the best bias shift; if one of these does as well, it is
    returned, the fewer numbers first; the empty change if nothing beats the head as it is.
    t is a midpoint, then s at that t; ties: higher mean, then smaller |t|, then |s|.

    Errors as `worst_group`. Source: ours.
    """
    return best_pair(probes, problems_of(probes, rows, target), (), max_bytes, progress)


def best_pair(
    probes: Probes,
    problems: list[Problem],
    skip: tuple[int, ...] = (),
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
    weight: Found | None = None,
) -> Found:
    """`weight_and_bias` on problems that may already carry a change.

    skip: columns left out. weight: the result of `best_weight`, if it is known already.
    """
    if weight is None:
        weight = best_weight(probes, problems, skip, max_bytes)
    simple = max(
        (unedited(problems), best_shift(problems), weight), key=lambda found: found.key
    )  # max keeps the first of equals
    exact = max(len(p.rows) for p in problems) <= EXACT_UP_TO
    search = _exact_pair if exact else _close_pair
    found = search(probes, problems, skip, max_bytes, progress, simple)
    return found if found.key > simple.key else simple


def _exact_pair(
    probes: Probes,
    problems: list[Problem],
    skip: tuple[int, ...],
    max_bytes: int,
    progress: Progress | None,
    simple: Found,
) -> Found:
    blocks = column_blocks(probes, problems, max_bytes, progress)
    _, tied = best_columns(blocks, pivot_keys, simple.key, skip)
    results = []
    for p, j in tied:
        column = probes.columns(p.rows, j, j + 1)[:, 0]
        key, t, s = best_shift_at(p, column, crossing_midpoints(p, column))
        results.append((-key, abs(t), abs(s), p.row, j, t, s))
    if not results:
        return simple
    key, _, _, row, j, t, s = min(results)
    return Found(Change(row, ((j, t),), s), *unpack(-key), -key)


def _close_pair(
    probes: Probes,
    problems: list[Problem],
    skip: tuple[int, ...],
    max_bytes: int,
    progress: Progress | None,
    simple: Found,
) -> Found:
    blocks = partial(column_blocks, max_bytes=max_bytes, progress=progress)
    kept = screen_weights(probes, problems, SCREENED, skip, blocks)
    if simple.change.weights:
        j, t = simple.change.weights[0]
        kept.append((next(p for p in problems if p.row == simple.change.row), j, [t]))

    def tick() -> None:
        if progress is not None:
            progress(1.0)

    row, j, key, t, s = refine_pair(probes, kept, tick)
    return Found(Change(row, ((j, t),), s), *unpack(key), key, approximate=True)
