"""From probes to a removed class: choose, record, measure on probes that did not choose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..user_input import quoted
from .change import Change
from .edit import Edit, EditStack, edit_of
from .evaluate import predictions, stack_logits
from .metrics import apart, share_interval
from .neutralize import with_edits
from .parts import Parts, split_parts
from .probes import Probes
from .removal import Removal, remove_class
from .search import Progress

SIZES = ("one_weight", "one_weight_bias", "bias_only")


@dataclass(frozen=True)
class ClassRate:
    """How many of a class's pictures in the report part are predicted as that class.

    before, after: unedited and with the edit. bias_only: with the rival, None for heads
    without a bias. units: of how many photos or seeds the pictures are.
    """

    name: str
    index: int
    count: int
    before: int
    after: int
    bias_only: int | None
    units: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval (Wilson) of after / count, by photo or seed."""
        return share_interval(self.after, self.count, self.units)


@dataclass(frozen=True, eq=False)
class Removed:
    """A class removed on top of its stack.

    sizes: probes to choose, validate and report on. chosen_before, chosen_after: predicted as
    the class on the choosing part. unseen_before, unseen_after, unseen_bias: the same on the
    report part. rates: per class of the report part, empty for probes without classes. All
    are counts of the float32 head at the edit's degree; the rival is at degree 1. units: of how
    many photos or seeds the report part is.
    """

    stack: EditStack
    removal: Removal
    edit_size: str
    class_name: str
    sizes: tuple[int, int, int] = (0, 0, 0)
    chosen_before: int = 0
    chosen_after: int = 0
    unseen_before: int = 0
    unseen_after: int = 0
    unseen_bias: int | None = None
    rates: tuple[ClassRate, ...] = ()
    notes: tuple[str, ...] = ()
    units: int = 0

    @property
    def edit(self) -> Edit:
        """The new edit."""
        return self.stack.edits[-1]

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval (Wilson) of the share of unseen pictures still predicted as the class,
        by photo or seed."""
        return share_interval(self.unseen_after, self.sizes[2], self.units)


def removed(
    probes: Probes,
    stack: EditStack,
    class_index: int,
    edit: str = "one_weight",
    degree: float = 1.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Removed:
    """Remove a class on top of the edits there are; it changes predictions only.

    probes: with the *unedited* head. edit: one of `SIZES`; `one_weight_bias` uses the bias only
    if one weight is not enough. Raises ValueError for an unknown `edit` or class, a part
    without probes, and a bias shift of a head without one.
    """
    if edit not in SIZES:
        raise ValueError(f"The edit is {quoted(edit)}; known are {', '.join(SIZES)}.")
    now = with_edits(probes, stack)
    parts = split_parts(now, seed)
    if len(parts.report) == 0:
        raise ValueError("No probes are left to report on. Add pictures or change the split.")
    validate = parts.validate if len(parts.validate) else parts.choose
    removal = remove_class(now, class_index, parts.choose, validate, progress=progress)
    change, notes = _pick(removal, edit)
    notes += _unknown(probes)
    label = 1 if probes.threshold is not None else class_index
    name = dict(enumerate(probes.class_names)).get(label, f"class {label}")
    about = {"method": "remove_class", "class_name": name, "degree": degree}
    pushed = stack.push(edit_of(change, _weight(probes), probes.bias, **about))
    return _measured(probes, now, Removed(pushed, removal, edit, name, notes=notes), parts, label)


def _measured(probes: Probes, now: Probes, done: Removed, parts: Parts, label: int) -> Removed:
    before, after = predictions(now, now.z), predictions(now, stack_logits(probes, done.stack))
    rival = None
    if probes.bias is not None:
        shift = edit_of(done.removal.bias_only, _weight(probes), probes.bias)
        rival = predictions(now, stack_logits(probes, done.stack.undo().push(shift)))

    def count(found: Tensor, rows: Tensor) -> int:
        return int((found[rows] == label).sum())

    return replace(
        done,
        sizes=(len(parts.choose), len(parts.validate), len(parts.report)),
        chosen_before=count(before, parts.choose),
        chosen_after=count(after, parts.choose),
        unseen_before=count(before, parts.report),
        unseen_after=count(after, parts.report),
        unseen_bias=None if rival is None else count(rival, parts.report),
        rates=_rates(now, before, after, rival, parts.report),
        units=apart(now.unit_numbers[parts.report]),
    )


def _pick(removal: Removal, edit: str) -> tuple[Change, tuple[str, ...]]:
    """The change of the wanted size, and what is to be said about it."""
    none = Change(removal.change.row)
    if removal.predicted == 0:
        note = "No probe to choose on is predicted as this class: nothing was edited."
        return none, (note,)
    if edit == "bias_only":
        return removal.bias_only, ("A bias shift always works on the probes it was chosen on.",)
    if removal.feasible:
        if edit == "one_weight_bias":
            return removal.change, ("One weight is enough: the bias was left alone.",)
        return removal.change, ()
    if edit == "one_weight_bias":
        return removal.with_bias or removal.bias_only, ()
    return removal.change, (
        f"One weight cannot remove this class: {removal.remaining} of {removal.predicted} probes "
        "to choose on are still predicted as it at degree 1, the fewest that one weight reaches. "
        "Choose the edit one_weight_bias to remove them too.",
    )


def _rates(
    now: Probes, before: Tensor, after: Tensor, rival: Tensor | None, rows: Tensor
) -> tuple[ClassRate, ...]:
    truth = now.partly if now.classes is None else now.classes
    if truth is None:
        return ()
    names = dict(enumerate(now.class_names))
    y = torch.as_tensor(truth)[rows]

    def right(found: Tensor, index: int) -> int:
        return int((found[rows][y == index] == index).sum())

    return tuple(
        ClassRate(
            name=names.get(index, f"class {index}"),
            index=index,
            count=int((y == index).sum()),
            before=right(before, index),
            after=right(after, index),
            bias_only=None if rival is None else right(rival, index),
            units=apart(now.unit_numbers[rows][y == index]),
        )
        for index in y.unique().tolist()
        if index >= 0
    )


def _unknown(probes: Probes) -> tuple[str, ...]:
    if probes.partly is None:
        return ()
    count = int((torch.as_tensor(probes.partly) < 0).sum())
    return (
        f"{count} of {len(probes)} probes are of classes that this classifier does not know. They "
        "take part in choosing and in the counts of all, but in the rate of no class.",
    )


def _weight(probes: Probes) -> Tensor:
    if probes.weight is None:
        raise ValueError("These probes carry logits only. Give them the head (weight, bias).")
    return probes.weight
