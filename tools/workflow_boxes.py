"""The nodes that several workflows with classifiers share."""

from __future__ import annotations

from .workflow_layout import Group
from .workflow_sizes import TALLEST, Box
from .workflow_specs_tiny import GREY

GROUP = 0.15
"""Height of one group in the chart of probes, by the chart's width."""


def read_me(text: str) -> list[Group]:
    """The stack with the note, which comes first."""
    return [Group("Read me", [[Box("note", "MarkdownNote", {"text": text})]], GREY)]


def classifier(key: str, file: str, title: str) -> Box:
    """A loaded classifier."""
    return Box(key, "DetourLoadClassifier", {"file": file}, title=title)


def digits(key: str, count: int, title: str, **more) -> Box:
    """Real digits as probes."""
    ten = more.get("classes") == "digits"
    chart = TALLEST if ten else None
    return Box(key, "DetourDemoDigits", {"count": count, **more}, title=title, chart=chart)


def probes(
    key: str, images: str, name: str, attribute: str, unit: int, groups: int, **links: str
) -> Box:
    """One group of probes; `links`: `probes` to chain, `clip_vision` or `classifier`.
    `groups`: how many the chain has with it; its chart has a row for each."""
    widgets = {"class_name": name, "attribute": attribute, "unit_start": unit}
    title = f"{name}, {attribute}"
    return Box(
        key, "DetourProbeImages", widgets, {"images": images, **links}, title, chart=GROUP * groups
    )


def fitted(probes_key: str, **backbone: str) -> Box:
    """A classifier fitted to probes; `backbone`: `clip_vision` or `classifier`."""
    links = {"probes": probes_key, **backbone}
    return Box("fitted", "DetourClassifierFromProbes", links=links)


def neutralized(classifier_key: str, probes_key: str, **widgets) -> Box:
    """The edit of a classifier."""
    links = {"classifier": classifier_key, "probes": probes_key}
    return Box("edit", "DetourNeutralize", widgets, links)


def evaluated(key: str, classifier_key: str, probes_key: str, title: str) -> Box:
    """The accuracy of each group on the part that chose nothing."""
    links = {"classifier": classifier_key, "probes": probes_key}
    return Box(key, "DetourEvaluateGroups", {"part": "report"}, links, title)


def asked(key: str, classifier_key: str, images: str, title: str) -> Box:
    """What a classifier says about pictures."""
    links = {"classifier": classifier_key, "images": images}
    return Box(key, "DetourClassify", {"top_k": 1}, links, title)


def saved(name: str) -> Box:
    """The edit as a file."""
    return Box("save", "DetourSaveEdit", {"filename": name}, {"edit": "edit.EDIT"})
