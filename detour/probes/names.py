"""Names that people give to classes and attributes, as the numbers that probes carry."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from ..checks import folded_name, listed, quoted
from ..classifier.facts import Description

ABSENT_NAMES = ("-1", "0", "absent", "false", "no", "none", "off", "plain", "without")
ABSENT_WORDS = ("no", "non", "not", "without")
"""A name that begins with one of these words says that something is not there."""


def says_absent(name: str) -> bool:
    """Whether a name says that the attribute is missing: `none`, `0`, `no_glasses`."""
    plain = folded_name(name)
    return plain in ABSENT_NAMES or re.split(r"[\s_-]+", plain)[0] in ABSENT_WORDS


def attribute_order(names: Iterable[str]) -> tuple[str, ...]:
    """The attributes by their numbers: those that say "absent" first, so that 1 is "present".

    Otherwise numbers by size, then names in alphabetical order.
    """

    def place(name: str) -> tuple[bool, float, str, str]:
        number = int(name) if re.fullmatch("-?[0-9]{1,9}", name) else math.inf
        return not says_absent(name), number, name.casefold(), name

    return tuple(sorted(set(names), key=place))


def class_numbers(names: Sequence[str], description: Description) -> list[int]:
    """The classifier's class of each name. Raises ValueError with its labels if one is unknown."""
    numbers = {name: description.index_of(name) for name in dict.fromkeys(names)}
    return [numbers[name] for name in names]


def only_tag(description: Description, tag: str) -> int:
    """The tag that is named, else the only one of a sigmoid classifier, where the pictures'
    classes do not tell it. Raises ValueError where several are left."""
    labels = list(description.labels)
    if not tag and len(labels) > 1:
        raise ValueError(
            f"This classifier has {len(labels)} tags and the probes have no classes: name the tag "
            f"to look at as the target class, one of {listed(labels)}."
        )
    return description.index_of(tag or labels[0])


def tag_numbers(
    names: Sequence[str], description: Description, tag: str = ""
) -> tuple[int, list[int]]:
    """(the tag, 1 or 0 for each name: tag present or absent) for a sigmoid classifier.

    The tag is the one that is named, else the class name that is one of the labels, else the
    only label there is. A class of the tag's name is "present" and every other one "absent";
    with two other names, of which one says absent (`no`, `0`, ...), the other is "present".

    Raises ValueError where that leaves the tag open.
    """
    known = list(dict.fromkeys(names))
    labels = [folded_name(label) for label in description.labels]
    tags = [name for name in known if labels.count(folded_name(name)) == 1]
    if not tag and len(tags) > 1:
        raise ValueError(
            f"Several classes of the probes are tags of this classifier ({listed(tags)}): "
            "name the one to look at as the target class, or call the other pictures something "
            "that is no tag, such as 'other'."
        )
    if not tag and not tags and len(labels) > 1:
        raise ValueError(
            f"None of the probes' classes ({listed(known, 4)}) is a tag of this classifier: give "
            f"the pictures with the tag its name as their class, one of "
            f"{listed(description.labels)}."
        )
    index = description.index_of(tag or (tags[0] if tags else description.labels[0]))
    present = {name for name in known if folded_name(name) == labels[index]}
    if not present and len(known) == 2 and says_absent(known[0]) != says_absent(known[1]):
        present = {name for name in known if not says_absent(name)}
    if not present:
        raise ValueError(
            f"None of the probes' classes ({listed(known, 4)}) is "
            f"{quoted(description.labels[index])}: give the pictures with this tag its name as "
            "their class."
        )
    return index, [int(name in present) for name in names]
