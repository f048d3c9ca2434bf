"""`ProbeSet`: labelled probe pictures before a classifier saw them, or what was kept of them;
from folders or from image batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ..checks import is_number, is_text, listed, plain_name, quoted
from ..classifier.facts import Description
from ..classifier.model import ImageClassifier
from .features import Probes
from .names import attribute_order, class_numbers, only_tag, tag_numbers
from .pictures import Kept, Source, compute_features, make_thumbnail, whole_pictures
from .same_pictures import first_of_same, joined_units

SPLITS = ("choose", "validate", "report")
LONGEST_NAME = 255
"""Letters in the name of a class or an attribute: they stand in every report and chart."""
FEW = 50
"""Under so many pictures of a group its accuracy is known to some +-14 points at the best."""
Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all); what it raises stops the work."""


@dataclass(frozen=True, eq=False)
class ProbeSet:
    """N labelled pictures.

    sources: the pictures. attributes: for each the name of its attribute, for example `hat`
        or `no hat`. classes: for each the name of its true class; all empty where it is not
        known (only the methods `paired` and `mistakes` can use them then).
    units: for each the photo or seed that it comes from; empty = it stands alone.
    splits: `choose`, `validate` or `report` for each; empty = split later.
    notes: sentences about how they were found.

    Raises ValueError with one sentence for what does not fit together.
    """

    sources: tuple[Source, ...]
    attributes: tuple[str, ...]
    classes: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    _computed: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)
    """Features by the hash of their backbone: what two nodes ask for is computed once."""

    def __post_init__(self) -> None:
        count = len(self.sources)
        if count == 0:
            raise ValueError("There are no probe pictures: give at least one.")
        for name in ("classes", "units", "splits"):
            if not getattr(self, name):
                object.__setattr__(self, name, ("",) * count)
        for name in ("attributes", "classes", "units", "splits"):
            if len(getattr(self, name)) != count:
                raise ValueError(
                    f"There are {count} probe pictures and {len(getattr(self, name))} {name}: "
                    "each picture needs one."
                )
        for name in ("attributes", "classes"):
            object.__setattr__(self, name, tuple(map(plain_name, getattr(self, name))))
        _check_sources(self.sources)
        _check_names(self.attributes, self.classes, self.splits)
        _check_parts(self.units, self.splits)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes by their numbers; 0 is the one without the feature."""
        return attribute_order(self.attributes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in order of appearance; empty where the pictures have none."""
        return tuple(name for name in dict.fromkeys(self.classes) if name)

    def counts(self) -> dict[tuple[str, str], int]:
        """Pictures in each group (class, attribute) that has any, in a fixed order."""
        found = Counter(zip(self.classes, self.attributes, strict=True))
        names = self.class_names or ("",)
        classes, attributes = _places(names), _places(self.attribute_names)
        order = sorted(found, key=lambda group: (classes[group[0]], attributes[group[1]]))
        return {group: found[group] for group in order}

    def need_classes(self) -> None:
        """Raises ValueError where the classes are not known: then there are no groups."""
        if not self.class_names:
            raise ValueError(
                "These probes have no classes, and a group is a class with or without the "
                "feature: say what each picture shows (sub-folders class/attribute, the column y "
                "of metadata.csv, or a class name), for a tagger the tag's name or another word."
            )

    def chain(self, more: ProbeSet) -> ProbeSet:
        """The pictures of both; equal units are the same photo or seed.

        Raises ValueError if only one of them has classes or parts.
        """
        return ProbeSet(
            self.sources + more.sources,
            self.attributes + more.attributes,
            self.classes + more.classes,
            self.units + more.units,
            self.splits + more.splits,
            tuple(dict.fromkeys(self.notes + more.notes)),
        )

    def shares_pictures(self, other: ProbeSet) -> bool:
        """Whether any picture is in both: the same file, by whatever name, or the same tensor."""
        return not set(map(_identity, self.sources)).isdisjoint(map(_identity, other.sources))

    def same_as(self, other: ProbeSet) -> bool:
        """Whether both are the same pictures with the same labels, and so are split alike."""
        names = ("attributes", "classes", "units", "splits")
        alike = all(getattr(self, name) == getattr(other, name) for name in names)
        return alike and [*map(_identity, self.sources)] == [*map(_identity, other.sources)]

    def thumbnails(self, numbers: list[int]) -> list[Tensor]:
        """Small pictures `[h, w, 3]`, uint8, of the probes with these numbers."""
        return [make_thumbnail(self.sources[number]) for number in numbers]

    def features(
        self,
        features: Callable[[Tensor], Tensor],
        backbone: str,
        progress: Progress | None = None,
    ) -> Tensor:
        """Features `[N, D]` on the CPU: those kept, the others by a function of IMAGE batches.

        backbone: hash of the network behind the function. What was computed is remembered.
        Raises ValueError where only the features of another backbone were kept.
        """
        if backbone not in self._computed:
            foreign = {s.backbone for s in self.sources if isinstance(s, Kept)} - {backbone}
            if foreign:
                raise ValueError(
                    "The probes keep features of another network (hash "
                    f"{min(foreign)[:12]}, this one is {backbone[:12]}), and no pictures: "
                    "connect the network that they were made with, or make the probes again."
                )
            pictures = [s for s in self.sources if not isinstance(s, Kept)]
            found = iter(compute_features(pictures, features, progress)) if pictures else iter(())
            rows = [s.features if isinstance(s, Kept) else next(found) for s in self.sources]
            self._computed[backbone] = torch.stack(rows)
        return self._computed[backbone]

    def keep(self, features: Tensor, backbone: str) -> ProbeSet:
        """The same probes with features `[N, D]` and thumbnails in place of the pictures."""
        rows = zip(features, self.sources, strict=True)
        kept = tuple(Kept(row, backbone, make_thumbnail(source)) for row, source in rows)
        return ProbeSet(kept, self.attributes, self.classes, self.units, self.splits, self.notes)

    def probes(
        self,
        classifier: ImageClassifier,
        features: Callable[[Tensor], Tensor],
        *,
        backbone: str = "",
        tag: str = "",
        progress: Progress | None = None,
        strict: bool = True,
    ) -> Probes:
        """The probes with the features of a classifier's backbone, and its head.

        features: computes features `[B, D]` of IMAGE batches. backbone: the hash, where it is
        known already. tag: of a sigmoid classifier, the one to look at; where it is empty the
        class that is one of its labels (see `tag_numbers`). strict: classes that the classifier
        does not know are refused; otherwise those that it knows are `Probes.partly`.

        Raises ValueError for a class that the classifier does not know, if strict.
        """
        description, partly = classifier.description, None
        try:
            index, numbers = self._numbers(description, tag)
        except ValueError:
            if strict:
                raise
            index, numbers, partly = self._partly(description, tag)
        names = classifier.labels
        if index is not None:
            names = (f"no {names[index]}", names[index])
        backbone = backbone or classifier.backbone_hash()
        order = self.attribute_names
        return Probes(
            self.features(features, backbone, progress),
            [order.index(name) for name in self.attributes],
            numbers,
            weight=classifier.weight,
            bias=classifier.bias,
            units=self._unit_keys(),
            split=[SPLITS.index(name) for name in self.splits] if self.splits[0] else None,
            threshold=None if index is None else description.threshold,
            tag=index,
            class_names=names,
            attribute_names=order,
            backbone=backbone,
            partly=partly,
        )

    def _partly(
        self, description: Description, tag: str
    ) -> tuple[int | None, None, list[int] | None]:
        """As `_numbers` without classes, and the class of each picture, -1 where it is unknown;
        of a tag that is none of the classes nothing is known."""
        if description.activation == "sigmoid":
            return only_tag(description, tag), None, None
        numbers = {name: _class_or_none(name, description) for name in self.class_names}
        return None, None, [numbers[name] for name in self.classes]

    def _numbers(self, description: Description, tag: str) -> tuple[int | None, list[int] | None]:
        """(the tag of a sigmoid classifier, the class of each picture), or None for either."""
        if description.activation != "sigmoid":
            return None, class_numbers(self.classes, description) if self.class_names else None
        if not self.class_names:
            return only_tag(description, tag), None
        return tag_numbers(self.classes, description, tag)

    @cached_property
    def first_of_same(self) -> list[int]:
        """For each picture the number of the first one that is the same."""
        return first_of_same(self.sources)

    def _unit_keys(self) -> list[Hashable] | None:
        units = [unit or number for number, unit in enumerate(self.units)]
        together = joined_units(units, self.first_of_same)
        return together if any(self.units) or together != units else None


