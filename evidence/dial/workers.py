"""Measuring ahead: all rows of a study, the most important ones first, in several processes.

Each process has a host and a file of results of its own; what they find is taken over into the
study's store, from which everything else reads it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from multiprocessing import get_context
from pathlib import Path

import torch

from tools.failure import Failure
from tools.gpu_part import FAULTS

from .host import Host
from .models import Subject
from .store import Store
from .study import (
    CHOOSING_SEED,
    EMPTY,
    MAIN,
    REPORT_SEED,
    Question,
    Study,
    all_settings,
    choose,
    choose_ways,
    placebos,
    settings_for,
)
from .ways import PLACEBO, PLAIN, Setting, Way

Rows = tuple[tuple[str, Setting], ...]


@dataclass(frozen=True)
class Job:
    """Rows (way and setting) of one model, question and seed, which one process measures in turn.

    floor: whether it also measures what real pictures would get.
    """

    subject: Subject
    question: Question
    seed: int
    rows: Rows
    floor: bool = False

    def missing(self, study: Study) -> Rows:
        """Those that were not measured yet."""
        asked = self.subject, self.question
        return tuple(row for row in self.rows if not study.knows(*asked, *row, self.seed))

    def run(self, study: Study, deadline: float) -> None:
        """Measure what is missing; after the deadline nothing is begun."""
        for row in self.missing(study):
            if time.monotonic() >= deadline:
                return
            study.row(self.subject, self.question, *row, self.seed)
        if self.floor and time.monotonic() < deadline:
            study.floor(self.subject, self.question)


@dataclass(frozen=True)
class Crew:
    """Who measures: this process, or those of `pool`, which open the study for themselves.

    device: where. deadline: by `time.monotonic`. workers: how many there are.
    """

    study: Study
    device: str
    deadline: float = math.inf
    workers: int = 1
    pool: Executor | None = None

    def fill(self, jobs: Sequence[Job]) -> bool:
        """Measure jobs in their order, as far as time allows; whether all is measured. What fails
        is told, and the others still run."""
        left = [replace(job, rows=missing) for job in jobs if (missing := job.missing(self.study))]
        if self.pool is None:
            for job in left:
                job.run(self.study, self.deadline)
        else:
            self._share(left, self.pool)
        return not any(job.missing(self.study) for job in jobs)

    def _share(self, jobs: Sequence[Job], pool: Executor) -> None:
        asked = {pool.submit(run_there, self._parts, job, self.deadline): job for job in jobs}
        for place, future in enumerate(as_completed(asked), 1):
            job = asked[future]
            try:
                self.study.store.merge(future.result())
                told = f"{len(job.rows) - len(job.missing(self.study))} of {len(job.rows)} rows"
            except FAULTS as error:
                told = f"{type(error).__name__}: {error}"
            asks = f"{job.subject.name}, {job.question.label}"
            self.study.say(f"{place}/{len(jobs)} {asks}: {told}")

    @cached_property
    def _parts(self) -> Parts:
        study = self.study
        return Parts(
            study.store.path,
            self.device,
            dict(study.weights),
            study.pictures,
            dict(study.ways),
            study.bypass,
            study.choosing,
        )


@dataclass(frozen=True)
class Parts:
    """What a process needs to open a study, which its file of results tells from others."""

    path: Path
    device: str
    weights: Mapping[str, Path] = field(compare=False)
    pictures: int
    ways: Mapping[str, Way] = field(compare=False)
    bypass: str
    choosing: int | None


@cache
def study_there(parts: Parts) -> Study:
    """The study of this process, with a file of its own."""
    store = Store(parts.path.with_name(f"{parts.path.stem}-{os.getpid()}{parts.path.suffix}"))
    host, ways = partial(Host, parts.device), (parts.ways, parts.bypass, parts.choosing)
    study = Study(host, store, parts.weights, parts.pictures, lambda _text: None, *ways)
    for seed in (CHOOSING_SEED, REPORT_SEED):
        study.facts(parts.device, seed)
    return study


def gather(store: Store) -> None:
    """Take over what processes have found and could not hand in, as they were ended."""
    for path in store.path.parent.glob(f"{store.path.stem}-*{store.path.suffix}"):
        store.merge(path)
        path.unlink()


def run_there(parts: Parts, job: Job, deadline: float) -> Path:
    """Run a job in this process; the file with what it found."""
    study = study_there(parts)
    job.run(study, deadline)
    return study.store.path


def make_pool(workers: int) -> ProcessPoolExecutor | nullcontext[None]:
    """The processes, none for one worker; to be closed."""
    if workers <= 1:
        return nullcontext()
    return ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    )


def measure_ahead(
    crew: Crew,
    subjects: Sequence[Subject],
    choosing: Sequence[Subject],
    questions: Sequence[Question],
    shipped: Mapping[Question, Sequence[str]],
) -> tuple[dict[str, Setting], list[Question]]:
    """All rows of a study: those to choose settings by, then each question's of all models; the
    settings, and the questions of which something is known in all models.

    shipped: for questions the ways that the models to choose by are reported on as well.
    Raises `Failure` if time is over before settings are chosen.
    """
    study = crew.study
    gather(study.store)
    pieces = max(1, crew.workers // max(1, len(choosing)))
    is_whole = crew.fill(list(_choosing(choosing, tuple(all_settings(study)), pieces)))
    if is_whole and choosing:
        noises = placebos(study, choose_ways(study, choosing))
        rows = tuple((PLACEBO, setting) for setting in noises)
        is_whole = crew.fill(list(_choosing(choosing, rows, pieces)))
    if not is_whole:
        raise Failure("Settings are not chosen: time was over, or rows failed. The rest is kept.")
    chosen = choose(study, choosing)
    asked = {question: tuple(settings_for(study, question, chosen)) for question in questions}
    jobs = [
        Job(subject, question, REPORT_SEED, rows, question in (MAIN, EMPTY))
        for question, rows in asked.items()
        for subject in subjects
    ]
    own = [
        Job(subject, question, REPORT_SEED, tuple((name, chosen[name]) for name in names))
        for question, names in shipped.items()
        for subject in choosing
    ]
    crew.fill([*jobs[: len(subjects)], *own, *jobs[len(subjects) :]])
    study.short |= {(job.question, way) for job in jobs for way, _ in job.missing(study)}
    gather(study.store)
    return chosen, [question for question in questions if (question, PLAIN) not in study.short]


def _choosing(subjects: Iterable[Subject], rows: Rows, pieces: int) -> Iterator[Job]:
    """Jobs for the choice, in pieces, as there are few models."""
    for subject in subjects:
        for place in range(pieces):
            if part := rows[place::pieces]:
                yield Job(subject, MAIN, CHOOSING_SEED, part)
