"""The figures of the study, over models: what is committed, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .models import Subject
from .stats import effects
from .study import (
    CHOOSING_SEED,
    MAIN,
    REPORT_SEED,
    Question,
    Study,
    all_settings,
    effect,
    settings_for,
)
from .ways import PLAIN, Setting

Row = dict[str, Any]


def measured(
    study: Study,
    subjects: Sequence[Subject],
    chosen: Mapping[str, Setting],
    questions: Sequence[Question],
) -> list[Row]:
    """Every row of every model on the reporting seeds, each with what it is a row of."""
    rows = []
    for subject in subjects:
        for question in questions:
            for way, setting in settings_for(study, question, chosen):
                found = study.row(subject, question, way, setting, REPORT_SEED)
                rows.append({**_place(subject, question, way, setting), **found})
    return rows


def _place(subject: Subject, question: Question, way: str, setting: Setting) -> Row:
    return {
        "model": subject.name,
        "prompt": question.prompt,
        "cfg": question.cfg,
        "way": way,
        "setting": asdict(setting),
    }


def swept(study: Study, subjects: Sequence[Subject]) -> list[Row]:
    """All settings that there were to choose from, as they were measured for the choice: means
    over these models, for the chart."""
    found = []
    for way, setting in all_settings(study):
        asked = ((PLAIN, study.plain), (way, setting))
        plains, rows = (
            [study.row(subject, MAIN, *each, CHOOSING_SEED) for subject in subjects]
            for each in asked
        )
        found.append({"way": way, "setting": asdict(setting), "means": means(rows, plains)})
    return found


def over_models(
    study: Study,
    rows: Sequence[Row],
    chosen: Mapping[str, Setting],
    questions: Sequence[Question],
) -> list[Row]:
    """The rows of each question, averaged over the models, with their effect, corrected over the
    rows of the same question."""
    return [row for question in questions for row in _of(study, question, rows, chosen)]


def _of(
    study: Study, question: Question, rows: Sequence[Row], chosen: Mapping[str, Setting]
) -> list[Row]:
    asked = [row for row in rows if (row["prompt"], row["cfg"]) == (question.prompt, question.cfg)]
    plain = {row["model"]: row for row in asked if row["way"] == PLAIN}
    found: list[Row] = []
    families = []
    for way, setting in settings_for(study, question, chosen):
        label = study.ways[way].label
        own = [row for row in asked if row["way"] == way]
        found.append(
            {
                "question": question.label,
                "way": way,
                "label": label if way == PLAIN else f"{label} {setting.label}",
                "setting": asdict(setting),
                "means": means(own, [plain[row["model"]] for row in own]),
            }
        )
        if way != PLAIN:
            pairs = [effect(plain[row["model"]], row) for row in own]
            families.append((found[-1], [value for value in pairs if value is not None]))
    tested = effects([values for _, values in families], study.correct)
    for (row, _), one in zip(families, tested, strict=True):
        row["effect"] = one.as_dict()
    return found


def compact(rows: Sequence[Row]) -> list[Row]:
    """The rows with a share as `hits/of`: what is committed of each model."""
    return [{name: _short(value) for name, value in row.items()} for row in rows]


def _short(value: Any) -> Any:
    is_share = isinstance(value, dict) and "hits" in value
    return f"{value['hits']}/{value['of']}" if is_share else value


SHARES = ("clean", "good", "fits", "minority", "long hair", "dark skin", "glasses")
PARTS = ("unseen", "copies", "unchanged")


def means(rows: Sequence[Row], plains: Sequence[Row]) -> Row:
    """Means over models of the columns; costs as multiples of the plain row's."""
    found: Row = {name: _mean([row[name]["share"] for row in rows]) for name in SHARES + PARTS}
    found |= {name: _mean([row[name] for row in rows]) for name in ("vendi", "tint")}
    for group in ("minority", "others"):
        for name in ("distance", "floor"):
            values = [row["frechet"][group][name] for row in rows]
            found[f"frechet {group} {name}"] = _mean(values)
    for name in ("rows", "seconds"):
        pairs = zip(rows, plains, strict=True)
        found[name] = _mean([row[name] / plain[name] for row, plain in pairs])
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    """Of those that there are."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


HEAD = (
    f"  {'':40} {'minority':>8} {'effect':>22} {'p corr':>7} {'good':>6} {'clean':>6} {'fits':>6} "
    f"{'Vendi':>6} {'unseen':>6} {'copies':>6} {'FD min':>13} {'FD oth':>13} {'tint':>6} "
    f"{'rows':>5} {'time':>5}"
)
LEGEND = """minority: share of it among the good pictures (clean, and what the prompt says)
effect:   that minus the same of the plain row, mean over models and interval, in points
p corr:   sign-flip test over models, corrected over the rows of the same question
Vendi:    how many altogether different people would be as varied; of the clean pictures
unseen:   good pictures with a combination that no training picture has
copies:   good pictures that are a training picture in every part
FD:       Frechet distance to real pictures within the minority and within the others, and its
          floor (as many real ones), in the first 12 principal components of training pictures
tint:     mean colour change of pictures that kept their parts; rows, time: the plain row's are 1"""


def report(rows: Sequence[Row], say: Callable[[str], None]) -> None:
    """The table, what its columns mean, and what may be claimed."""
    table(rows, say)
    say("")
    say(LEGEND)
    say("")
    for sentence in sentences(rows):
        say(sentence)


def table(rows: Sequence[Row], say: Callable[[str], None]) -> None:
    """The rows of each question."""
    for question in dict.fromkeys(row["question"] for row in rows):
        say("")
        say(f"{question}{'' if question == MAIN.label else ' (exploratory)'}")
        say(HEAD)
        for row in rows:
            if row["question"] == question:
                say(line(row))


def line(row: Row) -> str:
    """One line of the table."""
    mean, found = row["means"], row.get("effect")
    moved, p = "", ""
    if found and found["effect"] is not None:
        moved = f"{100 * found['effect']:+.1f}"
        if found["low"] is not None:
            moved += f" ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"
        p = f"{found.get('p_corrected', found.get('p_holm')):.2g}"
    apart = [
        " ".join(_number(mean[f"frechet {group} {name}"], 2) for name in ("distance", "floor"))
        for group in ("minority", "others")
    ]
    return (
        f"  {row['label']:40} {_percent(mean['minority']):>8} {moved:>22} {p:>7} "
        f"{_percent(mean['good']):>6} {_percent(mean['clean']):>6} {_percent(mean['fits']):>6} "
        f"{_number(mean['vendi'], 2):>6} {_percent(mean['unseen']):>6} "
        f"{_percent(mean['copies']):>6} {apart[0]:>13} {apart[1]:>13} "
        f"{_number(mean['tint'], 3):>6} {_number(mean['rows'], 2):>5} "
        f"{_number(mean['seconds'], 2):>5}"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def sentences(rows: Sequence[Row]) -> list[str]:
    """What may be claimed: of the main question alone."""
    return [
        f"{row['label']}: {row['effect']['sentence']}"
        for row in rows
        if row["question"] == MAIN.label and "effect" in row
    ]