def _class_or_none(name: str, description: Description) -> int:
    """The classifier's class of a name, -1 if it has none, or several."""
    try:
        return description.index_of(name)
    except ValueError:
        return -1


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _identity(source: Source) -> Hashable:
    return source if isinstance(source, Path) else id(source)


def _check_sources(sources: tuple[Source, ...]) -> None:
    for number, source in enumerate(sources):
        if isinstance(source, Tensor) and source.ndim != 3:
            raise ValueError(
                f"Probe picture {number + 1} is {list(source.shape)}; it must be [height, width, "
                "channels]."
            )
        if not isinstance(source, (Tensor, Path, Kept)):
            raise ValueError(f"Probe picture {number + 1} is {type(source).__name__}, no picture.")


def _check_parts(units: tuple[str, ...], splits: tuple[str, ...]) -> None:
    """One photo in two parts would be judged by an edit that it chose itself."""
    part: dict[str, str] = {}
    for unit, split in zip(units, splits, strict=True):
        if unit and part.setdefault(unit, split) != split:
            raise ValueError(
                f"Pictures of the unit {quoted(unit)} are in the parts {part[unit]} and {split}: "
                "put all pictures of one photo or seed into one part (split)."
            )


def _check_names(
    attributes: tuple[str, ...], classes: tuple[str, ...], splits: tuple[str, ...]
) -> None:
    if not all(name.strip() for name in attributes):
        raise ValueError(
            "A probe picture has no attribute: say what it shows, for example 'hat', and "
            "'no hat' for those without."
        )
    for name in {*attributes, *classes}:
        if len(name) > LONGEST_NAME or not is_text(name):
            raise ValueError(
                f"The name {quoted(name)} of a class or attribute has more than {LONGEST_NAME} "
                "letters, or some that are none: write a shorter one."
            )
    for name, values in (("class", classes), ("part (split)", splits)):
        if any(values) and not all(values):
            raise ValueError(
                f"{sum(not v for v in values)} of {len(values)} probe pictures have no {name}, "
                "the others do: give it to all of them or to none."
            )
    unknown = set(filter(None, splits)) - set(SPLITS)
    if unknown:
        raise ValueError(f"The part {quoted(min(unknown))} is unknown: use {', '.join(SPLITS)}.")


