"""The study: settings are chosen on some models and seeds, and reported on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .host import STEPS, Drawn, Host
from .measure import MEASURE, Real, Seen, columns, floors
from .models import Subject, sha256
from .stats import Correct, by_holm
from .store import Store
from .ways import BYPASS, PLACEBO, PLAIN, WAYS, Setting, Way

PICTURES = 400
CHOOSING_SEED, REPORT_SEED = 1_000_000, 2_000_000
"""Where the seeds for choosing and for reporting begin; they never meet."""
LOSS = 0.02
"""Good pictures (clean, and what the prompt says) that a chosen setting may cost, of all."""


@dataclass(frozen=True)
class Question:
    """What is asked of a model: a prompt and a guidance scale."""

    prompt: str
    cfg: float

    @property
    def label(self) -> str:
        """For people and for the results."""
        return f"{self.prompt or 'empty prompt'}, CFG {self.cfg:g}"


MAIN = Question("nurse", 3.0)
"""Fixed before anything was measured: settings are chosen for it, and claims are about it."""
EMPTY = Question("", 1.0)
"""With the empty prompt both sides of guidance are the same: no other scale is asked for."""
QUESTIONS = (MAIN, EMPTY, Question("nurse", 1.0), Question("nurse", 7.0))


@dataclass
class Study:
    """Models at hand and what was found with them.

    make_host: loads the host; asked once something is to be drawn. weights: by subject's name.
    pictures: of each row that is reported. say: for progress.
    ways: what is tried, plain and placebo among them. bypass: the one of them that the placebo is
    held against. correct: how p is corrected over rows. choosing: pictures of each row that
    settings are chosen by, None for as many. short: what was not measured in all models, so that it
    is left out.
    """

    make_host: Callable[[], Host]
    store: Store
    weights: Mapping[str, Path]
    pictures: int = PICTURES
    say: Callable[[str], None] = print
    ways: Mapping[str, Way] = field(default_factory=lambda: WAYS)
    bypass: str = BYPASS
    correct: Correct = by_holm
    choosing: int | None = None
    short: set[tuple[Question, str]] = field(default_factory=set)
    hashes: dict[str, str] = field(default_factory=dict)
    reals: dict[tuple[str, str], Real] = field(default_factory=dict)
    plains: dict[tuple[str, Question, int], Seen] = field(default_factory=dict)

    @cached_property
    def host(self) -> Host:
        """Loaded when it is asked for: what is known already needs none."""
        return self.make_host()

    @property
    def plain(self) -> Setting:
        """Of the plain row."""
        return self.ways[PLAIN].settings[0]

    def acting(self, question: Question) -> Iterator[tuple[str, Way]]:
        """The ways that can do something there, without the plain one and the placebo, whose
        settings depend on the bypass's."""
        for name, way in self.ways.items():
            if name not in (PLAIN, PLACEBO) and way.can_act(question.prompt, question.cfg):
                yield name, way

    def row(
        self, subject: Subject, question: Question, way: str, setting: Setting, seed: int
    ) -> dict[str, Any]:
        """One row, measured now or before."""
        key = self._key(subject, question, way, setting, seed)
        return self.store.get(key, lambda: self._measure(subject, question, way, setting, seed))

    def knows(
        self, subject: Subject, question: Question, way: str, setting: Setting, seed: int
    ) -> bool:
        """Whether a row was measured before."""
        return self.store.look(self._key(subject, question, way, setting, seed)) is not None

    def _key(
        self, subject: Subject, question: Question, way: str, setting: Setting, seed: int
    ) -> dict[str, Any]:
        return {
            "weights": self._hash(subject),
            "minority": subject.minority,
            "prompt": question.prompt,
            "cfg": question.cfg,
            "way": way,
            **asdict(setting),
            "seed": seed,
            "pictures": self._count(seed),
            "steps": STEPS,
            "measure": MEASURE,
        }

    def facts(self, device: str, seed: int = REPORT_SEED) -> dict[str, Any]:
        """What was, or is, measured with, and how many pictures a row: where rows come from
        elsewhere, that is what counts. seed: of those to choose by, or to report."""
        count = {"pictures": self._count(seed)}
        key = {"facts": MEASURE, **count}
        return self.store.get(key, lambda: {**self.host.facts(device), **count})

    def floor(self, subject: Subject, question: Question) -> dict[str, Any]:
        """What real pictures would get."""
        key = {
            "weights": self._hash(subject),
            "minority": subject.minority,
            "prompt": question.prompt,
            "floor": self.pictures,
            "measure": MEASURE,
        }
        return self.store.get(key, lambda: floors(self._real(subject, question), self.pictures))

    def _measure(
        self, subject: Subject, question: Question, way: str, setting: Setting, seed: int
    ) -> dict[str, Any]:
        self.say(f"{subject.name}: {question.label}: {self.ways[way].label} {setting.label}")
        drawn = self._draw(subject, question, way, setting, seed)
        seen = Seen.of(drawn.pictures, question.prompt)
        place = (subject.name, question, seed)
        if way == PLAIN:
            self.plains[place] = seen
        elif place not in self.plains:  # measured before this program was started
            plain = self._draw(subject, question, PLAIN, self.plain, seed)
            self.plains[place] = Seen.of(plain.pictures, question.prompt)
        found = columns(seen, self.plains[place], self._real(subject, question))
        return {**found, "rows": drawn.rows, "seconds": drawn.seconds}

    def _draw(
        self, subject: Subject, question: Question, way: str, setting: Setting, seed: int
    ) -> Drawn:
        run = self.host.run_of(self.weights[subject.name], question.prompt, question.cfg)
        return self.host.draw_all(run, self.ways[way].apply, setting, seed, self._count(seed))

    def _count(self, seed: int) -> int:
        return self.choosing or self.pictures if seed == CHOOSING_SEED else self.pictures

    def _real(self, subject: Subject, question: Question) -> Real:
        place = (subject.name, question.prompt)
        if place not in self.reals:
            self.reals = {place: Real(subject, question.prompt)}  # one at a time: they are large
        return self.reals[place]

    def _hash(self, subject: Subject) -> str:
        if subject.name not in self.hashes:
            self.hashes[subject.name] = sha256(self.weights[subject.name])
        return self.hashes[subject.name]


