"""The best single-weight edit for worst-group accuracy, and the best bias shift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..edit.record import Change
from ..probes.features import Probes
from .mean_gain import best_means
from .problem import Chosen, Found, Problem, joined, problem_of, require_contrast, searched_rows
from .scan import (
    FEW,
    at_a_time,
    best_point,
    bound_key,
    column_peaks,
    crossings,
    events,
    events_within,
    peaks,
    present_key,
    rising,
    scan,
    unpack,
    worst_of,
)
from .where import on_device

MAX_BYTES = 256 * 2**20
"""Memory for the block of features that a search works on."""
BYTES_PER_CELL = 32
"""Memory per probe and column of such a block, its copies included."""
Progress = Callable[[float], None]
"""Called with the finished share (0..1); may raise to cancel."""


def quiet(share: float) -> None:
    """Progress that nobody wants to know of."""


def part_of(progress: Progress, start: float, stop: float) -> Progress:
    """The progress of a piece of work that reaches from one share of the whole to another."""
    return lambda share: progress(start + share * (stop - start))


def worst_group(
    probes: Probes,
    rows: Tensor | None = None,
    target_class: int | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress = quiet,
) -> Found:
    """The single-weight edit with the best worst-group accuracy on the probes `rows`.

    Exact: group accuracies are step functions of t for each weight, and every interval of
    every weight of the target row (all rows if `target_class` is None; one row for two classes)
    is scored. Ties: higher mean accuracy, then smaller |t|, then the lower row and column.
    t is the midpoint of its interval. The empty change ("no edit") if nothing is better
    than the head as it is.

    rows: numbers of the probes to choose on (all if None). max_bytes: memory for a
    block of features; the scans take some 50 MB more.
    Raises ValueError for probes of one class or one attribute only.
    Source: ours, after the abstract of arXiv 2501.14182.
    """

    def work(placed: Probes) -> Found:
        return best_weight(placed, problems_of(placed, rows, target_class), max_bytes, progress)

    return on_device(probes, work)


def bias_only(probes: Probes, rows: Tensor | None = None, target_class: int | None = None) -> Found:
    """The bias shift of one row with the best worst-group accuracy: the rival of every edit.

    Exact, by the same scan and the same rules as `worst_group`. Source: ours.
    """
    return on_device(probes, lambda placed: best_shift(problems_of(placed, rows, target_class)))


def problems_of(probes: Probes, rows: Tensor | None, target_class: int | None) -> list[Problem]:
    """One problem per row of the head that is searched."""
    chosen = rows_of(probes, rows)
    require_contrast(probes, chosen)
    shared = Chosen(probes, chosen)
    return [problem_of(shared, row) for row in searched_rows(probes, target_class)]


def rows_of(probes: Probes, rows: Tensor | None) -> Tensor:
    """The numbers of the probes to look at, all if None, where the probes are."""
    rows = torch.arange(len(probes)) if rows is None else rows
    return rows.to(probes.z.device)


def best_weight(
    probes: Probes,
    problems: list[Problem],
    max_bytes: int = MAX_BYTES,
    progress: Progress = quiet,
) -> Found:
    """`worst_group` on problems that may already carry a change."""
    return best_weights(probes, [problems], max_bytes, progress)[0]


def best_weights(
    probes: Probes,
    parts: Sequence[list[Problem]],
    max_bytes: int = MAX_BYTES,
    progress: Progress = quiet,
) -> list[Found]:
    """`best_weight` on the problems of each of some parts of the probes, of the same rows."""
    starts = list(map(unedited, parts))
    lifting = [own for own in zip(*parts, strict=True) if any(map(_lifts, own, starts))]
    share = len(lifting) / len(parts[0])
    first = part_of(progress, 0.0, share)
    if len(parts) == 1:
        blocks = column_blocks(probes, [own[0] for own in lifting], max_bytes, first)
        best = [best_columns(blocks, column_peaks, starts[0].key)]
    else:
        best = _best_of_parts(probes, lifting, starts, max_bytes, first)
    found = []
    for number, (problems, start, own) in enumerate(zip(parts, starts, best, strict=True)):
        rest = part_of(progress, share, 1.0) if number == 0 else quiet
        found.append(_best_weight(probes, problems, start, own, max_bytes, rest))
    return found


Best = tuple[int, list[tuple[Problem, int]]]
"""The best key, and every (problem, column) that reaches it."""


def _lifts(p: Problem, start: Found) -> bool:
    """Whether the row may lift the worst group."""
    return worst_of(bound_key(p)) > worst_of(start.key)


def _best_weight(
    probes: Probes,
    problems: list[Problem],
    start: Found,
    found: Best,
    max_bytes: int,
    progress: Progress,
) -> Found:
    """The weight, given the best of the rows that may lift the worst group."""
    best, tied = found
    if worst_of(best) == worst_of(start.key):
        others = [p for p in problems if worst_of(bound_key(p)) == worst_of(start.key)]
        best, tied = best_means(probes, others, found, max_bytes, progress)
    if not tied:
        return start
    choices = [(p.row, j, best_t(probes, p, j)) for p, j in tied]
    row, j, t = min(choices, key=lambda choice: (abs(choice[2]), choice[0], choice[1]))
    worst, mean = unpack(best)
    return Found(Change(row, ((j, t),)), worst, mean, best)


def best_columns(
    blocks: Iterator[tuple[Problem, int, Tensor]],
    peaks: Callable[[Problem, Tensor, int], Tensor],
    start: int,
) -> Best:
    """The best key above `start`, and every (problem, column) that reaches it.

    peaks: the best key of each column of a block, given the best key so far.
    """
    found: Best = start, []
    for p, first, columns in blocks:
        if _may_reach(p, found[0]):
            found = _better(found, start, p, first, peaks(p, columns, found[0]))
    return found


def _may_reach(p: Problem, best: int) -> bool:
    return len(p.rows) > 0 and bound_key(p) >= best


def _better(found: Best, start: int, p: Problem, first: int, keys: Tensor) -> Best:
    """The best so far and the keys of some columns, from the first one on."""
    best, tied = found
    peak = int(keys.max())
    if peak > best:
        best, tied = peak, []
    if peak == best > start:
        tied = [*tied, *((p, first + j) for j in (keys == peak).nonzero().flatten().tolist())]
    return best, tied


def _best_of_parts(
    probes: Probes,
    lifting: Sequence[tuple[Problem, ...]],
    starts: Sequence[Found],
    max_bytes: int,
    progress: Progress,
) -> list[Best]:
    """`best_columns` of each part: the thresholds of all probes are put in order once."""
    found: list[Best] = [(start.key, []) for start in starts]
    wholes, of_row = list(map(joined, lifting)), {own[0].row: own for own in lifting}
    for whole, first, block in column_blocks(probes, wholes, max_bytes, progress):
        own = of_row[whole.row]
        step = max(1, at_a_time(block.device) // max(1, len(whole.rows)))
        for at in range(0, block.shape[1], step):
            tau, delta, right = crossings(whole, block[:, at : at + step])
            order, likely = rising(tau), None
            for number, (p, start) in enumerate(zip(own, starts, strict=True)):
                if not _lifts(p, start) or not _may_reach(p, found[number][0]):
                    continue
                moves = events_within(whole, p, tau, delta, right)
                keys = peaks(moves, found[number][0], order, likely)
                likely = keys.topk(min(FEW, len(keys))).indices  # of the next part, too
                found[number] = _better(found[number], start.key, p, first + at, keys)
    return found


def best_shift(problems: list[Problem]) -> Found:
    """`bias_only` on problems that may already carry a change."""
    best = unedited(problems)
    for p in problems:
        keys, tau = scan(events(p, -torch.ones(len(p.rows), 1, dtype=torch.float64)))
        key, s = int(keys.max()), best_point(keys[0], tau[0])
        smaller = key == best.key and best.change.numbers and abs(s) < abs(best.change.shift)
        if key > best.key or smaller:
            best = Found(Change(p.row, (), s), *unpack(key), key)
    return best


def unedited(problems: list[Problem]) -> Found:
    """The head as it is, scored; the first row stands for none."""
    key = present_key(problems[0])
    return Found(Change(problems[0].row), *unpack(key), key)


def column_blocks(
    probes: Probes,
    problems: list[Problem],
    max_bytes: int,
    progress: Progress = quiet,
) -> Iterator[tuple[Problem, int, Tensor]]:
    """Blocks of columns that fit the memory: (problem, first column, features `[K, B]`).

    Each block is read once for all problems.
    """
    if not problems:
        return
    rows = problems[0].rows if len(problems) == 1 else torch.cat([p.rows for p in problems])
    rows = rows.unique()
    width = probes.features.shape[1]
    step = max(1, max_bytes // (BYTES_PER_CELL * max(1, len(rows))))
    for first in range(0, width, step):
        last = min(width, first + step)
        block = probes.columns(rows, first, last)
        for p in problems:
            yield p, first, block[torch.searchsorted(rows, p.rows)]
        progress(last / width)


def best_t(probes: Probes, p: Problem, column: int) -> float:
    """The t of one weight that scores best, the smallest of several."""
    keys, tau = scan(events(p, probes.columns(p.rows, column, column + 1)))
    return best_point(keys[0], tau[0])
