"""Probes in words and in small pictures, so that a wrong label is seen before it is used."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..checks import counted, listed
from ..probes.labels import RIGHT_WRONG
from ..probes.pictures import Kept
from ..probes.probe_set import FEW, ProbeSet
from ..search.linear_head import LinearHead
from .sheet import Sheet, draw_sheet, in_square

SHOWN = 6
"""Pictures of each group in the preview."""
MOST_ROWS = 40
"""Groups in the preview."""
MOST_LINES = 200
"""Groups in the report."""
MOST_MISSING = 20
_CELL = 128


def describe_probes(probes: ProbeSet) -> str:
    """A table of the groups with their counts, and a sentence for whatever is missing."""
    groups = probes.counts()
    lines = [f"{len(probes)} probe pictures in {len(groups)} groups"]
    shown = list(groups.items())[:MOST_LINES]
    lines += [f"  {count:6}  {group_title(*group)}" for group, count in shown]
    if len(groups) > MOST_LINES:
        lines.append(f"  and {len(groups) - MOST_LINES} more groups")
    names = probes.attribute_names
    if len(names) == 2 and names != RIGHT_WRONG:
        lines.append(f"'{names[1]}' is taken for the feature, '{names[0]}' for its absence.")
    units = {unit for unit in probes.units if unit}
    if units:
        lines.append(f"{len(units)} units: pictures of one seed or photo stay together.")
    kept = sum(isinstance(source, Kept) for source in probes.sources)
    if kept:
        lines.append(f"Of {kept} pictures only features and thumbnails are kept.")
    return "\n".join([*lines, *_twice(probes), *probes.notes, *warnings(probes)])


def _twice(probes: ProbeSet) -> list[str]:
    """Sentences about pictures that are in the set more than once."""
    again = [(n, first) for n, first in enumerate(probes.first_of_same) if n != first]
    labels = list(zip(probes.classes, probes.attributes, strict=True))
    other = [pair for pair in again if labels[pair[0]] != labels[pair[1]]]
    apart = [pair for pair in again if probes.splits[pair[0]] != probes.splits[pair[1]]]
    found = []
    if again:
        found.append(
            f"{counted(len(again), 'picture')} in the set more than once "
            f"({_named(probes, again)}): they stay together like those of one photo."
        )
    if other:
        found.append(
            f"{counted(len(other), 'picture')} with different labels ({_named(probes, other)}): "
            "only one can be right, correct the others."
        )
    if apart:
        found.append(
            f"{counted(len(apart), 'picture')} in two parts ({_named(probes, apart)}): what "
            "chooses an edit would judge it, put them into one part (split)."
        )
    return found


def _named(probes: ProbeSet, pairs: Sequence[tuple[int, int]]) -> str:
    """Which pictures are which others."""
    return listed([f"{_name(probes, n)} = {_name(probes, first)}" for n, first in pairs], 3)


def _name(probes: ProbeSet, number: int) -> str:
    source = probes.sources[number]
    return source.name if isinstance(source, Path) else f"picture {number + 1}"


def describe_head(head: LinearHead, labels: tuple[str, ...]) -> str:
    """A fitted head in words: held-out accuracy, overall and per group, with intervals."""
    share, low, high = head.share
    metrics = head.metrics
    lines = [
        f"{len(labels)} classes: {', '.join(labels)}",
        f"Fitted on {head.fitted} pictures, judged on {head.held_out} others.",
        "On those that it was fitted on it looks better: evaluate it on the part 'report', or on "
        "other pictures.",
        f"Held-out accuracy {share:.1%} (95 % interval {low:.1%} to {high:.1%}); worst group "
        f"{metrics.worst:.1%}{metrics.of_groups}, mean over groups {metrics.mean:.1%}",
    ]
    for name, count, accuracy, low, high in zip(
        metrics.names, metrics.counts, metrics.accuracy, metrics.low, metrics.high, strict=True
    ):
        if accuracy is not None:
            lines.append(f"  {accuracy:6.1%} ({low:.1%} to {high:.1%})  n = {count:4}  {name}")
    lines.append(f"Strength of the regularisation, by cross-validation: {head.strength:g}")
    return "\n".join([*lines, *head.notes])


def warnings(probes: ProbeSet) -> list[str]:
    """What will stop or weaken an edit that is chosen on these probes; one sentence each."""
    if set(probes.attributes) <= set(RIGHT_WRONG):
        return ["These are for the method 'mistakes': the more wrong ones, the surer its proof."]
    found = []
    groups, names = probes.counts(), probes.attribute_names
    if len(names) == 1:
        found.append(
            f"All pictures have the attribute '{names[0]}': add pictures without it, nothing can "
            "be compared yet."
        )
    if not probes.class_names:
        found.append(
            "The pictures have no classes: only the methods 'paired' and 'mistakes' and the "
            "removal of a class can use them."
        )
    elif len(probes.class_names) == 1:
        found.append(
            f"All pictures are of the class '{probes.class_names[0]}': add pictures of another "
            "class; without them only the methods 'paired' and 'evidence' work."
        )
    found += _missing(probes)
    few = [group for group, count in groups.items() if count < FEW]
    if few:
        found.append(
            f"{len(few)} of {len(groups)} groups have fewer than {FEW} pictures: their accuracy "
            "will only be known roughly, see the intervals."
        )
    return found


def _missing(probes: ProbeSet) -> list[str]:
    """A sentence for each of the first groups without pictures, and one for all others."""
    classes, names, groups = probes.class_names, probes.attribute_names, probes.counts()
    pairs = ((name, attribute) for name in classes for attribute in names)
    without = (pair for pair in pairs if pair not in groups)
    found = [
        f"There are no pictures of ({name}, {attribute})."
        for name, attribute in itertools.islice(without, MOST_MISSING)
    ]
    more = len(classes) * len(names) - len(groups) - len(found) if classes else 0
    return [*found, f"There are none of {more} more groups."] if more else found


def preview(probes: ProbeSet) -> Image.Image:
    """A sheet with a row for each of the first groups and its first pictures in it."""
    groups = list(probes.counts())
    members: dict[tuple[str, str], list[int]] = {group: [] for group in groups[:MOST_ROWS]}
    for number, group in enumerate(zip(probes.classes, probes.attributes, strict=True)):
        if group in members and len(members[group]) < SHOWN:
            members[group].append(number)
    rows = [
        [in_square(Image.fromarray(small.numpy()), _CELL) for small in probes.thumbnails(numbers)]
        for numbers in members.values()
    ]
    more = len(groups) - len(members)
    told = f"and {more} more groups" if more else ""
    return draw_sheet(Sheet(rows, row_labels=[group_title(*group) for group in members], told=told))


def group_title(name: str, attribute: str) -> str:
    """A group in words."""
    return f"{name}, {attribute}" if name else attribute