def choose(study: Study, subjects: Sequence[Subject]) -> dict[str, Setting]:
    """For each way the setting that goes furthest towards the minority, on average over these
    models, of those that keep the pictures good; the gentlest where none does.

    The placebo gets the bypass's window, and as much noise as costs no more good pictures. Without
    models to choose on, the first setting of each.
    """
    if not subjects:
        return {name: way.settings[0] for name, way in study.ways.items()}
    chosen = choose_ways(study, subjects)
    allowed = max(0.0, mean_gain(study, subjects, study.bypass, chosen[study.bypass])[1])
    noises = placebos(study, chosen)
    chosen[PLACEBO] = noises[0]
    for setting in noises:
        if mean_gain(study, subjects, PLACEBO, setting)[1] > allowed:
            break
        chosen[PLACEBO] = setting
    return chosen


def choose_ways(study: Study, subjects: Sequence[Subject]) -> dict[str, Setting]:
    """The same without the placebo."""
    chosen = {PLAIN: study.plain}
    for subject in subjects:  # one model after the other, since each has its own real pictures
        for name, setting in all_settings(study):
            study.row(subject, MAIN, name, setting, CHOOSING_SEED)
    for name, way in study.acting(MAIN):
        chosen[name] = way.settings[0]
        best = -1.0
        for setting in way.settings:
            towards, loss = mean_gain(study, subjects, name, setting)
            if loss <= LOSS and towards > best:
                chosen[name], best = setting, towards
    return chosen


def placebos(study: Study, chosen: Mapping[str, Setting]) -> list[Setting]:
    """What the placebo's setting is chosen from, gentle ones first: the bypass's window."""
    end = chosen[study.bypass].end
    return [replace(setting, end=end) for setting in study.ways[PLACEBO].settings]


def mean_gain(
    study: Study, subjects: Sequence[Subject], way: str, setting: Setting
) -> tuple[float, float]:
    """What a setting does on the choosing seeds, on average over models: minority share gained,
    and good pictures lost."""
    gained, lost = [], []
    for subject in subjects:
        rows = [
            study.row(subject, MAIN, name, one, CHOOSING_SEED)
            for name, one in ((PLAIN, study.plain), (way, setting))
        ]
        lost.append(rows[0]["good"]["share"] - rows[1]["good"]["share"])
        gain = effect(*rows)
        if gain is not None:
            gained.append(gain)
    return (sum(gained) / len(gained) if gained else 0.0), sum(lost) / len(lost)


def effect(plain: dict[str, Any], row: dict[str, Any]) -> float | None:
    """The minority's share with a way minus that without; None where no picture is good."""
    shares = [each["minority"]["share"] for each in (plain, row)]
    return None if None in shares else shares[1] - shares[0]


def settings_for(
    study: Study, question: Question, chosen: Mapping[str, Setting]
) -> Iterator[tuple[str, Setting]]:
    """The rows of a question: plain first, then each way that can act as it was chosen."""
    for name in (PLAIN, *(name for name, _ in study.acting(question)), PLACEBO):
        if (question, name) not in study.short:
            yield name, chosen[name]


def all_settings(study: Study) -> Iterator[tuple[str, Setting]]:
    """What there was to choose from, plain first; the placebo's depend on a choice."""
    yield PLAIN, study.plain
    yield from ((name, setting) for name, way in study.acting(MAIN) for setting in way.settings)
