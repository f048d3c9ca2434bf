"""The study of ranges: its plan, and that a push is told from variety, in figures made up here."""

from __future__ import annotations

import io
from collections import Counter
from contextlib import redirect_stdout
from itertools import product
from typing import Any

import pytest

from detour.schedule import Schedule
from detour.ways.targets import middle_third
from evidence.dial import conclusion, signs
from evidence.dial.models import CELLS, HAS, Subject
from evidence.dial.ranges import BYPASS, LAYERS, MIDDLE, RANGE_WAYS, RIVALS, plan, ranges
from evidence.dial.sides import one_sided
from evidence.dial.stats import effects
from evidence.dial.study import EMPTY, MAIN, effect
from evidence.dial.ways import PLAIN

SUBJECTS = plan(blocks=2)
TOSSED = [(sum(coins[:3]), sum(coins[3:6]), coins[6]) for coins in product((0, 1), repeat=7)]
"""Heads in three groups of coins, of all ways to toss seven."""
VARIED, PUSHED, STILL = "blocks 3-4", "blocks 2-3", BYPASS


def test_the_plan_is_balanced_and_every_model_has_a_beginning_of_its_own():
    assert Counter((s.attribute, s.present) for s in SUBJECTS) == dict.fromkeys(CELLS, 2)
    trainings = [subject.training for subject in SUBJECTS]
    assert {(one.start, one.network) for one in trainings} == {("", "transformer")}
    assert len({one.seed for one in trainings}) == len({one.name for one in trainings}) == 12


def test_every_range_of_both_widths_is_tried():
    wanted = [(a, b) for a in range(LAYERS) for b in range(LAYERS) if b - a + 1 in (2, 4)]
    assert sorted(ranges()) == sorted(wanted) and MIDDLE in ranges()
    assert middle_third(LAYERS) == MIDDLE
    bypassed = {f"blocks {a}-{b}" for a, b in wanted}
    assert {name for name, way in RANGE_WAYS.items() if way.is_ours} == bypassed | set(RIVALS)
    for name in bypassed | set(RIVALS):  # as their nodes begin
        assert [one.schedule for one in RANGE_WAYS[name].settings] == [Schedule()]


def share(value: float) -> dict[str, Any]:
    return {"share": value}


def row_of(subject: Subject, way: str, rare: float, long: float) -> dict[str, Any]:
    """A row of a model in which so many have the rare side of its attribute, and `long` more have
    long hair than without the way, whatever is rare."""
    having = {name: 0.5 for name in HAS}
    having[subject.attribute] = rare if subject.present else 1 - rare
    having["long hair"] += long
    own = having[subject.attribute]
    return {
        "model": subject.name,
        "prompt": MAIN.prompt,
        "cfg": MAIN.cfg,
        "way": way,
        "minority": share(own if subject.present else 1 - own),
        **{name: share(value) for name, value in having.items()},
        "moved": {name: [4, 0] if way == PUSHED else [2, 2] for name in HAS},
    }


@pytest.fixture
def figures() -> dict[str, Any]:
    """Of a way that brings variety, one that pushes, one that does nothing, and the rivals."""
    rare = {PLAIN: 0.1, VARIED: 0.2, PUSHED: 0.1, STILL: 0.1, "relief": 0.15, "fade": 0.25}
    rows = [
        row_of(subject, way, value + 0.001 * place, 0.06 if way == PUSHED else 0.0)
        for way, value in rare.items()
        for place, subject in enumerate(SUBJECTS)
    ]
    plain = {row["model"]: row for row in rows if row["way"] == PLAIN}
    ways = [way for way in rare if way != PLAIN]
    of_ways = [[row for row in rows if row["way"] == way] for way in ways]
    tested = effects([[effect(plain[row["model"]], row) for row in own] for own in of_ways])
    means = [
        {"question": MAIN.label, "way": way, "label": way, "effect": one.as_dict()}
        for way, one in zip(ways, tested, strict=True)
    ]
    tried = {name: RANGE_WAYS[name] for name in rare}
    return {
        "signs": signs.signs(rows, SUBJECTS, means),
        "against": conclusion.against(rows, tried, RIVALS),
        "ranges": [VARIED, PUSHED, STILL],
        "bypass": BYPASS,
        "rivals": RIVALS,
    }


