"""Probe pictures: cached features with a class and an attribute, checked once and read piece
by piece."""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..classifier.head import Head

NO_CLASSES = (
    "These probes carry no classes. Only the methods 'paired' and 'mistakes' work without; give "
    "every probe its class for the others."
)


@dataclass(frozen=True, eq=False)
class Probes:
    """N probe pictures as the last linear layer sees them: `z = W a + b`.

    features: `[N, D]` float, the layer's input; a torch tensor or a numpy array (may be
        memory-mapped, it is only ever read in pieces).
    attributes: `[N]` integers from 0; 0 = without the spurious feature, 1 = with it.
    classes: `[N]` integers from 0, the true class; `None` is accepted by `paired` and `mistakes`
        only.
    weight, bias: the head `[C, D]`, `[C]`. logits: `[N, C]`, computed from the head where
        it is given; without a head the logits must be.
    units: one photo name or seed per picture: what splits, bootstraps and pairs go by.
    split: `[N]`, 0 choose, 1 validate, 2 report; `None` splits by itself.
    threshold, tag: a sigmoid head with a cut-off. Classes then are 0/1 = tag absent/present.
    train_counts: training pictures per group, for the adjusted average (WILDS).
    backbone: hash of the network that made the features.
    partly: `[N]`, in place of `classes` where not all of them are known to the classifier: the
        class, or -1. Only reports on a removed class read it.
    device: where a search on them computes, see `on`.

    Groups are the pairs (class, attribute), numbered `class * n_attributes + attribute`
    (WILDS). Raises ValueError with a sentence for anything that does not fit.
    """

    features: Tensor | np.ndarray
    attributes: Tensor | Sequence[int]
    classes: Tensor | Sequence[int] | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    logits: Tensor | None = None
    units: Tensor | Sequence[Hashable] | None = None
    split: Tensor | Sequence[int] | None = None
    threshold: float | None = None
    tag: int | None = None
    train_counts: Sequence[float] | None = None
    class_names: Sequence[str] = ()
    attribute_names: Sequence[str] = ()
    backbone: str = ""
    partly: Tensor | Sequence[int] | None = None
    device: str = "cpu"
    n_classes: int = field(init=False, default=0)
    n_attributes: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        check_features(self.features)
        count = self.features.shape[0]
        put = object.__setattr__
        put(self, "attributes", integers(self.attributes, "attributes", count))
        self._check_head()
        put(self, "logits", finite(self._all_logits(), "logits"))
        self._check_threshold()
        put(self, "n_classes", 2 if self.is_tagged else self.z.shape[1])
        put(self, "n_attributes", max(2, int(self.a.max()) + 1))
        if self.classes is not None:
            classes = integers(self.classes, "classes", count)
            check_below(classes, "classes", self.n_classes)
            put(self, "classes", classes)
        if self.partly is not None:
            put(self, "partly", integers(torch.as_tensor(self.partly) + 1, "partly", count) - 1)
            check_below(torch.as_tensor(self.partly), "partly", self.n_classes)
        if self.split is not None:
            split = integers(self.split, "split", count)
            check_below(split, "split", 3)
            put(self, "split", split)
        if self.units is not None:
            put(self, "units", unit_numbers(self.units, count))
        self._check_train_counts()

    @cached_property
    def head(self) -> Head:
        """The head; ValueError if the probes carry logits only."""
        if self.weight is None:
            raise ValueError("These probes carry logits only. Give them the head (weight, bias).")
        return Head(self.weight, self.bias)

    @property
    def a(self) -> Tensor:
        """The attributes as a tensor `[N]`."""
        return torch.as_tensor(self.attributes)

    @property
    def y(self) -> Tensor:
        """The classes as a tensor `[N]`; ValueError if the probes carry none."""
        if self.classes is None:
            raise ValueError(NO_CLASSES)
        return torch.as_tensor(self.classes)

    @property
    def z(self) -> Tensor:
        """The logits `[N, C]` of the head as it is now."""
        assert isinstance(self.logits, Tensor)
        return self.logits

    @property
    def groups(self) -> Tensor:
        """The group of each probe, `[N]`: `class * n_attributes + attribute`."""
        return self.y * self.n_attributes + self.a

    @property
    def n_groups(self) -> int:
        """How many groups there can be, empty ones included."""
        return self.n_classes * self.n_attributes

    @property
    def unit_numbers(self) -> Tensor:
        """One number per unit, `[N]`; every picture is its own unit where none was given."""
        if self.units is None:
            return torch.arange(len(self))
        return torch.as_tensor(self.units)

    @property
    def cut(self) -> float | None:
        """The logit of the threshold, `None` for heads that take the largest logit."""
        if self.threshold is None:
            return None
        return math.log(self.threshold) - math.log1p(-self.threshold)

    @property
    def is_tagged(self) -> bool:
        """Whether they are about one tag of a sigmoid head; its rows move independently."""
        return self.tag is not None

    @property
    def is_binary(self) -> bool:
        """Whether the head knows two classes: then only the difference of its logits counts."""
        return not self.is_tagged and self.n_classes == 2

    def label(self, row: int) -> int:
        """The class that the row of the head stands for; that of a tag is 1, present."""
        return 1 if self.is_tagged else row

    def __len__(self) -> int:
        return self.features.shape[0]

    def columns(self, rows: Tensor, start: int, stop: int) -> Tensor:
        """Features `[len(rows), stop - start]` of some probes, float64, where `rows` are."""
        if isinstance(self.features, np.ndarray):
            block = self.features[:, start:stop][rows.cpu().numpy()]
            return torch.from_numpy(np.asarray(block, dtype=np.float64)).to(rows.device)
        return self.features[:, start:stop][rows].double()

    def cells(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Features `[len(rows), len(columns)]` of some probes, float64, where `rows` are."""
        if isinstance(self.features, np.ndarray):
            block = self.features[np.ix_(rows.cpu().numpy(), columns.cpu().numpy())]
            return torch.from_numpy(np.asarray(block, dtype=np.float64)).to(rows.device)
        return self.features[rows[:, None], columns].double()

    def on(self, device: str) -> Probes:
        """The same probes, with another device for searches on them; nothing is moved yet."""
        made = copy.copy(self)
        object.__setattr__(made, "device", device)
        return made

    def moved(self) -> Probes:
        """The same probes with what a search reads on their device, for as long as it takes; a
        numpy array stays in main memory and is read piece by piece."""
        made = copy.copy(self)
        for name in ("features", "attributes", "classes", "logits"):
            value = getattr(self, name)
            if isinstance(value, Tensor):
                object.__setattr__(made, name, value.to(self.device))
        return made

    def group_name(self, group: int) -> str:
        """A group in words, for reports and messages."""
        c, g = divmod(group, self.n_attributes)
        return f"{self.class_name(c)}, {self.attribute_name(g)}"

    def class_name(self, number: int) -> str:
        """A class in words."""
        known = number < len(self.class_names)
        return self.class_names[number] if known else f"class {number}"

    def attribute_name(self, attribute: int) -> str:
        """An attribute in words."""
        known = attribute < len(self.attribute_names)
        return self.attribute_names[attribute] if known else f"attribute {attribute}"

    def unmeasured(self, rows: Tensor) -> list[int]:
        """The groups that have probes, but none among `rows`."""
        every, some = (
            torch.bincount(groups, minlength=self.n_groups) > 0
            for groups in (self.groups, self.groups[rows])
        )
        return (every & ~some).nonzero().flatten().tolist()

    def empty_groups(self) -> list[str]:
        """A sentence for every group of the classes that occur which has no probes at all."""
        counts = torch.bincount(self.groups, minlength=self.n_groups).view(self.n_classes, -1)
        attributes = (counts.sum(0) > 0).nonzero().flatten().tolist()
        return [
            f"The group ({self.group_name(c * self.n_attributes + g)}) has no probes; it is "
            "left out of worst-group and mean accuracy."
            for c in (counts.sum(1) > 0).nonzero().flatten().tolist()
            for g in attributes
            if counts[c, g] == 0
        ]

    def _check_head(self) -> None:
        if self.weight is None:
            if self.bias is not None:
                raise ValueError("Probes have a bias but no weight. Give both, or logits only.")
            return
        width = self.features.shape[1]
        if self.weight.ndim != 2 or self.weight.shape[1] != width:
            raise ValueError(
                f"The head's weight has the shape {tuple(self.weight.shape)}, the features "
                f"have {width} columns. It must be [classes, {width}]: same backbone?"
            )
        weight = finite(self.weight, "the head's weight").cpu().float()
        object.__setattr__(self, "weight", weight)
        if self.bias is not None:
            if self.bias.shape != self.weight.shape[:1]:
                raise ValueError(
                    f"The head's bias has the shape {tuple(self.bias.shape)}, expected "
                    f"[{self.weight.shape[0]}]: one number per class."
                )
            bias = finite(self.bias, "the head's bias").cpu().float()
            object.__setattr__(self, "bias", bias)

    def _all_logits(self) -> Tensor:
        if self.weight is None:
            if self.logits is None:
                raise ValueError("Probes need the head (weight, bias) or the logits.")
            z = torch.as_tensor(self.logits).detach().cpu()
            if z.ndim != 2 or z.shape[0] != len(self) or z.shape[1] < 1:
                raise ValueError(
                    f"The logits have the shape {tuple(z.shape)}, expected [{len(self)}, classes]."
                )
            return z
        return linear(self.features, self.weight, self.bias)

    def _check_threshold(self) -> None:
        labels = self.z.shape[1]
        if self.threshold is None:
            if self.tag is not None:
                raise ValueError("A tag was given without a threshold. Set the threshold too.")
            if labels < 2:
                raise ValueError(
                    "The head has one output only and no threshold. Set the threshold "
                    "(0.5 for a plain sigmoid)."
                )
            return
        if not 0 < self.threshold < 1:
            raise ValueError(f"The threshold is {self.threshold}; it must lie between 0 and 1.")
        if self.tag is None or not 0 <= self.tag < labels:
            raise ValueError(f"The tag is {self.tag}; it must be a number from 0 to {labels - 1}.")

    def _check_train_counts(self) -> None:
        if self.train_counts is None:
            return
        counts = [float(v) for v in self.train_counts]
        bad = any(not math.isfinite(v) or v < 0 for v in counts) or sum(counts) <= 0
        if len(counts) != self.n_groups or bad:
            raise ValueError(
                f"train_counts is {counts}; it must be {self.n_groups} counts (one per group, "
                "class by class), none negative, not all 0."
            )
        object.__setattr__(self, "train_counts", tuple(counts))


CHUNK_BYTES = 64 * 2**20
"""Features are read in pieces of about this many bytes."""


def pieces(features: Tensor | np.ndarray) -> list[tuple[int, int]]:
    """Row ranges of the features of about `CHUNK_BYTES` each."""
    count, width = features.shape
    step = max(1, CHUNK_BYTES // (4 * width))
    return [(at, min(count, at + step)) for at in range(0, count, step)]


def linear(features: Tensor | np.ndarray, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Logits `[N, C]` of a head on all features, float32, read piece by piece."""
    w = weight.detach().cpu().float()
    b = None if bias is None else bias.detach().cpu().float()
    parts = [F.linear(float32(features, *piece), w, b) for piece in pieces(features)]
    return torch.cat(parts)


def float32(features: Tensor | np.ndarray, start: int, stop: int) -> Tensor:
    """Some rows of the features as float32."""
    if isinstance(features, np.ndarray):
        return torch.from_numpy(np.array(features[start:stop], dtype=np.float32))
    return features[start:stop].detach().float()


def check_features(features: Tensor | np.ndarray) -> None:
    """Refuse features that are not `[N, D]` finite floats in main memory."""
    if not isinstance(features, (Tensor, np.ndarray)):
        raise ValueError(
            f"The features are a {type(features).__name__}; a tensor or an array is needed."
        )
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(
            f"The features have the shape {tuple(features.shape)}, expected [pictures, features] "
            "with at least one of each."
        )
    array = isinstance(features, np.ndarray)
    floating = features.dtype.kind == "f" if array else features.dtype.is_floating_point
    if not floating or (not array and features.device.type != "cpu"):
        raise ValueError("The features must be floating-point numbers in main memory (cpu).")
    for start, stop in pieces(features):
        block = float32(features, start, stop)
        if not bool(torch.isfinite(block).all()):
            i, j = (~torch.isfinite(block)).nonzero()[0].tolist()
            raise ValueError(
                f"Feature {j} of probe {start + i} is {block[i, j].item()}. Remove that picture "
                "or compute its features again in float32."
            )


def finite(values: Tensor, what: str) -> Tensor:
    """The tensor itself, detached; refused unless it holds finite floats only."""
    if not values.dtype.is_floating_point or not bool(torch.isfinite(values).all()):
        raise ValueError(f"There is a NaN, an infinity or a non-float in {what}. Load it again.")
    return values.detach()


def integers(values: Tensor | Sequence[int], what: str, count: int) -> Tensor:
    """Whole numbers from 0, `[count]`, as a long tensor; anything else is refused."""
    tensor = torch.as_tensor(values).detach().cpu()
    if tensor.shape != (count,):
        raise ValueError(
            f"{what} has the shape {tuple(tensor.shape)}, expected [{count}]: one per picture."
        )
    if tensor.dtype == torch.bool:
        tensor = tensor.long()
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        raise ValueError(f"{what} holds {tensor.dtype} numbers; whole numbers are needed.")
    if int(tensor.min()) < 0:
        raise ValueError(f"{what} holds {int(tensor.min())}; numbers start at 0.")
    return tensor.long()


def check_below(values: Tensor, what: str, limit: int) -> None:
    """Refuse numbers at or above the limit."""
    if int(values.max()) >= limit:
        raise ValueError(
            f"{what} holds {int(values.max())}; the largest number that fits is {limit - 1}."
        )


def unit_numbers(units: Tensor | Sequence[Hashable], count: int) -> Tensor:
    """One number per distinct name, in order of appearance, `[count]`."""
    names: list[Hashable] = units.tolist() if isinstance(units, Tensor) else list(units)
    if len(names) != count:
        raise ValueError(f"There are {len(names)} units for {count} pictures: one each is needed.")
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([number[name] for name in names])
