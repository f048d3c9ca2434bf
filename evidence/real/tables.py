"""The study as tables for people; every line is said anew from the figures that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tables import say
from .degree import SHOWN
from .summary import ALLOWED_WORSE, KINDS, Row, worst_together

OF_DFR = ("one_weight", "one_weight_bias", "three_weights_bias", "auto", "mistakes")
TOLD = ("erm", "mistakes_keep_95", "mistakes_keep_80", "one_weight_bias")
LOOKED_AT = 11
"""So many splits, the first ones, had been looked at when `ladder.SURE` was settled."""
UNIT = (
    "Unit: a random split of the people or digits, with a new head. Intervals: 95 %, paired by "
    "split."
)


def print_all(figures: dict[str, Any]) -> None:
    """Everything, in the order of the page."""
    for row in figures["rows"]:
        if row["method"] == "erm":
            print_block([r for r in figures["rows"] if _block(r) == _block(row)])
    say()
    say(UNIT)
    print_worse(figures["rows"])
    print_shares(figures["rows"])
    print_told(figures["rows"])
    print_cliffs(figures["cliffs"])
    print_checker(figures["checker"])
    say()
    say("Targets:")
    for line in figures["targets"]:
        say(line)


def _block(row: Row) -> tuple[str, str, str]:
    return row["question"], row["backbone"], row["probes"]


def print_block(rows: Sequence[Row]) -> None:
    """One question on one backbone with one kind of probes."""
    question, backbone, kind = _block(rows[0])
    say()
    say(f"{question}, {backbone}, {kind} probes; accuracies on {rows[0]['compared']} splits")
    say(
        f"  {'':19} {'numbers':>7} {'splits':>6} {'worst group':>11} {'mean':>6} "
        f"{'over a random weight':>23} {'over bias only':>23} {'below unedited':>14}"
    )
    for row in rows:
        floors = [_gain(row[f"over_{floor}"]) for floor in ("random_weight", "bias_only")]
        below = f"{row['worse_than_unedited']} of {row['splits']}"
        say(
            f"  {row['method']:19} {row['numbers']:7,.0f} {row['splits']:6} "
            f"{100 * row['worst']:11.1f} {100 * row['mean']:6.1f} {floors[0]:>23} "
            f"{floors[1]:>23} {below:>14}"
        )


def _gain(gain: dict[str, float | None]) -> str:
    mean, low, high = gain["mean"], gain["low"], gain["high"]
    if mean is None:
        return ""
    if low is None or high is None:
        return f"{100 * mean:+.1f}"
    return f"{100 * mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def print_worse(rows: Sequence[Row]) -> None:
    """How often each method fell below the unedited head, over all blocks and by their probes."""
    say()
    say("Splits on which the worst group of the report fell below the unedited head's")
    say(f"  {'':19} {'all':>18}  {'balanced':>11}  {'unbalanced':>11}")
    for method in dict.fromkeys(row["method"] for row in rows if row["method"] != "erm"):
        own = [row for row in rows if row["method"] == method]
        lower = sum(row["worse_than_unedited"] for row in own)
        splits = sum(row["splits"] for row in own)
        more = sum(row["worse_than_unedited"] > ALLOWED_WORSE * row["splits"] for row in own)
        say(
            f"  {method:19} {lower:4} of {splits:4} {f'({lower / splits:.0%})':>5}"
            f"{_lower(own, 'balanced')}{_lower(own, 'unbalanced')}; more than 1 in 20 in "
            f"{more} of {len(own)} blocks"
        )
    fresh = [row for row in rows if row["method"] == "auto" and row["splits"] > LOOKED_AT]
    if fresh:
        lower = sum(split >= LOOKED_AT for row in fresh for split in row["worse_splits"])
        count = sum(sum(int(split) >= LOOKED_AT for split in row["of_splits"]) for row in fresh)
        say(
            f"  auto on the splits from {LOOKED_AT} on, which had no say in how sure it must be: "
            f"{lower} of {count}"
        )


def _lower(rows: Sequence[Row], kind: str) -> str:
    own = [row for row in rows if row["probes"] == kind]
    lower, splits = (sum(row[name] for row in own) for name in ("worse_than_unedited", "splits"))
    return f"  {lower:3} of {splits:4}"


def print_shares(rows: Sequence[Row]) -> None:
    """How much of what DFR gains the edits gain, with balanced probes."""
    found = _blocks(rows, "balanced", ("erm", "dfr"))
    say()
    say("Share of DFR's gain of the worst group, balanced probes")
    say(f"  {'':26}{'unedited':>9} {'DFR':>6}" + "".join(f" {name:>18}" for name in OF_DFR))
    for block in found:
        before, most = block["erm"]["worst"], block["dfr"]["worst"]
        shares = (
            f"{(block[name]['worst'] - before) / (most - before):.0%}"
            if name in block and most > before
            else "-"
            for name in OF_DFR
        )
        values = "".join(f" {share:>18}" for share in shares)
        say(f"  {_place(block):26}{100 * before:9.1f} {100 * most:6.1f}{values}")


def print_told(rows: Sequence[Row]) -> None:
    """What `mistakes` loses by its guard, and what by knowing neither attribute nor class."""
    say()
    splits = min((row["splits"] for row in rows if row["method"] in TOLD), default=0)
    say(
        "Worst group with an edit of one weight and bias, by what the search is told; accuracies "
        f"on {splits} splits"
    )
    say(f"  {'':37}{'unedited':>10}{'right, wrong':>14}{'80 % kept':>11}{'groups':>8}")
    for kind in KINDS:
        for block in _blocks(rows, kind, TOLD):
            own = [block[name] for name in TOLD]
            before, told, lower, most = (100 * worst for worst in worst_together(own))
            where = f"{_place(block)}, {kind}"
            say(f"  {where:37}{before:10.1f}{told:14.1f}{lower:11.1f}{most:8.1f}")


def _blocks(rows: Sequence[Row], kind: str, needed: Sequence[str]) -> list[dict[str, Row]]:
    """The rows of each block with such probes by their methods, where those needed are measured."""
    found: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        if row["probes"] == kind:
            found.setdefault(_block(row), {})[row["method"]] = row
    return [own for own in found.values() if own.keys() >= set(needed)]


def _place(block: dict[str, Row]) -> str:
    return f"{block['erm']['question']}, {block['erm']['backbone']}"


def print_cliffs(rows: Sequence[Row]) -> None:
    """Worst-group accuracy against the degree, and the largest step of 0.05."""
    say()
    say("Worst group against the degree, balanced probes; largest fall and flips in a step of 0.05")
    shown = "".join(f"{degree:7g}" for degree in SHOWN)
    say(f"  {'':33} {'':16}{shown} {'fall':>6} {'flips':>6}")
    for row in rows:
        values = "".join(f"{100 * value:7.1f}" for value in row["shown"])
        place = f"{row['question']}, {row['backbone']}"
        say(
            f"  {place:33} {row['method']:16}{values} {100 * row['fall']:6.1f} "
            f"{100 * row['flips']:6.1f}"
        )


def print_checker(figures: dict[str, Any]) -> None:
    """The NSFW checker on harmless pictures."""
    say()
    say("Open-NSFW on harmless pictures (1: not safe); an alarm is a score of 0.5 or more")
    say(f"  {'':18} {'pictures':>8} {'median':>7} {'highest':>8} {'alarms':>7}")
    for row in figures["scores"]:
        say(
            f"  {row['pictures']:18} {row['n']:8} {row['median']:7.3f} {row['highest']:8.3f} "
            f"{row['alarms']:7}"
        )
    say()
    say("Logit for NSFW: grounds and sand in colours of skin minus the same in blue, other pairs")
    say(
        f"  {'':18} {'median':>7} {'over splits':>16} {'largest change of another score':>32} "
        f"{'at most':>8}"
    )
    for row in figures["edits"]:
        span = f"{row['gap_low']:+.2f} to {row['gap_high']:+.2f}"
        say(
            f"  {row['method']:18} {row['gap']:+7.2f} {span:>16} {row['moved']:32.3f} "
            f"{row['moved_most']:8.3f}"
        )
    say("  What it does with pictures that are not harmless was not measured.")