ALONE = -1
"""`unit_start` for pictures that belong to no others."""


def batch_probes(images: Tensor, class_name: str, attribute: str, unit_start: int) -> ProbeSet:
    """Probes of one group from an IMAGE batch `[B, H, W, C]` in 0..1.

    class_name: may be empty. unit_start: the unit (seed) of the first picture; the others
    count up from it. -1: each picture stands alone.

    Raises ValueError for what is no image batch, for an empty one and for NaN.
    """
    pictures = whole_pictures([images])
    count = len(pictures)
    units = range(unit_start, unit_start + count) if unit_start != ALONE else ()
    return ProbeSet(
        pictures,
        (attribute.strip(),) * count,
        (class_name.strip(),) * count,
        tuple(str(unit) for unit in units),
    )


def read_attribute(names: Sequence[str], text: str | None) -> int:
    """The attribute with this name or number: the spurious feature.

    names: those of the probes, in their order. Empty text: attribute 1, the one that is not
    "without".
    """
    wanted = (text or "").strip()
    if not wanted:
        return 1
    if wanted in names:
        return list(names).index(wanted)
    if is_number(wanted) and int(wanted) < len(names):
        return int(wanted)
    raise ValueError(
        f"attribute is {quoted(wanted)}; the probes have {listed(names)} (or their numbers from 0)."
    )
