"""The search for an edit with the settings that people make, the same in every host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..schedule import require_choice
from ..user_input import (
    LARGEST_SEED,
    MOST_WEIGHTS,
    read_attribute,
    read_class,
    read_degree,
    read_whole,
)
from .edit import EditStack
from .ladder import EDITS
from .nested import AUTO
from .neutralize import METHODS, Neutralized
from .probes import NO_CLASSES, Probes
from .with_ladder import neutralize_with_ladder

if TYPE_CHECKING:
    from ..classifier import Description


@dataclass(frozen=True)
class EditSearch:
    """The settings of one search; `neutralize_with_ladder` says what they mean.

    size: how many numbers may change, `auto` or one of `EDITS`. target_class, attribute: as
    typed, a name or a number; empty = as the method chooses, and attribute 1.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    method: str = "worst_group"
    size: str = AUTO
    target_class: str = ""
    degree: float = 1.0
    max_weights: int = 3
    attribute: str = ""
    split_seed: int = 0
    auto_degree: bool = True

    def __post_init__(self) -> None:
        require_choice("method", self.method, METHODS)
        require_choice("edit", self.size, (AUTO, *EDITS))
        put = object.__setattr__  # some controls give 3.0 for 3
        put(self, "degree", read_degree(self.degree))
        put(self, "max_weights", read_whole("max_weights", self.max_weights, 1, MOST_WEIGHTS))
        put(self, "split_seed", read_whole("split_seed", self.split_seed, 0, LARGEST_SEED))

    def run(
        self,
        description: Description,
        attribute_names: Sequence[str],
        class_names: Sequence[str],
        see: Callable[[], Probes],
        stack: EditStack,
        progress: Callable[[float], None],
    ) -> tuple[Probes, Neutralized]:
        """The probes, and the edit on top of the stack.

        description: of the classifier. attribute_names, class_names: of the probes. see:
        computes their features; it is called once the class and the attribute are known to
        exist, and classes where the method needs them, since it takes long.
        """
        present = read_attribute(attribute_names, self.attribute)
        row = read_class(description, self.target_class)
        if self.method != "paired" and not class_names:
            raise ValueError(NO_CLASSES)
        probes = see()
        done = neutralize_with_ladder(
            probes,
            stack,
            self.method,
            self.size,
            row,
            self.max_weights,
            self.degree,
            present,
            self.split_seed,
            self.auto_degree,
            progress,
        )
        return probes, done

    def feature(self, probes: Probes) -> str:
        """What the probes call the spurious feature."""
        return probes.attribute_name(read_attribute(probes.attribute_names, self.attribute))