def test_a_push_is_told_from_variety(figures):
    found = {row["way"]: row for row in figures["signs"]}
    assert {way: signs.verdict(row) for way, row in found.items()} == {
        VARIED: "variety",
        PUSHED: "push",
        STILL: "unclear",
        "relief": "variety",
        "fade": "variety",
    }
    assert signs.pushed_to(found[PUSHED]) == ["more long hair (+6.0 points)"]
    moved = {(c["attribute"], c["present"]): c["moved"] for c in found[PUSHED]["models"]}
    assert moved["long hair", True] == pytest.approx(0.06)
    assert moved["long hair", False] == pytest.approx(-0.06)  # away from what is rare there
    assert moved["glasses", True] == pytest.approx(0)
    assert all(one["moved"] == pytest.approx(0.1) for one in found[VARIED]["models"])


def test_changes_that_all_go_one_way_are_told_from_those_that_go_both(figures):
    found = {row["way"]: row["sides"] for row in figures["signs"]}
    cells = 2 * len(SUBJECTS)  # the attribute that is rare in a model does not count
    assert (found[PUSHED]["same"], found[PUSHED]["changed"]) == (4 * cells, 4 * cells)
    assert (found[VARIED]["same"], found[VARIED]["changed"]) == (2 * cells, 4 * cells)
    assert found[PUSHED]["chance"] == pytest.approx(cells * (2 * 4 + 8 * 3 + 6 * 2) / 16)
    assert found[PUSHED]["p"] == pytest.approx((2 / 16) ** cells) and found[VARIED]["p"] == 1


def test_one_sided_counts_every_outcome():
    cells = [(3, 0), (1, 2), (0, 0), (0, 1)]
    outcomes = [sum(max(k, n - k) for k, n in zip(ks, (3, 3, 1), strict=True)) for ks in TOSSED]
    found = one_sided(cells)
    assert found["changed"] == 7 and found["same"] == 6
    assert found["chance"] == pytest.approx(sum(outcomes) / len(outcomes))
    assert found["p"] == pytest.approx(sum(one >= 6 for one in outcomes) / len(outcomes))


def test_the_conclusion_says_what_the_tests_show(figures):
    said = conclusion.conclusion(figures)
    assert said[0] == (
        "nurse, CFG 3: of 3 ranges 1 is shown to go towards what is rare (blocks 3-4), none is "
        "shown to go away from it, and 1 is shown to push one way whatever is rare (blocks 2-3)."
    )
    assert said[1].endswith("blocks 2-5, which auto takes: neither variety nor a push is shown.")
    assert said[2].startswith("nurse, CFG 3: of 288 pictures that a bypass moved to")
    assert said[3].startswith("Beside the relief: 1 is shown to go further than it (blocks 3-4); 2")
    assert said[4].startswith("Beside the fade: none is shown to go further than it; 3 are shown")


def test_the_table_shows_each_model_by_what_is_rare_in_it(figures):
    with redirect_stdout(io.StringIO()) as printed:
        signs.report(figures["signs"], print)
    lines = printed.getvalue().splitlines()
    head = next(line for line in lines if "rare in the model" in line)
    assert head.split("|")[0].split()[4:] == [
        *("hair+", "hair+", "hair-", "hair-", "skin+", "skin+"),
        *("skin-", "skin-", "glas+", "glas+", "glas-", "glas-"),
    ]
    line = next(line for line in lines if line.startswith(f"  {PUSHED} "))
    cells, over, one_way = line.split("|")
    assert one_way.split() == ["96/96", "(66)*"]
    assert cells.split()[2:6] == ["+6", "+6", "-6", "-6"] and over.split()[0] == "+6*"
    assert not any(EMPTY.label in line for line in lines)
