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

from ..detour.checks import quoted
from ..detour.report.canvas import to_images

NEWER_FIELDS = ("search_aliases", "essentials_category", "advanced")
"""Fields that later hosts added; a host that does not know them refuses the whole pack."""
VARIETY, CLASSIFIERS, TINY = "Detour/Variety", "Detour/Classifiers", "Detour/Tiny demo"
"""Where the host's menus list a node: both methods, and what both are tried with."""
CONNECTED = (None, (None,))
"""What the host hands to `validate_inputs` for an input that is connected; of lists the second."""


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


def refuse_literals(node: Any) -> Any:
    """The node, which now refuses a prompt that has a value where something must be connected: a
    prompt written by hand, of which the node would get a text in place of a model.

    `UNLISTED` of a node names the inputs of which the host is not to compare the value with its
    list: files may be newer than that, and `execute` says what is wrong.
    """
    inputs = node.define_schema().inputs
    sockets = [one.id for one in inputs if not isinstance(one, io.WidgetInput)]
    sockets = [name for name in sockets if name != "curve"]  # older hosts write its points here
    names = [*sockets, *getattr(node, "UNLISTED", ())]

    def validate_inputs(cls: Any, **written: Any) -> bool | str:
        for name in sockets:
            if written.get(name) not in CONNECTED:
                value = quoted(written[name])
                return f"{name} is {value}, and takes no value: connect a node's output to it."
        return True

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind, default=None) for name in names]
    # The host asks by the names of the arguments what it is to hand over, and what not to check.
    validate_inputs.__signature__ = inspect.Signature([inspect.Parameter("cls", kind), *parameters])
    node.validate_inputs = classmethod(validate_inputs)
    return node


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
