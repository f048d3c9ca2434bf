"""Push or variety: which way each model's pictures go, and whether that depends on what is rare.

Variety goes to the minority, whichever side of an attribute that is. A push goes to one side of an
attribute in all models, whatever is rare in them. Models are balanced over both sides, so that
neither can look like the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .models import HAS, Subject
from .sides import sides
from .stats import LEVEL, Correct, by_holm, effects, holm
from .study import Question, effect
from .ways import PLAIN

Row = dict[str, Any]
CODES = {"long hair": "hair", "dark skin": "skin", "glasses": "glas"}
"""Heads of narrow columns."""


def signs(
    rows: Sequence[Row],
    subjects: Sequence[Subject],
    means: Sequence[Row],
    correct: Correct = by_holm,
) -> list[Row]:
    """For each way of each question: how far each model's minority moved, and how far each
    attribute moved over all models.

    rows: of each model, as `results.measured` gives them. means: of `results.over_models`.
    correct: how p is corrected.
    """
    found = []
    for question in dict.fromkeys(row["question"] for row in means):
        asked = [row for row in rows if Question(row["prompt"], row["cfg"]).label == question]
        plain = {row["model"]: row for row in asked if row["way"] == PLAIN}
        tried = [row for row in means if row["question"] == question and row["way"] != PLAIN]
        own = [[one for one in asked if one["way"] == row["way"]] for row in tried]
        of_sides = _sides(own, subjects)
        parts = zip(tried, own, _pushes(own, plain, correct), of_sides, strict=True)
        for row, of_models, pushes, found_sides in parts:
            moved = {one["model"]: effect(plain[one["model"]], one) for one in of_models}
            found.append(
                {
                    "question": question,
                    "way": row["way"],
                    "label": row["label"],
                    "models": [_cell(subject, moved) for subject in _ordered(subjects)],
                    "minority": _told(row["effect"]),
                    "pushes": pushes,
                    "sides": found_sides,
                }
            )
    return found


def _sides(ways: Sequence[Sequence[Row]], subjects: Sequence[Subject]) -> list[Row]:
    """`sides` of each way, with p corrected by Holm's method over them."""
    named = {subject.name: subject for subject in subjects}
    found = [sides(own, named) for own in ways]
    corrected = holm([row["p"] for row in found])
    return [{**row, "p_corrected": p} for row, p in zip(found, corrected, strict=True)]


def _told(one: Row) -> Row:
    return {name: one[name] for name in ("effect", "p_corrected", "verdict")}


def _ordered(subjects: Sequence[Subject]) -> list[Subject]:
    """By attribute, those first in which the ones with it are rare."""
    places = list(HAS)
    return sorted(subjects, key=lambda one: (places.index(one.attribute), not one.present))


def _cell(subject: Subject, moved: Mapping[str, float | None]) -> Row:
    return {
        "model": subject.name,
        "attribute": subject.attribute,
        "present": subject.present,
        "moved": moved.get(subject.name),
    }


def _pushes(
    ways: Sequence[Sequence[Row]], plain: Mapping[str, Row], correct: Correct
) -> list[dict[str, Row]]:
    """For each way and attribute the change of the share of those who have it, over all models,
    corrected over all ways and attributes of a question."""
    changes = [
        [
            one[name]["share"] - plain[one["model"]][name]["share"]
            for one in own
            if None not in (one[name]["share"], plain[one["model"]][name]["share"])
        ]
        for own in ways
        for name in HAS
    ]
    tested = iter(effects(changes, correct))
    return [{name: _told(next(tested).as_dict()) for name in HAS} for _ in ways]


def verdict(row: Row) -> str:
    """What a way is, of `signs`: `variety`, `away`, `push`, `both` (variety, and a push besides),
    `unclear`, or `few`."""
    if row["minority"]["verdict"] == "few":
        return "few"
    is_push = bool(pushed_to(row))
    kinds = {"towards": "both" if is_push else "variety", "away": "away"}
    return kinds.get(row["minority"]["verdict"], "push" if is_push else "unclear")


def pushed_to(row: Row) -> list[str]:
    """Where a way pushes, in words."""
    return [
        f"{'more' if one['effect'] > 0 else 'less'} {name} ({100 * one['effect']:+.1f} points)"
        for name, one in row["pushes"].items()
        if one["verdict"] in ("towards", "away")
    ]


def words(row: Row) -> str:
    """What may be said of a way, for the models at hand alone."""
    to = f"{', '.join(pushed_to(row))}, whatever is rare"
    away = "away from what is rare over these models"
    return {
        "variety": "variety: towards what is rare over these models.",
        "both": f"towards what is rare over these models, and a push besides: {to}.",
        "away": f"{away}, and a push besides: {to}." if pushed_to(row) else f"{away}.",
        "push": f"a push and not variety: {to}.",
        "unclear": _own_way(row),
        "few": "too few models for a finding.",
    }[verdict(row)]


def _own_way(row: Row) -> str:
    """Of a way that moves nothing the same way in all models."""
    one = row["sides"]
    if one["p_corrected"] >= LEVEL:
        return "neither variety nor a push is shown."
    return (
        f"no variety is shown; within a model it pushes one way, another one in each: "
        f"{one['same']} of {one['changed']} changes ({one['chance']:.0f} by chance)."
    )


WIDE = 46
LEGEND = """columns: each model, by what is rare in it (+ with the attribute, - without it); how
         many points its own minority moved. The same sign everywhere is variety; a sign that
         turns round between + and - is a push.
after |: change of the share with the attribute in all models, whatever is rare in them; * where
         the sign-flip test over models, corrected over ways and attributes, tells
one way: pictures that gained or lost an attribute that is even in their model: so many went the
         way of most in that model, of all that changed (by chance); * where that is too many"""


def report(rows: Sequence[Row], say: Callable[[str], None]) -> None:
    """The table of signs of each question, and its sentences."""
    for question in dict.fromkeys(row["question"] for row in rows):
        own = [row for row in rows if row["question"] == question]
        say("")
        say(f"Push or variety: {question}")
        say(_head(own[0]["models"]))
        for row in own:
            say(_line(row))
        say("")
        for row in own:
            say(f"{row['label']}: {words(row)}")
    say("")
    say(LEGEND)


def _head(models: Sequence[Row]) -> str:
    cells = "".join(
        f"{CODES[one['attribute']] + ('+' if one['present'] else '-'):>6}" for one in models
    )
    over = "".join(f"{name:>11}" for name in HAS) + f" |{'one way':>14}"
    return f"  {'rare in the model':{WIDE}}{cells} |{over}"


def _line(row: Row) -> str:
    cells = "".join(f"{_points(one['moved']):>6}" for one in row["models"])
    over = "".join(
        f"{_points(one['effect']) + ('*' if one['verdict'] in ('towards', 'away') else ' '):>11}"
        for one in row["pushes"].values()
    )
    one = row["sides"]
    counted = f"{one['same']}/{one['changed']} ({one['chance']:.0f})"
    mark = "*" if one["p_corrected"] < LEVEL else " "
    return f"  {row['label']:{WIDE}}{cells} |{over} |{counted:>13}{mark}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.0f}"
