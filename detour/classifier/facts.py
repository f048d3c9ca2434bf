"""What a classifier is, apart from its weights (labels, preprocessing, activation), and what a
file says about it: safetensors metadata or a JSON file beside it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..checks import folded_name, is_number, is_text, listed, quoted
from .preprocess import FIRST_FIELDS, Preprocessing
from .resizing import enlarged
from .timm_config import options_text, timm_steps

METADATA_KEY = "detour"
LARGEST_JSON = 2**24
LONGEST_LABEL = 1000
"""Letters of a class's name, which stands in every report."""
_MOST_DIGITS = 100
_LABELS = ("labels", "classes", "class_names", "label_names", "categories", "id2label")
_ARCHITECTURE = ("architecture", "arch", "model_name")
_RENAMED = {
    "image_mean": "mean",
    "image_std": "std",
    "resize_size": "resize",
    "crop_size": "crop",
}
_PLAIN = ("architecture", "labels", "activation", "config", "backbone_hash", "backbone_halves")
_STEPS = tuple(step.name for step in dataclasses.fields(Preprocessing))
_OF_SIZES = ("resize_fit", "resize_longest", "resize_multiple", "crop_centring", "crop_share")
"""These say how resize and crop are meant, and go with them."""
_LATER = {step.name: step.default for step in dataclasses.fields(Preprocessing)[FIRST_FIELDS:]}


@dataclass(frozen=True)
class Facts:
    """The part of a `Description` that some source knows; what it does not know is empty.

    preprocessing: the known fields of `Preprocessing` by name. notes: sentences about what was
    assumed.
    """

    architecture: str = ""
    labels: tuple[str, ...] = ()
    preprocessing: Mapping[str, object] = field(default_factory=dict)
    activation: str = ""
    threshold: float | None = None
    config: str = ""
    backbone_hash: str = ""
    notes: tuple[str, ...] = ()
    backbone_halves: Mapping[str, str] = field(default_factory=dict)

    def over(self, other: Facts) -> Facts:
        """These facts, completed from `other` where they are empty."""
        merged = {name: getattr(self, name) or getattr(other, name) for name in _PLAIN}
        threshold = other.threshold if self.threshold is None else self.threshold
        steps = {**other.preprocessing, **self.preprocessing}
        if {"resize", "crop"} & set(self.preprocessing):
            missing = set(_OF_SIZES) - set(self.preprocessing)
            steps = {name: value for name, value in steps.items() if name not in missing}
        notes = (*self.notes, *other.notes)
        return Facts(**merged, preprocessing=steps, threshold=threshold, notes=notes)

    def describe(self) -> Description:
        """The description; what is unknown takes the default. Raises ValueError."""
        known = {name: getattr(self, name) for name in _PLAIN if getattr(self, name)}
        if self.threshold is not None:
            known["threshold"] = self.threshold
        known["preprocessing"] = make_preprocessing(self.preprocessing)
        return Description(**known)


def make_preprocessing(steps: Mapping[str, object]) -> Preprocessing:
    """A `Preprocessing` from its fields by name, lists allowed. Raises ValueError."""
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in steps.items()
    }
    return Preprocessing(**values)  # pyright: ignore[reportArgumentType]


def encode(description: Description) -> str:
    """A description as the JSON that `read_facts` understands."""
    told = dataclasses.asdict(description)
    if description.activation == "softmax":
        del told["threshold"]  # it has none
    return json.dumps(told, ensure_ascii=False)


def metadata_facts(metadata: Mapping[str, str]) -> Facts:
    """What safetensors metadata say: our own JSON, or single values under well-known names."""
    if METADATA_KEY in metadata:
        facts = read_facts(parse_json(metadata[METADATA_KEY], "The metadata of the file"))
        # Files of earlier versions do not name the later fields; a library's would not be theirs.
        steps = {**_LATER, **facts.preprocessing} if facts.preprocessing else {}
        return replace(facts, preprocessing=steps)
    return read_facts({key: _parse_value(value) for key, value in metadata.items()})


