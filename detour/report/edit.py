"""The report of a neutralised feature: as text, as numbers, as one picture."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from PIL import Image

from ..edit.apply import effective_cells
from ..edit.file import to_json
from ..edit.record import Change
from ..judge.groups import GroupMetrics, claimable, listed
from ..search.ladder import Ladder, Rung
from ..search.neutralize import Neutralized
from ..search.settings import SEARCHED
from .bars import stacked
from .degree import degree_lines, degree_numbers, degree_points, draw_degree
from .edit_charts import draw_gap, draw_ladder, draw_standings
from .groups import draw_group_bars
from .mending import draw_mending, mending_lines, mending_numbers
from .sentences import (
    HEADS,
    LEARNED,
    RUNG_NAMES,
    claim,
    edit_lines,
    group_lines,
    numbers_edited,
    percent,
    small_groups,
)

UNSEEN = "These numbers are of probes that did not choose the edit."
OUT_OF_FOLD = (
    "These numbers are out of fold: each probe is judged by an edit that was chosen in the same "
    "way without it."
)
SEEN = "Some of these numbers are of the probes that chose the edit and flatter it; see the notes."
SAME = "Before and after are the same numbers: they are of the classifier as it came."
BIAS_ONLY = (
    "A shift of the bias moves pictures with and without it alike: what it adds stays, and the "
    "class falls, or rises, on all of them."
)
NO_CLASSES = (
    "How well pictures of the class itself are still recognised cannot be told from probes "
    "without classes."
)
CURVE_SEEN = (
    "The degree curve, and what it calls safe, is of the probes that chose the edit "
    "(cross-fitting)."
)


def edit_text(done: Neutralized, feature: str = "the feature") -> str:
    """The whole report in plain words.

    feature: what the spurious feature is called, for the gap of `paired`.
    """
    lines = edit_lines(done.stack)
    if told := mending_lines(done):
        lines += ["", *told]
    if done.gap is not None:
        lines += [
            "",
            f"'{feature}' moves the score of the class by {done.gap[0]:+.2f} before and "
            f"{done.gap[1]:+.2f} after, on the same pictures with and without it (score: the "
            "logit, with two classes minus the other one's).",
            *_standing_lines(done, feature),
        ]
    if done.after is not None:
        lines += ["", "Groups, accuracy with 95 % interval:", *group_lines(done.before, done.after)]
        gain = claimable(done.gain, done.learned)
        lines += [] if gain is None else [claim(gain, done.after)]
    if done.collateral is not None:
        two = " (with two classes a change of one is a change of the other)"
        lines.append(
            f"Collateral: {percent(done.collateral)} of the predictions of other classes changed"
            f"{two if done.stack.shape[0] == 2 else ''}."
        )
    if done.edit.cells and (told := degree_lines(done.curve, done.edit.degree)):
        lines += ["", *told]
    if done.ladder is not None and done.mended is None:
        lines += ["", "What each further number buys (worst-group, mean accuracy; at degree 1):"]
        lines += _ladder_lines(done, done.ladder)
    lines += ["", "Notes:", *(f"- {note}" for note in _notes(done))]
    return "\n".join(lines)


def edit_numbers(done: Neutralized) -> dict[str, Any]:
    """Every number of the report as plain data for JSON; None where there is none."""
    return {
        "edits": to_json(done.stack),
        "values": _values(done),
        "before": _metrics(done.before),
        "after": _metrics(done.after),
        "collateral": done.collateral,
        "gap": None if done.gap is None else {"before": done.gap[0], "after": done.gap[1]},
        "gain": None if (gain := claimable(done.gain, done.learned)) is None else asdict(gain),
        "curve": [] if done.curve is None else degree_points(done.curve),
        "ladder": None if done.ladder is None else _ladder_numbers(done.ladder),
        "unseen": not (done.is_in_sample or done.learned),
        "notes": _notes(done),
        "standings": [asdict(standing) for standing in done.standings],
        "mending": mending_numbers(done),
        "steps": None if done.curve is None else degree_numbers(done.curve),
    }


def edit_picture(done: Neutralized, feature: str = "the feature") -> Image.Image:
    """All charts below each other: the gap, the groups, the degrees, the ladder."""
    pictures = []
    if done.gap is not None:
        edit = done.edit
        name = edit.class_name or f"class {edit.class_index}"
        if done.standings:
            pictures.append(draw_standings(done.standings, name, feature))
        else:
            pictures.append(draw_gap(*done.gap, name, feature))
    if done.after is not None:
        pictures.append(draw_group_bars(done.after, done.before))
    if done.curve is not None and done.edit.cells:
        pictures.append(draw_degree(done.curve, done.edit.degree))
    if done.mended is not None:
        pictures.insert(0, draw_mending(done))
    elif done.ladder is not None:
        pictures.append(draw_ladder(done.ladder, _other(done), done.edit.degree))
    if not pictures:
        raise ValueError("There is nothing to draw: neither groups nor a gap were measured.")
    return stacked(pictures)


def _standing_lines(done: Neutralized, feature: str) -> list[str]:
    """The class's place under each head; nothing where it was not measured."""
    if not done.standings:
        return []
    lines = [
        "",
        f"Place of the class among all {done.stack.shape[0]} (median) without -> with '{feature}', "
        "and on how many pictures it is the first:",
    ]
    for one in done.standings:
        place, first = one.place, one.first
        lines.append(
            f"  {HEADS[one.head]:18}  {place[0]:g} -> {place[1]:g}, first on {percent(first[0])} "
            f"-> {percent(first[1])}; '{feature}' adds {one.gap:+.2f} ({one.low:+.2f} to "
            f"{one.high:+.2f} by photo or seed)"
        )
    return [*lines, BIAS_ONLY]


