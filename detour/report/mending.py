"""What `mistakes` says of its edit: how many wrong pictures it mends, how many right ones it
breaks, and what less would have done."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from PIL import Image

from ..judge.groups import GroupMetrics
from ..judge.mending import Mending, Share, mean_shares, mending
from ..search.mend import UNEDITED
from ..search.neutralize import Neutralized
from .bars import AFTER, BEFORE, Bar, Row, draw_bars
from .sentences import RUNG_NAMES, interval, numbers_edited, percent

RANDOM = "random weight"
Rival = tuple[str, int, GroupMetrics]


def mending_lines(done: Neutralized) -> list[str]:
    """The text on mended and broken pictures; empty for other methods."""
    if done.mended is None or done.after is None:
        return []
    if done.mended.refused:
        return [done.mended.refused]
    found, held = mending(done.after), "that chose the edit" if done.is_in_sample else "held back"
    return [
        f"Of {found.mended.count} wrong pictures {held} {found.mended.hits} are mended "
        f"({_told(found.mended)}); of {found.broken.count} right ones {found.broken.hits} broke "
        f"({_told(found.broken)}).",
        f"Guard: chosen so that at least {100 * done.search.keep_right:g} % of the right pictures "
        f"stay right; of those {held} {_told(found.kept)} do.",
        "What the last layer sees tells right from wrong pictures of one prediction apart in "
        f"{percent(done.mended.apart.auc)} of the pairs (50 % is chance, p = "
        f"{done.mended.apart.p:.2g}).",
        "",
        "Beside it, at degree 1 (wrong pictures mended, right ones broken):",
        *_rival_lines(done),
    ]


def mending_numbers(done: Neutralized) -> dict[str, Any] | None:
    """The same as plain data for JSON; None for other methods."""
    if done.mended is None or done.after is None:
        return None
    return {
        **_plain(mending(done.after)),
        "keep": done.search.keep_right,
        "refused": done.mended.refused,
        "apart": asdict(done.mended.apart),
        "beside": [
            {"name": name, "numbers": count, **_plain(mending(metrics))}
            for name, count, metrics in _sizes(done)
        ],
        "random_weights": [_plain(mending(metrics)) for metrics in done.mended.random],
    }


def draw_mending(done: Neutralized) -> Image.Image:
    """Mended and broken shares of this edit, of the other sizes, and of random weights."""
    rows = [_row(*rival, _chosen(done, rival[0])) for rival in _sizes(done)]
    random = done.mended.random if done.mended else ()
    if random:
        mended, broken = mean_shares(random)
        bars = Bar(mended, AFTER), Bar(broken, BEFORE)
        told = f"mean of {len(random)}"
        rows.append(
            Row(RANDOM, bars, f"mended {percent(mended)}", told, f"broke {percent(broken)}")
        )
    legend = [
        ("wrong pictures mended, with 95 % interval", AFTER),
        ("right pictures broken", BEFORE),
    ]
    return draw_bars("What the edit mends and what it breaks", rows, legend, told=_foot(done))


def _foot(done: Neutralized) -> str:
    degree = done.edit.degree
    return "" if degree == 1 else f"This edit is at degree {degree:g}; the bars are of degree 1."


def _sizes(done: Neutralized) -> list[Rival]:
    """Each size of edit that changes something, as it does on the pictures reported on."""
    if done.ladder is None:
        return []
    return [
        (RUNG_NAMES[rung.name], rung.change.numbers, rung.report)
        for rung in done.ladder.rungs
        if rung.name != UNEDITED
    ]


def _chosen(done: Neutralized, name: str) -> bool:
    return done.ladder is not None and RUNG_NAMES[done.ladder.chosen] == name


def _rival_lines(done: Neutralized) -> list[str]:
    lines = []
    for name, count, metrics in _sizes(done):
        found = mending(metrics)
        mark = "  <- this edit" if _chosen(done, name) else ""
        lines.append(
            f"  {name:17}  {percent(found.mended.value)}, {percent(found.broken.value)}, "
            f"{numbers_edited(count) if count else 'no edit'}{mark}"
        )
    if done.mended and done.mended.random:
        mended, broken = mean_shares(done.mended.random)
        told = f"mean of {len(done.mended.random)} in place of the one chosen"
        lines.append(f"  {RANDOM:17}  {percent(mended)}, {percent(broken)}, {told}")
    return lines


def _row(name: str, count: int, metrics: GroupMetrics, chosen: bool) -> Row:
    found = mending(metrics)
    bars = (
        Bar(found.mended.value, AFTER, found.mended.low, found.mended.high),
        Bar(found.broken.value, BEFORE, found.broken.low, found.broken.high),
    )
    detail = (numbers_edited(count) if count else "no edit") + (", chosen" if chosen else "")
    mended, broken = percent(found.mended.value), percent(found.broken.value)
    return Row(name, bars, f"mended {mended}", detail, f"broke {broken}", chosen)


def _told(share: Share) -> str:
    return f"{percent(share.value)}, 95 % interval {interval(share.low, share.high)}"


def _plain(found: Mending) -> dict[str, Any]:
    return {
        name: {**asdict(share), "share": share.value}
        for name, share in (
            ("mended", found.mended),
            ("broken", found.broken),
            ("kept", found.kept),
        )
    }
