"""Node schemas that load on old and new hosts, and reports on a node: the text and the chart that
`js/` draws, and the numbers as JSON."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..detour.report.canvas import to_images

NEWER_FIELDS = ("search_aliases", "essentials_category", "advanced")
"""Fields that later hosts added; a host that does not know them refuses the whole pack."""
CATEGORY = "Detour"


def build(factory: Callable[..., Any], *args: Any, **fields: Any) -> Any:
    """`factory(*args, **fields)` without those newer fields that this host does not know.

    Any other unknown field fails as usual, so that a slip of the pen is seen.
    """
    known = inspect.signature(factory).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    kept = {
        name: value
        for name, value in fields.items()
        if takes_all or name in known or name not in NEWER_FIELDS
    }
    return factory(*args, **kept)


def report_outputs() -> list[Any]:
    """The outputs that every report has."""
    return [
        io.String.Output(
            "report", display_name="report", tooltip="The whole report in plain words."
        ),
        io.Image.Output("chart", display_name="chart", tooltip="The report as one picture."),
    ]


def numbers_output() -> Any:
    """The last output of nodes with a report."""
    return io.String.Output(
        "numbers",
        display_name="numbers",
        tooltip="Every number of the report as JSON, for a file or another program.",
    )


def shown(cls: Any, report: str, chart: Image.Image) -> tuple[torch.Tensor, dict[str, Any]]:
    """The chart as an IMAGE, and what the browser is told: text and a temporary picture."""
    images = to_images(chart)
    files = ui.PreviewImage(images, cls=cls).values
    return images, {"detour_report": [report], "detour_chart": files}


def as_json(numbers: dict[str, Any]) -> str:
    """Numbers as JSON text."""
    return json.dumps(numbers, indent=1, allow_nan=False, ensure_ascii=False)
