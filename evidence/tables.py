"""The evidence as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def say(text: str = "") -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Worst-group and mean accuracy with sd over the seeds, and seconds against DFR's."""
    for dataset, correlation in dict.fromkeys((r["dataset"], r["correlation"]) for r in rows):
        found = [r for r in rows if (r["dataset"], r["correlation"]) == (dataset, correlation)]
        whole = next(r["seconds"] for r in found if r["method"] == "dfr")
        say()
        say(f"{dataset}, {correlation:.0%} correlation, {found[0]['seeds']} seeds")
        say(f"  {'':20} {'worst group':>14} {'mean':>14} {'seconds / DFR':>14}")
        for row in found:
            worst = f"{100 * row['worst_mean']:.1f} +- {100 * row['worst_sd']:.1f}"
            mean = f"{100 * row['mean_mean']:.1f} +- {100 * row['mean_sd']:.1f}"
            ratio = row["seconds"] / whole
            say(f"  {row['method']:20} {worst:>14} {mean:>14} {ratio:>14.3f}")


def print_few(rows: Sequence[dict[str, Any]]) -> None:
    """Worst-group accuracy against the number of probes, one line per method."""
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        found = [row for row in rows if row["dataset"] == dataset]
        sizes = sorted({row["probes"] for row in found})
        say()
        say(f"{dataset}, 90 %, worst group by number of probes, {found[0]['seeds']} seeds")
        say(f"  {'':20}" + "".join(f"{size:>9,}" for size in sizes))
        for method in dict.fromkeys(row["method"] for row in found):
            values = [
                next(r["worst_mean"] for r in found if r["method"] == method and r["probes"] == n)
                for n in sizes
            ]
            say(f"  {method:20}" + "".join(f"{100 * value:9.1f}" for value in values))


def print_gaps(gaps: dict[str, dict[str, float]], pairs: Sequence[dict[str, Any]]) -> None:
    """Gap closed, and one weight against its rivals pairwise."""
    say()
    say("Gap to DFR closed, 80 and 90 % together (worst group)")
    for dataset, closed in gaps.items():
        say(f"  {dataset:10} " + ", ".join(f"{name} {v:.0%}" for name, v in closed.items()))
    say()
    say("one_weight minus its rivals, worst group, pairwise by seed (95 % t interval)")
    for pair in pairs:
        interval = "no interval from one seed"
        if pair["low"] is not None:
            interval = f"{100 * pair['low']:+.1f} to {100 * pair['high']:+.1f}"
            interval += "" if pair["low"] > 0 or pair["high"] < 0 else ": no difference shown"
        say(
            f"  {pair['dataset']:10} {pair['correlation']:.0%} - {pair['second']:14} "
            f"{100 * pair['difference']:+6.1f}  ({interval})"
        )


def print_removal(rows: Sequence[dict[str, Any]]) -> None:
    """For each head and digit what is left of the class, and the others."""
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        say()
        say(f"Removing a digit from {dataset}: its own unseen pictures still recognised")
        say(
            f"  {'digit':5} {'edit':17} {'choosing':>9} {'unseen before':>14} {'after':>7} "
            f"{'95 % interval':>15} {'worst other class':>18}"
        )
        for row in (row for row in rows if row["dataset"] == dataset):
            interval = f"{row['low']:.1%} - {row['high']:.1%}"
            say(
                f"  {row['class']:5} {row['method']:17} {row['choosing_rate']:9.2%} "
                f"{row['rate_before']:14.1%} {row['rate']:7.1%} {interval:>15} "
                f"{100 * row['worst_other']:+18.2f}"
            )


def print_watermark(
    words: str, rows: Sequence[dict[str, Any]], photos: Sequence[dict[str, Any]]
) -> None:
    """The edit, and the watermark's effect before and after, in all and photo by photo."""
    say(f"ImageNet-W's watermark and MobileNetV2's class carton; one_weight: {words}")
    say(
        f"  {'':16} {'effect on the logit':>20} {'95 % by photo':>16} {'rank plain':>11} "
        f"{'marked':>7} {'top-1 changed':>14} {'carton first, marked':>21}"
    )
    for row in rows:
        interval = f"{row['gap_low']:+.1f} to {row['gap_high']:+.1f}"
        say(
            f"  {row['method']:16} {row['gap']:+20.2f} {interval:>16} {row['rank_plain']:11.0f} "
            f"{row['rank_watermark']:7.0f} {row['top1_changed_plain']:14.1%} "
            f"{row['carton_top1_watermark']:21.1%}"
        )
    say()
    say(f"  {'photo':18} {'effect':>8} {'after':>8} {'ranks before':>15} {'after':>15}")
    before, after = (
        {row["photo"]: row for row in photos if row["method"] == method}
        for method in ("unedited", "one_weight")
    )
    for name, old in before.items():
        new = after[name]
        ranks = [f"{r['rank_plain']:.0f} / {r['rank_watermark']:.0f}" for r in (old, new)]
        say(f"  {name:18} {old['gap']:+8.2f} {new['gap']:+8.2f} {ranks[0]:>15} {ranks[1]:>15}")
    say("  Other classes' logits are the same bits. Recall on true cartons needs ImageNet.")


def print_splits(splits: dict[str, Any]) -> None:
    """What one weight leaves when other halves of the photos choose it."""
    say(
        f"  Chosen on {splits['splits']} other random halves of the photos, one weight leaves "
        f"{splits['median']:.1%} of the effect on the others (median; at most "
        f"{splits['largest']:.1%}); less than a tenth in {splits['below']} of them; "
        f"{splits['features']} different features are chosen."
    )
