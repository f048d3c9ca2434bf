"""A removed class: how often each class is still recognised, before and after."""

from __future__ import annotations

from PIL import Image

from ..spurious import ClassRate, Removed, share_interval
from .bars import AFTER, BEFORE, Bar, Row, draw_bars
from .canvas import ACCENT
from .words import percent

MOST = 30
"""More classes than this make an unreadable picture; those that changed most are drawn."""


def draw_removal(done: Removed) -> Image.Image:
    """The removed class among unseen pictures, then the share of each class that is recognised.

    The orange bars are the rival, a bias shift alone.
    """
    legend = [("before", BEFORE), ("after", AFTER)]
    if done.unseen_bias is not None:
        at = "" if done.edit.degree == 1 else " (degree 1)"
        legend.append((f"bias shift alone{at}", ACCENT))
    counts = (done.unseen_before, done.unseen_after, done.unseen_bias)
    first = _row(
        f"predicted '{done.class_name}'",
        (done.sizes[2], done.units),
        counts,
        "unseen pictures",
        True,
    )
    told, rates = _shown(done)
    rows = [
        _row(
            f"{rate.name}, recognised",
            (rate.count, rate.units),
            (rate.before, rate.after, rate.bias_only),
        )
        for rate in rates
    ]
    title = f"Removal of '{done.class_name}' at degree {done.edit.degree:g}"
    return draw_bars(title, [first, *rows], legend, None, told)


def _shown(done: Removed) -> tuple[str, list[ClassRate]]:
    rates = list(done.rates)
    if len(rates) <= MOST:
        return "", rates
    moved = sorted(rates, key=lambda rate: -abs(rate.after - rate.before) / rate.count)[:MOST]
    told = f"The {MOST} classes that changed most, of {len(rates)}; the report has them all."
    return told, sorted(moved, key=lambda rate: rate.index)


def _row(
    label: str,
    sizes: tuple[int, int],
    counts: tuple[int, int, int | None],
    what: str = "",
    marked: bool = False,
) -> Row:
    """sizes: how many pictures, and of how many photos or seeds they are."""
    n, colours = sizes[0], (BEFORE, AFTER, ACCENT)
    bars = tuple(
        Bar(count / n, colour, *share_interval(count, sizes[0], sizes[1]))
        for count, colour in zip(counts, colours, strict=True)
        if count is not None
    )
    before, after = counts[0] / n, counts[1] / n
    numbers = f"{100 * before:.1f} to {percent(after)}"
    return Row(
        label,
        bars,
        numbers,
        f"n {n} {what}".rstrip(),
        f"{100 * (after - before):+.1f} points",
        marked,
    )