def _other(done: Neutralized) -> tuple[str, int, GroupMetrics] | None:
    """This edit as a row of its own, where the ladder is of another method."""
    edit = done.edit
    if edit.method in SEARCHED or done.after is None:
        return None
    return f"{edit.method}, degree {edit.degree:g}", len(edit.cells), done.after


def _notes(done: Neutralized) -> list[str]:
    own = done.edit.method in SEARCHED
    crossfit = own and done.ladder is not None and done.ladder.in_sample
    judged = OUT_OF_FOLD if crossfit else UNSEEN
    if not done.edit.cells and done.before == done.after:
        judged = SAME
    notes = [SEEN if done.is_in_sample else judged, *done.notes, *_degree_notes(done)]
    if done.learned:
        notes[0] = LEARNED
    if done.no_ladder:
        notes.append(f"No ladder beside this edit. {done.no_ladder}")
    if done.after is None:
        notes.append(NO_CLASSES)
    else:
        notes += small_groups(done.after)
    if done.ladder is not None and not own:
        notes += [f"Ladder: {note}" for note in done.ladder.notes]
    if crossfit and done.edit.cells:
        notes.append(CURVE_SEEN)
    return notes


def _degree_notes(done: Neutralized) -> list[str]:
    """Where the degree is from, and what it costs to know so little of it."""
    if done.is_in_sample:
        return ["At a degree other than 1 the figures are those of the probes chosen on."]
    if done.search.method != "evidence" or not done.search.auto_degree:
        return []
    if done.found_degree is None:
        told = "There is no validation part to compare degrees on: degree 1 is the formula's."
    else:
        told = f"Degree {done.found_degree:g} is the best on the validation part."
    if done.found_degree == 0:
        told += " There no degree of this edit is better than none."
    if done.not_compared:
        told += f" That part has nothing of {listed(done.not_compared)}."
    if done.search.degree != 1:
        told += f" Here it is {done.search.degree:g} times that."
    return [told]


def _ladder_lines(done: Neutralized, ladder: Ladder) -> list[str]:
    other = _other(done)
    rows = [
        (RUNG_NAMES[rung.name], rung.change.numbers, rung.report, rung.name == ladder.chosen)
        for rung in ladder.rungs
    ]
    if other is not None:
        rows = [(*row[:3], False) for row in rows] + [(*other, True)]
    width = max(len(row[0]) for row in rows)
    mark = "  <- this edit" if other or done.edit.degree == 1 else "  <- this edit at degree 1"
    return [
        f"  {name:{width}}  {percent(metrics.worst)}{metrics.of_groups}, {percent(metrics.mean)}, "
        f"{numbers_edited(numbers) if numbers else 'no edit'}{mark if chosen else ''}"
        for name, numbers, metrics, chosen in rows
    ]


def _values(done: Neutralized) -> list[dict[str, Any]]:
    """Each edited number from its value with the edits below to its value now."""
    before, after = effective_cells(done.stack.undo()), effective_cells(done.stack)
    return [
        {
            "row": cell.row,
            "column": cell.column,
            "from": before.get((cell.row, cell.column), cell.old),
            "to": after.get((cell.row, cell.column), cell.old),
        }
        for cell in done.edit.cells
    ]


def _metrics(metrics: GroupMetrics | None) -> dict[str, Any] | None:
    return None if metrics is None else metrics.as_dict()


def _ladder_numbers(ladder: Ladder) -> dict[str, Any]:
    return {
        "chosen": ladder.chosen,
        "degree": 1,
        "reason": ladder.reason,
        "crossfit": ladder.crossfit,
        "approximate": ladder.approximate,
        "sizes": dict(zip(("choose", "validate", "report"), ladder.sizes, strict=True)),
        "rungs": [_rung_numbers(rung) for rung in ladder.rungs],
    }


def _rung_numbers(rung: Rung) -> dict[str, Any]:
    return {
        "name": rung.name,
        **_change_numbers(rung.change),
        "others": [_change_numbers(part) for part in rung.change.others],
        "choose": rung.choose.as_dict(),
        "validate": rung.validate.as_dict(),
        "report": rung.report.as_dict(),
        "collateral": rung.collateral,
    }


def _change_numbers(change: Change) -> dict[str, Any]:
    """The change of one row."""
    return {
        "row": change.row,
        "weights": [{"column": column, "t": t} for column, t in change.weights],
        "shift": change.shift,
    }
