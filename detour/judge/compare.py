"""The groups of some probes under one classifier, beside another one or its unedited self."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..checks import LARGEST_SEED, read_whole, require_choice
from ..classifier.facts import read_class
from ..edit.apply import correct, stack_logits
from ..edit.edited import EditedClassifier
from ..edit.record import EditStack
from ..probes.features import Probes
from ..probes.parts import needs_folds, split_parts
from ..probes.probe_set import ProbeSet
from .groups import Gain, GroupMetrics, gain, group_metrics

PARTS = ("all", "report")


@dataclass(frozen=True)
class Comparison:
    """Metrics of a classifier, those of the one before it (None if there is none), and notes.

    gain: what may be claimed of the worst group, None without one before. unseen: these probes
    are known to have had no say in any edit. learned: they had one in a classifier itself.
    """

    after: GroupMetrics
    before: GroupMetrics | None
    notes: tuple[str, ...]
    gain: Gain | None = None
    unseen: bool = True
    learned: bool = False


def compare(
    probes: Probes,
    stack: EditStack,
    before: tuple[Probes, EditStack] | None = None,
    part: str = "all",
    split_seed: int = 0,
) -> Comparison:
    """Group metrics of an edited head on all probes or on the report part.

    probes: with the *unedited* head of the classifier; before: the same pictures and the edits
    of another one. Without it edits are compared with the unedited head. part: one of `PARTS`;
    `report` is the part that `neutralize` with the same split seed reports on.
    Raises ValueError for an unknown part, an empty one, and classifiers with other groups.
    """
    require_choice("part", part, PARTS)
    if before is None and stack.edits:
        before = probes, replace(stack, edits=())
    rows = split_parts(probes, split_seed).report if part == "report" else torch.arange(len(probes))
    now = correct(probes, stack_logits(probes, stack))
    after = group_metrics(probes, now, rows)
    given = probes.split is not None  # then the report part is kept apart, however few there are
    few = not given and needs_folds(probes, split_parts(probes, split_seed))
    edited = bool(stack.edits or (before is not None and before[1].edits))
    done = Comparison(
        after,
        None,
        tuple(_notes(len(rows), probes, part, edited, few)),
        unseen=not edited or (part == "report" and not few),
    )
    if before is None:
        return done
    was = correct(before[0], stack_logits(*before))
    other = group_metrics(before[0], was, rows)
    if other.names != after.names:
        raise ValueError(
            f"The groups of the two classifiers differ ({len(other.names)} against "
            f"{len(after.names)}): connect two with the same labels."
        )
    return replace(done, before=other, gain=gain(probes, (was, now), rows, seed=split_seed))


def compare_classifiers(
    classifier: EditedClassifier,
    probe_set: ProbeSet,
    before: EditedClassifier | None = None,
    part: str = "all",
    split_seed: float = 0,
    target_class: str | None = "",
) -> Comparison:
    """`compare` for classifiers, and whether the first was fitted on what it is judged on.

    target_class: of a tagger, the tag that is measured, as it was typed; empty = the class that
    is a tag. Raises ValueError for one that does not exist and for probes without classes.
    """
    require_choice("part", part, PARTS)
    seed = read_whole("split_seed", split_seed, 0, LARGEST_SEED)
    read_class(classifier.unedited.description, target_class)
    probe_set.need_classes()
    tag = target_class or ""
    probes = classifier.probes(probe_set, tag=tag)
    other = None if before is None else (before.probes(probe_set, tag=tag), before.stack)
    done = compare(probes, classifier.stack, other, part, seed)
    return replace(done, learned=classifier.learned_from(probe_set, seed, whole=part == "all"))


def _notes(count: int, probes: Probes, part: str, edited: bool, few: bool) -> list[str]:
    notes = [f"Measured on {count} of {len(probes)} probes (part: {part})."]
    if part == "all" and edited:
        notes.append(
            "If the edit was chosen on these probes, the figures flatter it. Use the part "
            "'report' with the seed that chose it, or other pictures."
        )
    if part == "report" and edited and few:
        notes.append(
            "So few probes are all used to choose a worst_group edit (cross-fitting): if they "
            "were, these figures flatter it."
        )
    return [*notes, *probes.empty_groups()]
