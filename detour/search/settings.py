"""What an edit is to be: one object each, read once and passed whole to where it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..checks import (
    LARGEST_SEED,
    MOST_WEIGHTS,
    read_degree,
    read_number,
    read_whole,
    require_choice,
)
from ..classifier.facts import read_class
from ..probes.features import NO_CLASSES
from ..probes.probe_set import read_attribute

if TYPE_CHECKING:
    from ..classifier.facts import Description
    from ..probes.probe_set import ProbeSet

METHODS = ("worst_group", "evidence", "paired", "mistakes")
SEARCHED = ("worst_group", "mistakes")
"""The methods that try sizes of edit on probes; the others are closed forms."""
AUTO = "auto"
SIZES = ("one_weight", "one_weight_bias", "k_weights_bias")
REMOVAL_SIZES = ("one_weight", "one_weight_bias", "bias_only")
KEEP_RIGHT, LEAST_KEPT = 0.95, 0.5
"""The guard of `mistakes` where none is named, and the lowest one: of the pictures that were right
at least this share must stay right."""


@dataclass(frozen=True)
class Search:
    """A search for the edit that takes a spurious feature out.

    method: one of `METHODS`. size: how many numbers may change, one of `SIZES`, or `auto`: the
    smallest edit that is not clearly worse than the best, of a search none where no gain is sure
    (the closed forms know no k weights).
    target_class: the row to edit, None as the method chooses. degree: 0 none, 1 as found.
    max_weights: the k of `k_weights_bias`; it ends where more do not help. attribute: the
    spurious feature, all others are "without". split_seed: which probes choose and which report.
    auto_degree: "as found" is for `evidence` the degree that is best on the validation part.
    keep_right: the guard of `mistakes`, a share from `LEAST_KEPT` to 1 of the right pictures of
    the edited class and of the others.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    method: str = "worst_group"
    size: str = AUTO
    target_class: int | None = None
    degree: float = 1.0
    max_weights: int = 3
    attribute: int = 1
    split_seed: int = 0
    auto_degree: bool = True
    keep_right: float = KEEP_RIGHT

    def __post_init__(self) -> None:
        require_choice("method", self.method, METHODS)
        require_choice("edit", self.size, (AUTO, *SIZES))
        if self.method != "worst_group" and self.size == "k_weights_bias":
            raise ValueError(
                f"The edit is 'k_weights_bias', but the method '{self.method}' knows auto, "
                "one_weight and one_weight_bias only. Use the method 'worst_group' for more "
                "weights."
            )
        put = object.__setattr__  # some controls give 3.0 for 3
        put(self, "degree", read_degree(self.degree))
        put(self, "max_weights", read_whole("max_weights", self.max_weights, 1, MOST_WEIGHTS))
        put(self, "split_seed", read_whole("split_seed", self.split_seed, 0, LARGEST_SEED))
        keep = float(read_number("keep_right", self.keep_right, LEAST_KEPT, 1))
        put(self, "keep_right", round(keep, 6))  # sliders give 70 * 0.01, above seven of ten


def read_search(
    description: Description,
    probe_set: ProbeSet,
    *,
    target_class: str | None = "",
    attribute: str | None = "",
    **settings: Any,
) -> Search:
    """The search that is meant by what was typed: a class and an attribute by name or number.

    Empty text: the class that the method chooses, the attribute that is not "without".
    settings: the other fields of `Search`. Raises ValueError for names that do not exist, and
    for probes without classes where the method needs them: before anything is computed.
    """
    search = Search(
        target_class=read_class(description, target_class),
        attribute=read_attribute(probe_set.attribute_names, attribute),
        **settings,
    )
    if search.method not in ("paired", "mistakes") and not probe_set.class_names:
        raise ValueError(NO_CLASSES)
    return search


@dataclass(frozen=True)
class RemovalSearch:
    """A search for the edit after which a class is predicted no longer.

    size: one of `REMOVAL_SIZES`; `one_weight_bias` uses the bias only if one weight is not
    enough. The others as in `Search`; errors too.
    """

    target_class: int
    size: str = "one_weight"
    degree: float = 1.0
    split_seed: int = 0

    def __post_init__(self) -> None:
        require_choice("edit", self.size, REMOVAL_SIZES)
        put = object.__setattr__
        put(self, "degree", read_degree(self.degree))
        put(self, "split_seed", read_whole("split_seed", self.split_seed, 0, LARGEST_SEED))


def read_removal(
    description: Description, *, target_class: str | None, **settings: Any
) -> RemovalSearch:
    """The removal that is meant by what was typed, as `read_search`."""
    row = read_class(description, target_class)
    if row is None:
        raise ValueError("No class to remove was chosen: choose one, or write its label or number.")
    return RemovalSearch(row, **settings)