def side_car_facts(weights: Path) -> Facts:
    """What the JSON file beside the weights says: the same name, with the ending `.json`."""
    path = weights.with_suffix(".json")
    if not path.is_file():
        return Facts()
    return read_facts(read_json(path))


def read_json(path: Path) -> dict[str, object]:
    """The object in a JSON file. Raises ValueError if it is no JSON object, or too large."""
    return parse_json(read_text(path, "a description"), path.name)


def read_text(path: Path, meant: str) -> str:
    """The text of a small file, which is meant to be this. Raises ValueError if it is not in UTF-8,
    or too large."""
    size = path.stat().st_size
    if size > LARGEST_JSON:
        raise ValueError(f"{path.name} has {size:,} bytes: it cannot be {meant}.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not text in UTF-8: save it as UTF-8.") from None


def parse_json(text: str, where: str) -> dict[str, object]:
    """The object in a JSON text that came from `where`. Raises ValueError if there is none."""
    try:
        values = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} cannot be read as JSON ({error}): correct it.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{where} must hold a JSON object {{...}}, not {type(values).__name__}.")
    return values


def read_facts(values: Mapping[str, object]) -> Facts:
    """The facts in a JSON object, by our own names and by those of timm and transformers.

    Raises ValueError that names the entry which cannot be used.
    """
    flat: dict[str, object] = dict(values)
    cfg, own = (_group(values, name) for name in ("pretrained_cfg", "preprocessing"))
    steps, notes = timm_steps(cfg) if cfg else ({}, ())
    steps.update(_steps({**flat, **own}))
    flat = {**cfg, **{key: value for key, value in flat.items() if value is not None}, **own}
    threshold = flat.get("threshold")
    if threshold is not None and (
        isinstance(threshold, bool) or not isinstance(threshold, (int, float))
    ):
        raise ValueError(f"threshold {quoted(threshold)} must be a number between 0 and 1.")
    return Facts(
        architecture=_text(flat, *_ARCHITECTURE),
        labels=_labels(flat),
        preprocessing=steps,
        activation=_text(flat, "activation"),
        threshold=threshold,
        config=_text(flat, "config") or options_text(values),
        backbone_hash=_text(flat, "backbone_hash"),
        notes=notes,
        backbone_halves={
            name: value
            for name, value in _group(values, "backbone_halves").items()
            if isinstance(value, str)
        },
    )


def parse_labels(text: str) -> tuple[str, ...]:
    """Labels that a user typed: one a line, or on a single line separated by commas."""
    separator = "\n" if "\n" in text.strip() else ","
    return tuple(part.strip() for part in text.strip().split(separator) if part.strip())


def _integer(digits: str) -> int | float:
    """An integer of JSON; as a float, often infinite, if nobody could calculate with it."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _parse_value(value: str) -> object:
    """A metadata value, which is always text: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(value, parse_int=_integer)
    except (ValueError, RecursionError):
        return value


def _group(values: Mapping[str, object], name: str) -> dict[str, object]:
    inner = values.get(name)
    return dict(inner) if isinstance(inner, Mapping) else {}


def _text(values: Mapping[str, object], *names: str) -> str:
    return next((v for name in names if isinstance(v := values.get(name), str)), "")


def _labels(values: Mapping[str, object]) -> tuple[str, ...]:
    labels = next((v for name in _LABELS if (v := values.get(name))), ())
    if isinstance(labels, str):
        return parse_labels(labels)
    if isinstance(labels, Mapping):
        numbers = [str(number) for number in range(len(labels))]
        by_number = {str(number): label for number, label in labels.items()}
        missing = [number for number in numbers if number not in by_number]
        if missing:
            raise ValueError(f"The labels have no class {missing[0]}: number them from 0 on.")
        labels = [by_number[number] for number in numbers]
    if not isinstance(labels, (list, tuple)):
        raise ValueError(f"The labels must be a list of names, not {quoted(labels)}.")
    return tuple(" ".join(v.split()) if isinstance(v, str) else v for v in labels)


