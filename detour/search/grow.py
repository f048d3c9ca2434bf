"""One weight more: which are worth trying, and all numbers fitted again with each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from ..edit.record import Change
from .one_weight import BYTES_PER_CELL, Progress
from .scan import pack
from .smoothed import (
    Batch,
    Cell,
    Fit,
    Sample,
    climb,
    rows_of,
    score,
    spread_of,
    start_from,
    units,
)

PROMISING = 16
"""How many weights are tried before one is added: those with the steepest slope."""
FINALISTS = 4
"""How many of them are fitted to the end: those that do best after a few steps."""
FIRST_STEPS, STEPS, WIDTHS = 4, 15, 2
"""Newton steps before the finalists are known, and after, and how often the width is fitted."""
NO_EDIT = Fit((), torch.zeros(0, dtype=torch.float64), -torch.inf)
"""Where the first weight is added to."""


def refit(sample: Sample, change: Change) -> Fit:
    """The change's weights and the biases of their rows, fitted together from where they are."""
    start = start_from(sample, change)
    if not start.cells:
        return start
    return _finish(sample, Batch.of(sample, [start.cells]), [start.cells], start.numbers[None])[0]


def add_weight(
    sample: Sample,
    searched: Sequence[int],
    fit: Fit,
    max_bytes: int,
    progress: Progress,
    finalists: int = FINALISTS,
) -> list[Fit]:
    """With one weight more, everything fitted again: the best few of the promising weights.

    searched: the rows of the head that it may be of. Source: ours.
    """
    cells = promising(sample, searched, fit, max_bytes, progress)
    done: list[Fit] = []
    fits = [_with(fit, cell) for cell in cells]
    fits.sort(key=lambda one: len(one.numbers))
    for _, alike in groupby(fits, key=lambda one: len(one.numbers)):
        done += _best_of(sample, list(alike), finalists, lambda: progress(1.0))
    done.sort(key=lambda one: -one.value)
    return done[:finalists]


def promising(
    sample: Sample, searched: Sequence[int], fit: Fit, max_bytes: int, progress: Progress
) -> list[Cell]:
    """The cells along which the smoothed score is steepest, in units of their feature's spread."""
    batch = Batch.of(sample, [fit.cells])
    margin, at, _ = batch.margins(fit.numbers[None])
    own = _own_spread(sample)
    slope = score(batch, sample.widths(margin), fit.numbers[None], own).slope[0]
    rows = torch.tensor([*rows_of(fit.cells)], dtype=torch.long)
    rest = sample.rest(rows_of(fit.cells))[2]
    rival = torch.where(at[0] < len(rows), torch.cat([rows, rest[:1]])[at[0]], rest)
    steep = _slopes(sample, searched, (slope, rival), max_bytes, progress)
    for row, column in fit.cells:
        steep[list(searched).index(row), column] = 0
    order = steep.flatten().argsort(descending=True, stable=True)[:PROMISING].tolist()
    width = steep.shape[1]
    return [(searched[i // width], i % width) for i in order if steep.flatten()[i] > 0]


def _slopes(
    sample: Sample,
    searched: Sequence[int],
    moves: tuple[Tensor, Tensor],
    max_bytes: int,
    progress: Progress,
) -> Tensor:
    """How steep the score is along every weight `[rows, D]`; moves: the slope of each margin,
    and the row of the best other logit."""
    slope, rival = moves
    place = torch.full((sample.probes.z.shape[1] + 1,), len(searched))  # the last: not searched
    place[torch.tensor(searched)] = torch.arange(len(searched))
    width, found = sample.probes.features.shape[1], []
    step = max(1, max_bytes // (BYTES_PER_CELL * len(sample.rows)))
    for first in range(0, width, step):
        block = sample.probes.columns(sample.rows, first, min(width, first + step))
        mean, spread = units(block)
        part = slope[:, None] * ((block - mean) / spread)
        sums = torch.zeros(len(searched) + 1, block.shape[1], dtype=torch.float64)
        sums.index_add_(0, place[sample.own], part).index_add_(0, place[rival], part, alpha=-1)
        found.append(sums[:-1].abs())
        progress(min(width, first + step) / width)
    return torch.cat(found, dim=1)


def exact_key(sample: Sample, change: Change) -> int:
    """The key of the exact group accuracies after a change; ties as in `predictions`."""
    fit = start_from(sample, change)
    batch = Batch.of(sample, [fit.cells])
    margin, at, _ = batch.margins(fit.numbers[None])
    rows = torch.tensor([*rows_of(fit.cells), 0])
    rest = sample.rest(rows_of(fit.cells))[2]
    rival = torch.where(at[0] < len(rows) - 1, rows[at[0]], rest)
    right = (margin > 0) | ((margin == 0) & (sample.own < rival))
    share = sample.accuracies(right)[0]
    return int(pack(share.min(), share.mean()))


def _best_of(
    sample: Sample, fits: list[Fit], finalists: int, tick: Callable[[], None]
) -> list[Fit]:
    """The finalists of edits with as many numbers each, fitted to the end."""
    numbers = torch.stack([one.numbers for one in fits])
    batch = Batch.of(sample, [one.cells for one in fits])
    width = sample.widths(batch.margins(numbers)[0])
    numbers, value = climb(batch, width, numbers, _own_spread(sample), FIRST_STEPS)
    tick()
    keep = value.argsort(descending=True, stable=True)[:finalists]
    cells = [fits[i].cells for i in keep.tolist()]
    done = _finish(sample, batch.part(keep), cells, numbers[keep])
    tick()
    return done


def _finish(
    sample: Sample, batch: Batch, cells: list[tuple[Cell, ...]], numbers: Tensor
) -> list[Fit]:
    own = _own_spread(sample)
    for _ in range(WIDTHS):
        width = sample.widths(batch.margins(numbers)[0])
        numbers, _ = climb(batch, width, numbers, own, STEPS)
    width = sample.widths(batch.margins(numbers)[0])
    value = score(batch, width, numbers, own).value.tolist()
    return [Fit(*each) for each in zip(cells, numbers, value, strict=True)]


def _with(fit: Fit, cell: Cell) -> Fit:
    """With one weight more, which is 0; so is the bias of its row if that is new."""
    count, nothing = len(fit.cells), torch.zeros(1, dtype=torch.float64)
    weights, shifts = fit.numbers[:count], fit.numbers[count:]
    cells = (*fit.cells, cell)
    new = [nothing] * (len(rows_of(cells)) - len(shifts))
    return Fit(cells, torch.cat([weights, nothing, shifts, *new]), fit.value)


def _own_spread(sample: Sample) -> float:
    """The spread of the margins without an edit."""
    own, best, _ = sample.rest(())
    return float(spread_of((own - best)[None])[0])
