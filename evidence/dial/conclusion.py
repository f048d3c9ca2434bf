"""What the study of ranges comes to: whether one is worth it beside the relief and the fade."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import results, signs
from .designs import Design
from .models import Subject
from .stats import Correct, by_holm, effects
from .study import MAIN
from .ways import Way

Row = dict[str, Any]


def against(
    rows: Sequence[Row],
    ways: Mapping[str, Way],
    rivals: Sequence[str],
    correct: Correct = by_holm,
) -> list[Row]:
    """For each way that is no rival of Detour's own how much further than each rival it goes
    towards the minority, at the main question, over the models that have both; corrected
    together."""
    asked = [row for row in rows if (row["prompt"], row["cfg"]) == (MAIN.prompt, MAIN.cfg)]
    own = ranges_of(ways, rivals)
    shares = {(row["way"], row["model"]): row["minority"]["share"] for row in asked}
    every = [(name, rival) for name in own for rival in rivals]
    found = {pair: values for pair in every if (values := _differences(shares, *pair))}
    tested = effects(list(found.values()), correct)
    return [
        {"way": name, "rival": rival, **one.as_dict()}
        for (name, rival), one in zip(found, tested, strict=True)
    ]


def ranges_of(ways: Mapping[str, Way], rivals: Sequence[str]) -> list[str]:
    """Detour's own ways that are no rivals."""
    return [name for name, way in ways.items() if way.is_ours and name not in rivals]


def _differences(
    shares: Mapping[tuple[str, str], float | None], name: str, rival: str
) -> list[float]:
    found = []
    for (way, model), share in shares.items():
        other = shares.get((rival, model))
        if way == name and share is not None and other is not None:
            found.append(share - other)
    return found


def more(
    rows: Sequence[Row], subjects: Sequence[Subject], means: Sequence[Row], design: Design
) -> Row:
    """What the figures of a study of ranges hold besides those of the other.

    rows: of each model, as `results.measured` gives them. means: of `results.over_models`.
    """
    return {
        "signs": signs.signs(rows, subjects, means, design.correct),
        "against": against(rows, design.ways, design.rivals, design.correct),
        "ranges": ranges_of(design.ways, design.rivals),
        "bypass": design.bypass,
        "rivals": design.rivals,
        "notes": design.notes,
    }


def conclusion(figures: Mapping[str, Any]) -> list[str]:
    """What a reader has to know before turning the dial of a transformer, from the figures alone:
    of the ranges, of the one that `auto` takes, and of the relief and the fade."""
    said = []
    for question in dict.fromkeys(row["question"] for row in figures["signs"]):
        own = [row for row in figures["signs"] if row["question"] == question]
        said += _of(
            question, [row for row in own if row["way"] in figures["ranges"]], figures["bypass"]
        )
    return [*said, *(_beside(figures["against"], rival) for rival in figures["rivals"])]


def _of(question: str, ranges: Sequence[Row], auto: str) -> list[str]:
    """What is said of the ranges at one question."""
    kinds = {row["way"]: signs.verdict(row) for row in ranges}
    towards = [name for name, kind in kinds.items() if kind in ("variety", "both")]
    away = [name for name, kind in kinds.items() if kind == "away"]
    pushes = [row["way"] for row in ranges if signs.pushed_to(row)]
    words = next(signs.words(row) for row in ranges if row["way"] == auto)
    total = {n: sum(row["sides"][n] for row in ranges) for n in ("changed", "same", "chance")}
    number = f"{len(ranges)} range{'s' if len(ranges) > 1 else ''}"
    return [
        f"{question}: of {number} {_count(towards)} shown to go towards what is rare"
        f"{_named(towards)}, {_count(away)} shown to go away from it{_named(away)}, and "
        f"{_count(pushes)} shown to push one way whatever is rare{_named(pushes)}.",
        f"{question}: {auto}, which auto takes: {words}",
        f"{question}: of {total['changed']} pictures that a bypass moved to the other side of an "
        f"attribute that is even in their model, {total['same']} went the way of most in that "
        f"model and range; {total['chance']:.0f} would by chance.",
    ]


def _count(names: Sequence[str]) -> str:
    return f"{len(names) or 'none'} {'is' if len(names) < 2 else 'are'}"


def _named(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _beside(rows: Sequence[Row], rival: str) -> str:
    own = [row for row in rows if row["rival"] == rival]
    if not own:
        return f"Beside the {rival}: not measured in all models."
    further, behind = (
        [row["way"] for row in own if row["verdict"] == kind] for kind in ("towards", "away")
    )
    beaten = f"{_count(further)} shown to go further than it{_named(further)}"
    return f"Beside the {rival}: {beaten}; {_count(behind)} shown to fall behind{_named(behind)}."


def report(figures: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """All that the study of ranges prints of its figures."""
    results.report(figures["rows"], say)
    say("")
    for note in figures["notes"]:
        say(note)
    signs.report(figures["signs"], say)
    say("")
    for line in conclusion(figures):
        say(line)
