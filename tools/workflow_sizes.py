"""How large a node of an example workflow is on the canvas, and the room that it takes at most.

Nodes 2.0 draws many nodes taller than the canvas, and ours show more after a run than before:
the layout leaves room for all of it, so that nothing ever overlaps.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .workflow import NOTES, Input, node_inputs

TITLE, ROW, WIDGET, MARGIN = 30, 20, 24, 14
"""Pixels of a node's title, of a socket, of a widget and below the last widget."""
TEXT_AREA, BADGE = 110, 30
"""A field of several lines; what the editor adds below a node of ours."""
WIDTHS = {"CheckpointLoaderSimple": 310, "CLIPTextEncode": 310, "MarkdownNote": 420}
WIDTH, REPORT_WIDTH = 270, 480
PICTURES = {"PreviewImage": 270, "SaveImage": 270, "LoadImage": 250}
"""Room for the picture that these nodes show."""
PREVIEWS = ("DetourMidBlockBypass", "DetourBypassSweep", "DetourPlotSchedule")
PREVIEW_HEIGHT = 180
"""The schedule that `js/schedule_preview.js` draws on these nodes."""
NOTICED, NOTICE_HEIGHT = ("DetourMidBlockBypass", "DetourBypassSweep"), 50
"""Room for the one or two lines that `js/notice.js` writes on these nodes after a run."""
TEXT_HEIGHT, TALLEST = 156, 1.5
"""The text of a result and the tallest chart by its width, as in `js/results.js`."""
CHARTS = {
    "DetourDemoDigits": 0.62,
    "DetourEvaluateGroups": 0.42,
    "DetourNeutralize": 1.37,
    "DetourProbeFolder": 0.58,
    "DetourProbeImages": 0.58,
    "DetourRemoveClass": 0.94,
}
"""Nodes that draw a chart, and its height by its width; `Box.chart` says otherwise."""
TEXTS = (
    "DetourClassifierFromProbes",
    "DetourClassify",
    "DetourLoadClassifier",
    "DetourSaveClassifier",
    "DetourSaveEdit",
)
"""Nodes that write a result without a chart."""
NODES2_SOCKET, NODES2_WIDGET, NODES2_MARGIN = 24, 34, 28
"""Pixels of a socket, a widget and the rest in Nodes 2.0, where they are tallest (1.32)."""
NODES2_SAVED = 90
"""Pixels that a saved picture makes its node higher there."""
NODES2_NOTE_LINE, NODES2_NOTE_LETTERS, NODES2_NOTE_REST = 23, 42, 240
"""Of a note there: pixels of a line, letters in it, pixels of headings and spaces between; with
DejaVu Sans, which is a fifth wider than Arial and all that many Linux machines have."""
LETTERS_WIDTH, LINE = 6.3, 19


@dataclass(frozen=True)
class Box:
    """One node. `links`: input name -> key of a box, or "key.output name" if it has several.
    `chart`: height of its chart by its width, where it is not that of `CHARTS`."""

    key: str
    type: str
    widgets: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    size: tuple[int, int] | None = None
    chart: float | None = None


def _rows(box: Box, object_info: Mapping[str, Any]) -> tuple[int, list[Input]]:
    """How many rows of sockets a node has, and its widgets."""
    info = object_info[box.type]
    entries = node_inputs(info)
    widgets = [entry for entry in entries if entry.is_widget]
    return max(len(entries) - len(widgets), len(info["output"])), widgets


def size(box: Box, object_info: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of a node without its title, on the canvas after a run."""
    if box.type in NOTES:
        width = WIDTHS[box.type]
        letters, lines = width / LETTERS_WIDTH, box.widgets["text"].splitlines()
        return width, 40 + sum(LINE * (1 + int(len(line) // letters)) for line in lines)
    width = WIDTHS.get(box.type, REPORT_WIDTH if box.type in (*CHARTS, *TEXTS) else WIDTH)
    sockets, widgets = _rows(box, object_info)
    height = ROW * sockets + (MARGIN if widgets else 6)
    height += sum(WIDGET * (1 + len(entry.extra_values)) for entry in widgets)
    return width, height + _below(box, width, widgets)


def _below(box: Box, width: int, widgets: Sequence[Input]) -> int:
    """The height of fields of text, pictures and what `js/` adds to our nodes."""
    height = TEXT_AREA * sum(bool(entry.options.get("multiline")) for entry in widgets)
    height += PICTURES.get(box.type, 0)
    if box.type.startswith("Detour"):
        height += BADGE
        height += PREVIEW_HEIGHT if box.type in PREVIEWS else 0
        height += NOTICE_HEIGHT if box.type in NOTICED else 0
    if box.type in (*CHARTS, *TEXTS):
        ratio = CHARTS.get(box.type, 0.0) if box.chart is None else box.chart
        height += TEXT_HEIGHT + round(min(ratio, TALLEST) * width)
    return height


def room(box: Box, object_info: Mapping[str, Any]) -> int:
    """The height that a node takes at most, in Nodes 2.0 or on the canvas."""
    width, height = box.size or size(box, object_info)
    if box.type in NOTES:
        lines = [line for line in box.widgets["text"].splitlines() if line]
        rows = sum(len(textwrap.wrap(line, NODES2_NOTE_LETTERS)) for line in lines)
        return max(height, NODES2_NOTE_REST + NODES2_NOTE_LINE * rows)
    sockets, widgets = _rows(box, object_info)
    nodes2 = NODES2_SOCKET * sockets + NODES2_WIDGET * len(widgets) + NODES2_MARGIN
    nodes2 += 0 if box.size else _below(box, width, widgets)
    return max(height + (NODES2_SAVED if box.type == "SaveImage" else 0), nodes2)
