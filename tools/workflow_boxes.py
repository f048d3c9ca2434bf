"""The nodes that several workflows with classifiers share."""

from __future__ import annotations

from .workflow_layout import Box, Group
from .workflow_specs_tiny import GREY

REPORT, WIDE, SMALL = (400, 560), (440, 760), (400, 300)
"""Sizes of nodes that show a report, a report with several charts, and a few lines."""


def read_me(text: str) -> list[Group]:
    """The stack with the note, which comes first."""
    return [Group("Read me", [[Box("note", "MarkdownNote", {"text": text})]], GREY)]


def classifier(key: str, file: str, title: str) -> Box:
    """A loaded classifier."""
    return Box(key, "DetourLoadClassifier", {"file": file}, title=title, size=(400, 440))


def digits(key: str, count: int, title: str, **more) -> Box:
    """Real digits as probes."""
    return Box(key, "DetourDemoDigits", {"count": count, **more}, title=title, size=REPORT)


def probes(key: str, images: str, name: str, attribute: str, unit: int, **links: str) -> Box:
    """One group of probes; `links`: `probes` to chain, `clip_vision` or `classifier`."""
    widgets = {"class_name": name, "attribute": attribute, "unit_start": unit}
    title = f"{name}, {attribute}"
    return Box(key, "DetourProbeImages", widgets, {"images": images, **links}, title, (380, 480))


def fitted(probes_key: str, **backbone: str) -> Box:
    """A classifier fitted to probes; `backbone`: `clip_vision` or `classifier`."""
    return Box(
        "fitted", "DetourClassifierFromProbes", {}, {"probes": probes_key, **backbone}, size=REPORT
    )


def neutralized(classifier_key: str, probes_key: str, **widgets) -> Box:
    """The edit of a classifier."""
    links = {"classifier": classifier_key, "probes": probes_key}
    return Box("edit", "DetourNeutralize", widgets, links, size=WIDE)


def evaluated(key: str, classifier_key: str, probes_key: str, title: str) -> Box:
    """The accuracy of each group on the part that chose nothing."""
    links = {"classifier": classifier_key, "probes": probes_key}
    return Box(key, "DetourEvaluateGroups", {"part": "report"}, links, title, WIDE)


def asked(key: str, classifier_key: str, images: str, title: str) -> Box:
    """What a classifier says about pictures."""
    links = {"classifier": classifier_key, "images": images}
    return Box(key, "DetourClassify", {"top_k": 1}, links, title, REPORT)


def saved(name: str) -> Box:
    """The edit as a file."""
    return Box("save", "DetourSaveEdit", {"filename": name}, {"edit": "edit.EDIT"}, size=SMALL)
