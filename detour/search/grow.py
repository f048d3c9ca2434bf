"""One weight more: which are worth trying, and all numbers fitted again with each of them.

Everything is done for several parts of a sample at once: the fits of one shape side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..edit.record import Change
from .one_weight import BYTES_PER_CELL, Progress
from .sample import Sample
from .scan import pack
from .smoothed import Batch, Fit, climb, graded, score, start_from

PROMISING = 16
"""How many weights are tried before one is added: those with the steepest slope."""
PROMISING_ROWS = 8
"""Of how many rows that have none yet."""
FINALISTS = 2
"""How many of them are fitted further: those that do best after one Newton step. Of more of them
the best in sample was no better on other probes."""
STEPS, WIDTHS = 8, 2
"""Newton steps at one width, and how often the width is fitted: the second time of the best."""
CLOSE_STEPS = 4
"""Newton steps of weights that are then searched closely."""


def refit(sample: Sample, changes: Sequence[tuple[int, Change]]) -> list[Fit]:
    """Of changes, each with its part: its weights and the biases of their rows, fitted together
    from where they are."""
    return _all_finished([start_from(sample, change, part) for part, change in changes], sample)


def add_weight(
    sample: Sample,
    searched: Sequence[int],
    fits: Sequence[Fit],
    max_bytes: int,
    progress: Progress,
) -> list[Fit]:
    """Each fit with the best of the promising weights more, everything fitted again; the fit
    itself where none does better. The fits are of different parts.

    searched: the rows of the head that it may be of. Source: ours.
    """
    best = {fit.part: fit for fit in fits}
    tried = promising(sample, searched, fits, max_bytes, progress)
    for alike in _shapes(tried):
        parts = {fit.part for fit in alike}
        some = _best_after(1, Batch.of(sample, alike), alike, dict.fromkeys(parts, FINALISTS))
        progress(1.0)
        for fit in _finish(*_best_after(STEPS, *some, dict.fromkeys(parts, 1)), WIDTHS - 1):
            best[fit.part] = max(best[fit.part], fit, key=lambda one: one.value)
        progress(1.0)
    return list(best.values())


def first_weights(
    sample: Sample,
    searched: Sequence[int],
    few: dict[int, int],
    max_bytes: int,
    progress: Progress,
) -> list[Fit]:
    """The best few of the promising weights alone, each with the bias of its row, fitted in a few
    steps: for those who search closely what they stand for. few: how many of each part."""
    fits = promising(sample, searched, [Fit.none(part) for part in few], max_bytes, progress)
    if not fits:
        return []
    return _best_after(CLOSE_STEPS, *_best_after(1, Batch.of(sample, fits), fits, few), few)[1]


def promising(
    sample: Sample,
    searched: Sequence[int],
    fits: Sequence[Fit],
    max_bytes: int,
    progress: Progress,
) -> list[Fit]:
    """Each fit with one weight more, still 0: those along which the smoothed score is
    steepest, in units of their feature's spread, with the bias of their row fitted."""
    bases = _bases(sample, searched, fits)
    pulls = _pulls(sample, bases)
    width, found = sample.probes.features.shape[1], []
    step = max(1, max_bytes // (BYTES_PER_CELL * len(sample.rows)))
    for first in range(0, width, step):
        block = sample.probes.columns(sample.rows, first, min(width, first + step))
        found.append(pulls @ block)
        progress(min(width, first + step) / width)
    mean, spread = (each[[base.part for _, base in bases]] for each in sample.units)
    steep = (torch.cat(found, dim=1) - pulls.sum(1)[:, None] * mean).abs() / spread
    for at, (row, base) in enumerate(bases):
        steep[at, [column for own, column in base.cells if own == row]] = 0
    room = [base.with_room() for _, base in bases]
    return [
        replace(room[at], cells=(*room[at].cells, (bases[at][0], column)))
        for part in dict.fromkeys(base.part for _, base in bases)
        for at, column in _steepest(steep, [base.part == part for _, base in bases])
    ]


def _steepest(steep: Tensor, own: list[bool]) -> list[tuple[int, int]]:
    """Where the few largest numbers above 0 are in some rows of a table; those that are equal but
    for the order of sums count as equal, and the first ones are taken."""
    rows, width = [at for at, wanted in enumerate(own) if wanted], steep.shape[1]
    values = steep[rows].flatten().float()
    order = values.argsort(descending=True, stable=True)[:PROMISING]
    return [(rows[i // width], i % width) for i in order[values[order] > 0].tolist()]


Base = tuple[int, Fit]
"""A row that is worth a weight, and the fit that has its bias."""


def _bases(sample: Sample, searched: Sequence[int], fits: Sequence[Fit]) -> list[Base]:
    """For each fit the rows that are worth a weight."""
    bases = [(row, fit) for fit in fits for row in fit.rows]
    new = [(row, fit.with_row(row)) for fit in fits for row in _new_rows(sample, searched, fit)]
    done = _all_finished([start for _, start in new], sample, widths=1)
    bases += [(row, fit) for (row, _), fit in zip(new, done, strict=True)]
    return sorted(bases, key=lambda base: base[1].part)


def _new_rows(sample: Sample, searched: Sequence[int], fit: Fit) -> list[int]:
    """Those of the rows that have no weight yet which the score hangs on most."""
    new = [row for row in searched if row not in fit.rows]
    if len(new) <= PROMISING_ROWS:
        return new
    slope, rival = _slopes(sample, [fit])
    count = torch.zeros(sample.probes.z.shape[1] + 1, dtype=torch.float64)
    count.index_add_(0, sample.own, slope[0]).index_add_(0, rival[0], slope[0])
    return sorted(new, key=lambda row: -float(count[row]))[:PROMISING_ROWS]


def _pulls(sample: Sample, bases: Sequence[Base]) -> Tensor:
    """What the score gains where the row's logit of each probe rises, `[len(bases), n]`."""
    pulls = torch.zeros(len(bases), len(sample.rows), dtype=torch.float64)
    for shape in dict.fromkeys(base.shape for _, base in bases):
        at = [i for i, (_, base) in enumerate(bases) if base.shape == shape]
        slope, rival = _slopes(sample, [bases[i][1] for i in at])
        row = torch.tensor([bases[i][0] for i in at])[:, None]
        pulls[at] = slope * ((sample.own == row).double() - (rival == row).double())
    return pulls


def _slopes(sample: Sample, fits: Sequence[Fit]) -> tuple[Tensor, Tensor]:
    """Of fits of one shape: what the score gains where each margin rises, and the row of the best
    other logit, `[len(fits), n]`."""
    batch, numbers = Batch.of(sample, fits), torch.stack([fit.numbers for fit in fits])
    return score(batch, batch.scales(numbers)[0], numbers).slope, batch.rivals(numbers)


def exact_keys(sample: Sample, changes: Sequence[tuple[int, Change]]) -> list[int]:
    """Of changes, each with its part: the key of the exact group accuracies after it; ties as in
    `predictions`."""
    fits, found = [start_from(sample, change, part) for part, change in changes], {}
    for alike in _shapes(fits):
        batch, numbers = Batch.of(sample, alike), torch.stack([fit.numbers for fit in alike])
        margin, rival = batch.margins(numbers), batch.rivals(numbers)
        right = (margin > 0) | ((margin == 0) & (sample.own < rival))
        counts, size = sample.sums(right * sample.inside[batch.part]), sample.size[batch.part]
        for fit, hits, of in zip(alike, counts, size, strict=True):
            share = (hits / of)[of > 0]
            found[id(fit)] = int(pack(share.min(), share.mean()))
    return [found[id(fit)] for fit in fits]


def _shapes(fits: Sequence[Fit]) -> list[list[Fit]]:
    """The fits by their shapes, the smallest first."""
    shapes = sorted({fit.shape for fit in fits})
    return [[fit for fit in fits if fit.shape == shape] for shape in shapes]


def _best_after(
    steps: int, batch: Batch, fits: Sequence[Fit], few: dict[int, int]
) -> tuple[Batch, list[Fit]]:
    """Of the fits of a batch the few of each part that are the best after so many steps."""
    numbers, value = climb(batch, torch.stack([one.numbers for one in fits]), steps)
    order = value.argsort(descending=True, stable=True).tolist()
    keep = [
        i for part, count in few.items() for i in [i for i in order if fits[i].part == part][:count]
    ]
    found = zip(keep, numbers[keep], value[keep].tolist(), strict=True)
    kept = [replace(fits[i], numbers=one, value=worth) for i, one, worth in found]
    return batch.some(torch.tensor(keep)), kept


def _finish(batch: Batch, fits: Sequence[Fit], widths: int = WIDTHS) -> list[Fit]:
    """The fits of a batch, fitted to the end."""
    numbers = torch.stack([fit.numbers for fit in fits])
    for _ in range(widths):
        numbers, _ = climb(batch, numbers, STEPS)
    value = graded(score(batch, batch.scales(numbers)[0], numbers).value)
    found = zip(fits, numbers, value.tolist(), strict=True)
    return [replace(fit, numbers=one, value=worth) for fit, one, worth in found]


def _all_finished(fits: Sequence[Fit], sample: Sample, widths: int = WIDTHS) -> list[Fit]:
    """Fits of whatever shapes in their order, fitted to the end."""
    done: dict[int, Fit] = {}
    for alike in _shapes(fits):
        finished = _finish(Batch.of(sample, alike), alike, widths)
        done |= zip(map(id, alike), finished, strict=True)
    return [done[id(fit)] for fit in fits]