def _steps(values: Mapping[str, object]) -> dict[str, object]:
    renamed = {_RENAMED.get(name, name): value for name, value in values.items()}
    steps = {name: value for name, value in renamed.items() if name in _STEPS}
    size = renamed.get("input_size")
    if size is None or "crop" in steps or "resize" in steps:
        return steps
    sides = list(size)[-2:] if isinstance(size, (list, tuple)) and len(size) > 1 else [size, size]
    height, width = (side if isinstance(side, int) else 0 for side in sides)
    if min(height, width) < 1:
        raise ValueError(f"input_size {quoted(size)} must be pixels: 224, or [3, 224, 224].")
    share = renamed.get("crop_pct")
    if isinstance(share, (int, float)) and 0 < share <= 1 and height == width:
        return {**steps, "resize": enlarged(height, share), "crop": height}
    return {**steps, "resize": (height, width), "crop": None}


ACTIVATIONS = ("softmax", "sigmoid")


@dataclass(frozen=True)
class Description:
    """Everything about a classifier that its weights do not tell.

    labels: one name per class, in the order of the logits.
    architecture: `library:name`, for example `torchvision:resnet50`; empty for a backbone
        that only a host can build.
    preprocessing: what happens to a picture first.
    activation: `softmax` (one class per picture) or `sigmoid` (each class by itself, taggers).
    threshold: with `sigmoid`, the score from which a class counts as present, between 0 and 1.
    config: the JSON from which a transformers network is built, or what timm is told beside the
        name; empty for others.
    backbone_hash: names the backbone of a head that was fitted on a host's model; else empty.
    backbone_halves: its hashes in half precision, by the name of the type.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    labels: tuple[str, ...]
    architecture: str = ""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    activation: str = "softmax"
    threshold: float = 0.5
    config: str = ""
    backbone_hash: str = ""
    backbone_halves: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.labels:
            raise ValueError("A classifier needs at least one label.")
        for index, label in enumerate(self.labels):
            if not isinstance(label, str) or not label.strip() or not is_text(label):
                raise ValueError(f"Label {index} is {quoted(label)}: every class needs a name.")
            if len(label) > LONGEST_LABEL:
                raise ValueError(
                    f"Label {index} has {len(label):,} letters, {LONGEST_LABEL:,} are possible: "
                    "give the class a shorter name."
                )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation {quoted(self.activation)} is unknown: use softmax (one class per "
                "picture) or sigmoid (tags)."
            )
        if not isinstance(self.threshold, (int, float)) or not 0 < self.threshold < 1:
            raise ValueError(f"threshold {quoted(self.threshold)} must lie between 0 and 1.")

    @property
    def cutoff(self) -> float:
        """The logit from which a class counts as present with `sigmoid`."""
        return math.log(self.threshold / (1 - self.threshold))

    def index_of(self, label: str) -> int:
        """The class of a label, or of its number written as text.

        A label wins over a number; upper and lower case, and the ways to write an accent, are
        the same unless that is ambiguous.
        Raises ValueError for an unknown label and for one that several classes carry.
        """
        wanted, folded = label.strip(), folded_name(label)
        for found in (
            [i for i, name in enumerate(self.labels) if name == wanted],
            [i for i, name in enumerate(self.labels) if folded_name(name) == folded],
        ):
            if len(found) == 1:
                return found[0]
            if found:
                raise ValueError(
                    f"Classes {listed(found)} are all called {quoted(wanted)}: write "
                    "the number of the one that you mean."
                )
        if is_number(wanted) and int(wanted) < len(self.labels):
            return int(wanted)
        raise ValueError(
            f"There is no class {quoted(wanted)} among the {len(self.labels)} of this classifier: "
            f"use one of {listed(self.labels)}, or a number from 0 to {len(self.labels) - 1}."
        )


def read_class(description: Description, text: str | None) -> int | None:
    """The class with this label or number; None for an empty text."""
    wanted = (text or "").strip()
    return description.index_of(wanted) if wanted else None
