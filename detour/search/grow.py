"""One weight more: which are worth trying, and all numbers fitted again with each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from ..edit.record import Change
from .one_weight import BYTES_PER_CELL, Progress
from .scan import pack
from .smoothed import Batch, Fit, Sample, climb, score, start_from

PROMISING = 16
"""How many weights are tried before one is added: those with the steepest slope."""
PROMISING_ROWS = 8
"""Of how many rows that have none yet."""
FINALISTS = 3
"""How many of them are fitted to the end: those that do best after a few steps."""
FIRST_STEPS, STEPS, WIDTHS = 4, 8, 2
"""Newton steps before the finalists are known, and after, and how often the width is fitted."""


def no_edit() -> Fit:
    """Where the first weight is added to."""
    return Fit((), (), torch.zeros(0, dtype=torch.float64))


def refit(sample: Sample, change: Change) -> Fit:
    """The change's weights and the biases of their rows, fitted together from where they are."""
    start = start_from(sample, change)
    return _finish(sample, Batch.of(sample, [start]), [start], start.numbers[None])[0]


def add_weight(
    sample: Sample,
    searched: Sequence[int],
    fit: Fit,
    max_bytes: int,
    progress: Progress,
) -> list[Fit]:
    """With one weight more, everything fitted again: the best few of the promising weights.

    searched: the rows of the head that it may be of. Source: ours.
    """
    fits = promising(sample, searched, fit, max_bytes, progress)
    done: list[Fit] = []
    for _, alike in groupby(sorted(fits, key=_count), key=_count):
        done += _best_of(sample, list(alike), lambda: progress(1.0))
    done.sort(key=lambda one: -one.value)
    return done[:FINALISTS]


def first_weights(
    sample: Sample, searched: Sequence[int], few: int, max_bytes: int, progress: Progress
) -> list[Fit]:
    """The best few of the promising weights alone, each with the bias of its row, fitted in a few
    steps: for those who search closely what they stand for."""
    fits = promising(sample, searched, no_edit(), max_bytes, progress)
    return _best_after(sample, fits, few)[1] if fits else []


def promising(
    sample: Sample, searched: Sequence[int], fit: Fit, max_bytes: int, progress: Progress
) -> list[Fit]:
    """The fit with one weight more each, still 0: those along which the smoothed score is
    steepest, in units of their feature's spread, with the bias of their row fitted."""
    bases = _bases(sample, searched, fit)
    pulls = torch.stack([_pulls(sample, base, row) for row, base in bases.items()])
    width, found = sample.probes.features.shape[1], []
    step = max(1, max_bytes // (BYTES_PER_CELL * len(sample.rows)))
    for first in range(0, width, step):
        block = sample.probes.columns(sample.rows, first, min(width, first + step))
        found.append(pulls @ block)
        progress(min(width, first + step) / width)
    mean, spread = sample.units
    steep = (torch.cat(found, dim=1) - pulls.sum(1)[:, None] * mean).abs() / spread
    rows = list(bases)
    for row, column in fit.cells:
        steep[rows.index(row), column] = 0
    order = steep.flatten().argsort(descending=True, stable=True)[:PROMISING]
    cells = [(rows[i // width], i % width) for i in order[steep.flatten()[order] > 0].tolist()]
    return [bases[row].with_cell((row, column)) for row, column in cells]


def _bases(sample: Sample, searched: Sequence[int], fit: Fit) -> dict[int, Fit]:
    """For each row that is worth a weight the fit that has its bias."""
    bases = {row: fit for row in fit.rows}
    new = [row for row in searched if row not in fit.rows]
    if len(new) > PROMISING_ROWS:
        slope, rival = _slope(sample, fit)
        count = torch.zeros(sample.probes.z.shape[1] + 1, dtype=torch.float64)
        count.index_add_(0, sample.own, slope).index_add_(0, rival, slope)
        new = sorted(new, key=lambda row: -float(count[row]))[:PROMISING_ROWS]
    if new:
        starts = [fit.with_row(row) for row in new]
        numbers = torch.stack([start.numbers for start in starts])
        fits = _finish(sample, Batch.of(sample, starts), starts, numbers, widths=1)
        bases |= zip(new, fits, strict=True)
    return bases


def _pulls(sample: Sample, fit: Fit, row: int) -> Tensor:
    """What the score gains where the row's logit of each probe rises, `[n]`."""
    slope, rival = _slope(sample, fit)
    return slope * ((sample.own == row).double() - (rival == row).double())


def _slope(sample: Sample, fit: Fit) -> tuple[Tensor, Tensor]:
    """What the score gains where each margin rises, and the row of the best other logit, `[n]`."""
    batch, numbers = Batch.of(sample, [fit]), fit.numbers[None]
    width = sample.widths(batch.margins(numbers))
    return score(batch, width, numbers, sample.spread).slope[0], _rival(sample, batch, fit)


def _rival(sample: Sample, batch: Batch, fit: Fit) -> Tensor:
    """The row of the best other logit of each probe."""
    at, rest = batch.rivals(fit.numbers[None])[0], sample.rest(fit.rows)[2]
    rows = torch.tensor([*fit.rows, 0], dtype=torch.long)
    return torch.where(at < len(fit.rows), rows[at], rest)


def exact_key(sample: Sample, change: Change) -> int:
    """The key of the exact group accuracies after a change; ties as in `predictions`."""
    fit = start_from(sample, change)
    batch = Batch.of(sample, [fit])
    margin = batch.margins(fit.numbers[None])
    right = (margin > 0) | ((margin == 0) & (sample.own < _rival(sample, batch, fit)))
    share = sample.accuracies(right)[0]
    return int(pack(share.min(), share.mean()))


def _best_of(sample: Sample, fits: list[Fit], tick: Callable[[], None]) -> list[Fit]:
    """The finalists of fits with as many numbers each, fitted to the end."""
    batch, best = _best_after(sample, fits, FINALISTS)
    tick()
    done = _finish(sample, batch, best, torch.stack([one.numbers for one in best]))
    tick()
    return done


def _best_after(sample: Sample, fits: list[Fit], few: int) -> tuple[Batch, list[Fit]]:
    """The few of fits with as many numbers each that are the best after the first steps."""
    numbers = torch.stack([one.numbers for one in fits])
    batch = Batch.of(sample, fits)
    width = sample.widths(batch.margins(numbers))
    numbers, value = climb(batch, width, numbers, sample.spread, FIRST_STEPS)
    keep = value.argsort(descending=True, stable=True)[:few]
    found = zip(keep.tolist(), numbers[keep], value[keep].tolist(), strict=True)
    return batch.part(keep), [replace(fits[i], numbers=one, value=v) for i, one, v in found]


def _finish(
    sample: Sample, batch: Batch, fits: list[Fit], numbers: Tensor, widths: int = WIDTHS
) -> list[Fit]:
    own = sample.spread
    for _ in range(widths):
        width = sample.widths(batch.margins(numbers))
        numbers, _ = climb(batch, width, numbers, own, STEPS)
    width = sample.widths(batch.margins(numbers))
    value = score(batch, width, numbers, own).value.tolist()
    found = zip(fits, numbers, value, strict=True)
    return [Fit(fit.cells, fit.rows, one, worth) for fit, one, worth in found]


def _count(fit: Fit) -> int:
    return len(fit.numbers)
