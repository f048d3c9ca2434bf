"""The study with a stand-in for the host: plan, columns, choice, resuming, results."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from demo.faces import PLACE, draw_people, wears_glasses
from evidence.dial import quick
from evidence.dial.chart import chart, look
from evidence.dial.host import Drawn
from evidence.dial.measure import Real, Seen, columns, composed
from evidence.dial.models import CELLS, HAS, Subject, plan, shipped_pair
from evidence.dial.ranges import RANGE_WAYS
from evidence.dial.results import compact, measured, over_models, sentences, swept, table
from evidence.dial.store import Store
from evidence.dial.study import MAIN, QUESTIONS, REPORT_SEED, Study, choose
from evidence.dial.ways import BYPASS, PLACEBO, PLAIN, WAYS, Setting
from evidence.dial.workers import Crew, measure_ahead
from tools.failure import Failure

COUNT = 40
FEW = {name: WAYS[name] for name in (PLAIN, BYPASS, "lower_cfg", "shift", PLACEBO)}


@pytest.fixture(autouse=True)
def _little(monkeypatch):
    monkeypatch.setattr("demo.train.PEOPLE", 800)
    monkeypatch.setattr("evidence.dial.measure.MOST_FRESH", 600)
    monkeypatch.setattr("evidence.dial.quick.WAYS", FEW)


class FakeHost:
    """Draws real portraits; a way with a window gives more of the minority the longer and stronger
    it is, and the longest window breaks a tenth of the pictures."""

    def __init__(self, subjects: list[Subject]) -> None:
        self.subjects = {subject.name: subject for subject in subjects}
        self.drawn: list[tuple] = []

    def run_of(self, weights: Path, prompt: str, cfg: float) -> SimpleNamespace:
        return SimpleNamespace(subject=self.subjects[weights.name], prompt=prompt, cfg=cfg)

    def draw_all(self, run, apply, setting, seed, count) -> Drawn:
        self.drawn.append((run.subject.name, run.prompt, run.cfg, setting, seed))
        reach = min(0.6, setting.end * setting.strength) if setting.end < 1 else 0.0
        draw = torch.Generator().manual_seed(seed)
        people = draw_people(run.subject.training.shares, 8 * count, draw, run.prompt or None)
        rare = run.subject.is_minority(people)
        more = round(count * (0.1 + reach / 2))
        people = torch.cat([people[rare][:more], people[~rare][: count - more]])
        pictures = composed(people)
        if reach == 0.6:
            pictures[: count // 10] = 0.5
        return Drawn(pictures, 20 * count, 1.0)


@pytest.fixture
def make_study(tmp_path):
    """Makes a study of some subjects, always with the same file of results."""

    def make(subjects: list[Subject]) -> Study:
        for subject in subjects:
            (tmp_path / subject.name).write_text(subject.name)
        weights = {subject.name: tmp_path / subject.name for subject in subjects}
        store = Store(tmp_path / "rows.jsonl")
        host = FakeHost(subjects)
        return Study(lambda: host, store, weights, COUNT, lambda text: None, FEW)

    return make


def test_the_plan_is_balanced_and_keeps_its_beginning():
    subjects = plan(blocks=2)
    assert Counter((s.attribute, s.present) for s in subjects) == dict.fromkeys(CELLS, 2)
    assert len({s.training.seed for s in subjects}) == len({s.name for s in subjects}) == 12
    assert plan(blocks=1) == subjects[:6]
    assert {subject.training.start for subject in subjects} == {""}


@pytest.mark.parametrize("job", [None, "nurse"])
def test_the_minority_is_rare_and_everything_else_even(job):
    draw = torch.Generator().manual_seed(0)
    for subject in plan(blocks=1):
        people = draw_people(subject.training.shares, 4000, draw, job)
        assert float(subject.is_minority(people).float().mean()) == pytest.approx(0.1, abs=0.02)
        for attribute in set(HAS) - {subject.attribute}:
            share = float(HAS[attribute](people).float().mean())
            assert share == pytest.approx(0.5, abs=0.04)


def test_what_moved_and_what_cannot_be_told():
    """The other columns, literally: test_dial_measure.py."""
    real = Real(plan(blocks=1)[0], "nurse")
    people = real.people[:100]
    own, worn = Seen.of(composed(people), "nurse"), people.clone()
    worn[:30, PLACE["glasses"]], worn[30:, PLACE["glasses"]] = 1, 0
    before = wears_glasses(people)
    changed = columns(Seen.of(composed(worn), "nurse"), own, real)["moved"]
    assert changed["glasses"] == [int((~before[:30]).sum()), int(before[30:].sum())]
    assert changed["long hair"] == changed["dark skin"] == [0, 0]
    noise = Seen.of(torch.rand(100, 3, 16, 16), "nurse")
    broken = columns(noise, own, real)
    assert broken["good"]["hits"] == 0 and broken["minority"]["share"] is None
    assert broken["vendi"] is broken["tint"] is None


def test_fresh_people_are_seldom_copies():
    real = Real(plan(blocks=1)[0], "")
    fresh = Seen.of(real.fresh[1][:200], "")
    assert columns(fresh, fresh, real)["copies"]["share"] < 0.1


def test_the_choice_goes_furthest_where_pictures_stay_good(make_study):
    subjects = plan(blocks=1)[:1]
    study = make_study(subjects)
    chosen = choose(study, subjects)
    assert chosen[BYPASS] == Setting(end=0.45)  # 0.6 breaks pictures
    assert chosen["shift"] == WAYS["shift"].settings[0]  # nothing gained: the gentlest
    assert chosen[PLACEBO] == Setting(1.0, 0.45)  # the strongest that breaks none
    assert {seed for *_, seed in study.host.drawn} == {1_000_000}


def test_nothing_is_measured_twice(make_study, tmp_path):
    subjects = plan(blocks=1)[:1]
    first = make_study(subjects)
    asked = (subjects[0], MAIN, BYPASS, Setting(end=0.3), 5)
    found = first.row(*asked)
    assert len(first.host.drawn) == 2  # it, and the plain row beside it
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('\n{"key": {"cut o')
    again = make_study(subjects)
    assert again.row(*asked) == json.loads(json.dumps(found)) and not again.host.drawn
    more = replace(again, pictures=COUNT + 1, plains={})
    more.row(*asked)
    assert len(more.host.drawn) == 2
    (tmp_path / subjects[0].name).write_text("other weights")
    other = replace(again, hashes={}, plains={})
    other.row(*asked)
    assert len(other.host.drawn) == 4


def test_rows_are_measured_ahead_question_after_question(make_study, tmp_path):
    subjects = plan(blocks=1)[:3]
    study = make_study(subjects)
    models, choosing, questions = subjects[:2], subjects[2:], QUESTIONS[:2]
    late = Crew(study, "cpu", deadline=0.0)
    with pytest.raises(Failure, match="not chosen: time was over"):
        measure_ahead(late, models, choosing, questions, {})
    assert not study.host.drawn
    (tmp_path / "rows-77.jsonl").write_text(
        f'{{"key": {{"facts": 2, "pictures": {COUNT}}}, "found": {{"device": "other"}}}}'
    )
    chosen, whole = measure_ahead(Crew(study, "cpu"), models, choosing, questions, {})
    assert chosen[BYPASS] == Setting(end=0.45) and whole == list(questions)
    assert study.facts("cpu") == {"device": "other"}  # of a process that was ended
    reported = [(row[0], row[1]) for row in study.host.drawn if row[-1] == REPORT_SEED]
    order = [(s.name, q.prompt) for q in questions for s in models]
    assert list(dict.fromkeys(reported)) == order
    drawn = len(study.host.drawn)
    study.host.drawn.clear()
    measured(study, models, chosen, questions)
    swept(study, choosing)
    assert drawn and not study.host.drawn  # all is there
    more = Crew(study, "cpu", deadline=0.0)
    assert measure_ahead(more, models, choosing, QUESTIONS, {})[1] == list(questions)


def test_what_is_not_measured_in_all_models_is_left_out(make_study):
    subjects = plan(blocks=1)[:2]
    study, asked = make_study(subjects), QUESTIONS[2]
    chosen = choose(study, [])
    assert chosen == {name: way.settings[0] for name, way in FEW.items()} and not study.store.found
    study.row(subjects[0], asked, BYPASS, chosen[BYPASS], REPORT_SEED)
    for subject in subjects:
        study.row(subject, asked, PLAIN, chosen[PLAIN], REPORT_SEED)
        study.row(subject, asked, "shift", chosen["shift"], REPORT_SEED)
    late = Crew(study, "cpu", deadline=0.0)
    assert measure_ahead(late, subjects, [], QUESTIONS, {}) == (chosen, [asked])
    rows = measured(study, subjects, chosen, [asked])
    assert [row["way"] for row in rows] == [PLAIN, "shift"] * 2


def test_the_table_the_sentences_and_the_chart(make_study, capsys):
    subjects = plan(blocks=1)[:2]
    study = make_study(subjects)
    chosen = {name: way.settings[0] for name, way in FEW.items()}
    found = measured(study, subjects, chosen, QUESTIONS)
    rows = over_models(study, found, chosen, QUESTIONS)
    questions = {row["question"] for row in rows}
    assert questions == {MAIN.label, "nurse, CFG 1", "nurse, CFG 7", "empty prompt, CFG 1"}
    assert {row["way"] for row in rows if row["question"] == MAIN.label} == set(FEW)
    tested = [row for row in rows if "effect" in row]
    assert len(tested) == len(rows) - len(QUESTIONS)  # all but the plain ones
    assert not any(row["way"] == "lower_cfg" for row in rows if row["question"].endswith("CFG 1"))
    bypass = next(row for row in tested if row["way"] == BYPASS)
    assert bypass["effect"]["effect"] == pytest.approx(0.075, abs=0.02)
    assert all("too few" in sentence for sentence in sentences(rows))
    table(rows, print)
    printed = capsys.readouterr().out
    assert "exploratory" in printed and "bypass of the mid-block 1, 0 to 0.15" in printed
    json.dumps(rows)
    kept = compact(found)
    assert kept[0]["clean"] == f"{COUNT}/{COUNT}"
    assert len(kept) == len(subjects) * len(rows)
    sweep = swept(study, subjects)
    assert len(sweep) == sum(len(way.settings) for name, way in FEW.items() if name != PLACEBO)
    assert chart(sweep, 2, FEW).tobytes() != chart(sweep[:1], 2, FEW).tobytes()
    for ways in (WAYS, RANGE_WAYS):
        drawn = [name for name in ways if name != PLAIN]
        assert len({look(name, ways) for name in drawn}) == len(drawn)


def test_the_shipped_pair_is_compared_with_what_was_committed(make_study, tmp_path, capsys):
    pair = [(one, tmp_path / one.name) for one, _ in shipped_pair()]
    study = make_study([subject for subject, _ in pair])
    chosen = quick.chosen_in({"chosen": {BYPASS: {"strength": 1.0, "end": 0.3}, "gone": {}}})
    assert chosen[BYPASS] == Setting(end=0.3)
    rows = quick.shipped_rows(study, pair, chosen)
    assert {row["way"] for row in rows} >= {PLAIN, BYPASS}
    assert quick.compare(rows, rows, print)
    other = [{**row, "minority": {**row["minority"], "low": 0.99, "high": 1.0}} for row in rows]
    assert not quick.compare(rows, other, print)
    assert "DIFFERS in minority" in capsys.readouterr().out
    assert quick.compare(rows, [{**row, "sha256": "other"} for row in rows], print)
    assert "nothing to compare with" in capsys.readouterr().out
