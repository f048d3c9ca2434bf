"""Every method on every question, backbone and split: measured once, kept, gone on with later."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from detour.classifier.head import Head
from detour.edit.record import Change
from detour.search.ladder import Ladder, build_ladder
from detour.search.settings import Search
from tools.failure import say

from ..dial.store import Store
from ..methods import METHODS, WEIGHTS, Method, mistakes, with_change
from ..neurons import graded_neuron, zeroed_neuron
from ..results import judge
from ..reweighting import afr, hsfm_head
from ..tasks import Task
from .backbones import Backbone
from .degree import curve_of
from .pools import Pool
from .tasks import QUESTIONS, Question, make_tasks

LADDER: dict[str, Callable[[Ladder], Change]] = {
    "three_weights_bias": lambda ladder: ladder["k_weights_bias"].change,
    "auto": lambda ladder: ladder.edit.change,
}
"""Methods that are rungs of one ladder, which is built once for all of them: up to three weights of
any rows with the biases of those rows, and what the library takes where no size is named."""
GUARDS = {"mistakes_keep_95": 0.95, "mistakes_keep_80": 0.8}
"""`mistakes` with one weight and the bias, as on the page for newcomers, and how many of the right
pictures it is to keep; 80 % was chosen on other splits, 100 to 114."""
ALL: dict[str, Method] = {
    **{name: METHODS[name] for name in METHODS if name not in ("dfr_l2", *LADDER)},
    **{
        name: partial(mistakes, size="one_weight_bias", keep_right=keep)
        for name, keep in GUARDS.items()
    },
    "zeroed_neuron": zeroed_neuron,
    "graded_neuron": graded_neuron,
    "afr": afr,
    "hsfm_head": hsfm_head,
}
"""The other ones. `dfr_l2`, the plain refit, is compared on digits only: on four classes it takes
longest."""
CLAIMED = ("erm", "bias_only", "random_weight", "one_weight", "one_weight_bias", *LADDER)
"""The edits that are offered and their floors: on more splits than the rivals."""
WITH_CURVE = ("one_weight", "one_weight_bias", "zeroed_neuron")


@dataclass(frozen=True)
class Pass:
    """Methods that are measured on the splits `seeds`; what matters most comes first."""

    methods: tuple[str, ...]
    seeds: range


def passes(few: int, many: int) -> tuple[Pass, ...]:
    """All methods on `few` splits, the slow ones last; then those that are offered on `many`."""
    more = range(few, many)
    return (
        Pass(tuple(ALL), range(few)),
        Pass(tuple(LADDER), range(few)),
        Pass(CLAIMED, more),
        Pass(("mistakes", *GUARDS), more),
    )


Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Job:
    """A task with what several methods share."""

    task: Task

    @cached_property
    def ladder(self) -> tuple[Ladder, float]:
        """Every size of edit, as the library chooses and judges it on the probes alone, and how
        many seconds that took."""
        began = time.process_time()
        search = Search(split_seed=self.task.seed, max_weights=WEIGHTS)
        return build_ladder(self.task.probes, search), time.process_time() - began

    def head(self, method: str) -> tuple[Head, float]:
        """The head that a method makes of the probes, and its seconds; those of the whole ladder
        for one of its rungs."""
        if method in LADDER:
            ladder, seconds = self.ladder
            return with_change(self.task.probes, LADDER[method](ladder)), seconds
        began = time.process_time()
        head = ALL[method](self.task.probes, self.task.seed)
        return head, time.process_time() - began


@dataclass(frozen=True)
class Study:
    """The questions on some backbones, with what was measured before.

    store: results so far. stored_only: measure nothing more.
    """

    backbones: Sequence[Backbone]
    pools: Mapping[str, Pool]
    store: Store
    stored_only: bool = False

    def run(self, plan: Sequence[Pass]) -> list[Row]:
        """A row for each method, question, backbone, kind of probes and split."""
        return [
            row
            for each in plan
            for seed in each.seeds
            for asked in QUESTIONS
            for backbone in self.backbones
            for row in self._split(asked, backbone, seed, each.methods)
        ]

    def _split(
        self, asked: Question, backbone: Backbone, seed: int, methods: Sequence[str]
    ) -> list[Row]:
        """The rows of one split; features and head are made where something is to be measured."""
        pool, made, rows = self.pools[asked.pool], {}, []

        def jobs() -> dict[str, Job]:
            if not made:
                say(f"{asked.name}, {backbone.name}, split {seed} ...")
                features = backbone.features(pool)
                found = make_tasks(asked, features, pool.labels[asked.label], seed)
                made.update({kind: Job(task) for kind, task in found.items()})
            return made

        for kind in ("balanced", "unbalanced"):
            place = {"question": asked.name, "backbone": backbone.name, "probes": kind}
            for method in methods:
                key = {**place, "method": method, "seed": seed, "pictures": pool.sha256[:12]}
                if not self.stored_only:
                    self.store.get(key, lambda m=method, k=kind: measure(jobs()[k], m))
                found = self.store.look(key)
                if found is not None:
                    rows.append({**place, "method": method, "seed": seed, **found})
        return rows


def measure(job: Job, method: str) -> Row:
    """One method on one task: it is shown the probes alone, then judged on the test."""
    task, (head, seconds) = job.task, job.head(method)
    found = judge(task.test, head)
    curve = curve_of(task.test, head) if method in WITH_CURVE else {}
    return {
        "worst": found.worst,
        "mean": found.mean,
        "numbers": edited_numbers(task.probes.head, head),
        "seconds": seconds,
        "n_probes": len(task.probes),
        "n_test": len(task.test),
        **curve,
    }


def edited_numbers(before: Head, after: Head) -> int:
    """How many numbers of a last layer differ."""
    weights = int((before.weight != after.weight).sum())
    biases = 0 if before.bias is None or after.bias is None else before.bias != after.bias
    return weights + int(biases if isinstance(biases, int) else biases.sum())
