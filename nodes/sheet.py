"""The node that lays pictures out in rows and columns."""

from __future__ import annotations

from dataclasses import replace

import torch
from comfy_api.latest import io

from ..detour.classifier.model import predict
from ..detour.edit.edited import EditedClassifier
from ..detour.report.canvas import to_images
from ..detour.report.sheet import arrange, changed_cells, draw_sheet
from ..detour.words import SHEET
from .classifier_host import ClassifierSocket
from .schema import CATEGORY, build


class ContactSheet(io.ComfyNode):
    """Image batches and labels in, one picture out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourContactSheet",
            display_name="Contact Sheet",
            category=CATEGORY,
            description=(
                "Lays pictures out for comparison: one column for each strength of a Variety "
                "Sweep, one row for each seed. A single batch is laid out as a grid."
            ),
            inputs=_inputs(),
            outputs=[
                io.Image.Output(
                    "sheet", display_name="sheet", tooltip="The whole sheet as one picture."
                )
            ],
            is_input_list=True,
            search_aliases=["grid", "compare", "xy plot", "seeds", "same face"],
        )

    @classmethod
    def execute(cls, images, labels=(), columns=(0,), classifier=()) -> io.NodeOutput:
        sheet = arrange(images, list(labels or ()), columns[0] if columns else 0)
        if classifier and classifier[0] is not None and len(images) > 1:
            said = [labels_of(classifier[0], batch) for batch in images]
            sheet = replace(sheet, outlines=changed_cells(said))
        return io.NodeOutput(to_images(draw_sheet(sheet)))


def _inputs() -> list:
    return [
        io.Image.Input("images", tooltip=SHEET["images"].tooltip),
        io.String.Input("labels", optional=True, force_input=True, tooltip=SHEET["labels"].tooltip),
        io.Int.Input(
            "columns", default=0, min=0, max=64, optional=True, tooltip=SHEET["columns"].tooltip
        ),
        ClassifierSocket.Input("classifier", optional=True, tooltip=SHEET["classifier"].tooltip),
    ]


def labels_of(classifier: EditedClassifier, images: torch.Tensor) -> list[str]:
    """What the classifier says about each picture of a batch."""
    return [one.label for one in predict(classifier.edited(), classifier.logits(images))]
