"""Every method on every question, backbone and split: measured once, kept, gone on with later."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detour.classifier.head import Head
from tools.failure import say

from ..dial.store import Store
from ..methods import METHODS, Method
from ..neurons import graded_neuron, zeroed_neuron
from ..results import judge
from ..reweighting import afr, hsfm_head
from ..tasks import Task
from .backbones import Backbone
from .degree import curve_of
from .pools import Pool
from .tasks import QUESTIONS, Question, make_tasks

ALL: dict[str, Method] = {
    **{name: method for name, method in METHODS.items() if name != "dfr_l2"},
    "zeroed_neuron": zeroed_neuron,
    "graded_neuron": graded_neuron,
    "afr": afr,
    "hsfm_head": hsfm_head,
}
"""`dfr_l2`, the plain refit, is compared on digits only: on four classes it takes longest."""
SLOW = ("three_weights_bias",)
CLAIMED = ("erm", "bias_only", "random_weight", "one_weight", "one_weight_bias", "mistakes")
"""The edits that are offered and their floor: on more splits than the rivals."""
WITH_CURVE = ("one_weight", "one_weight_bias", "zeroed_neuron")


@dataclass(frozen=True)
class Pass:
    """Methods that are measured on the splits `seeds`; what matters most comes first."""

    methods: tuple[str, ...]
    seeds: range


def passes(few: int, many: int) -> tuple[Pass, ...]:
    """All methods on `few` splits, the slow ones last; then the claimed ones on `many`."""
    quick = tuple(name for name in ALL if name not in SLOW)
    return Pass(quick, range(few)), Pass(SLOW, range(few)), Pass(CLAIMED, range(few, many))


Row = dict[str, Any]


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

        def tasks() -> dict[str, Task]:
            if not made:
                say(f"{asked.name}, {backbone.name}, split {seed} ...")
                features = backbone.features(pool)
                made.update(make_tasks(asked, features, pool.labels[asked.label], seed))
            return made

        for kind in ("balanced", "unbalanced"):
            place = {"question": asked.name, "backbone": backbone.name, "probes": kind}
            for method in methods:
                key = {**place, "method": method, "seed": seed, "pictures": pool.sha256[:12]}
                if not self.stored_only:
                    self.store.get(key, lambda m=method, k=kind: measure(tasks()[k], m))
                found = self.store.look(key)
                if found is not None:
                    rows.append({**place, "method": method, "seed": seed, **found})
        return rows


def measure(task: Task, method: str) -> Row:
    """One method on one task: it is shown the probes alone, then judged on the test."""
    began = time.process_time()
    head = ALL[method](task.probes, task.seed)
    seconds = time.process_time() - began
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
