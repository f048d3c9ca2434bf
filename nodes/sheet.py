"""The node that lays pictures out in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from comfy_api.latest import io

from ..detour.classifier.model import predict
from ..detour.edit.edited import EditedClassifier
from ..detour.judge.diversity import Diversity, feature_diversity, picture_diversity
from ..detour.report.canvas import to_images
from ..detour.report.sheet import (
    DIVERSITY_NOTE,
    Sheet,
    arrange,
    changed_cells,
    diversity_notes,
    draw_sheet,
)
from ..detour.words import SHEET
from .classifier_host import ClassifierSocket
from .schema import VARIETY, build


class ContactSheet(io.ComfyNode):
    """Image batches and labels in, one picture out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourContactSheet",
            display_name="Contact Sheet",
            category=VARIETY,
            description=(
                "Lays pictures out for comparison: one column for each strength of a Variety "
                "Sweep, with its diversity, one row for each seed. A single batch is laid out as a "
                "grid."
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
        if len(images) > 1:
            sheet = compared(sheet, images, classifier[0] if classifier else None)
        return io.NodeOutput(to_images(draw_sheet(sheet)))


def compared(
    sheet: Sheet, images: Sequence[torch.Tensor], classifier: EditedClassifier | None
) -> Sheet:
    """The sheet with what its columns say: the diversity of each, and with a classifier, in whose
    features they are compared then, the pictures whose label is not that of the first column."""
    if classifier is None:
        found = [picture_diversity(batch) for batch in images if len(batch) > 1]
        return noted(sheet, found)
    features = [classifier.features(batch) for batch in images]
    edited = classifier.edited()
    said = [[one.label for one in predict(edited, edited.head(own))] for own in features]
    found = [feature_diversity(own) for own in features if len(own) > 1]
    return noted(replace(sheet, outlines=changed_cells(said)), found)


def noted(sheet: Sheet, found: Sequence[Diversity]) -> Sheet:
    """The sheet with the diversity of each column below it; of single pictures there is none."""
    told = DIVERSITY_NOTE if found else ""
    return replace(sheet, column_notes=diversity_notes(found), told=told)


def _inputs() -> list:
    return [
        io.Image.Input("images", tooltip=SHEET["images"].tooltip),
        io.String.Input("labels", optional=True, force_input=True, tooltip=SHEET["labels"].tooltip),
        io.Int.Input(
            "columns", default=0, min=0, max=64, optional=True, tooltip=SHEET["columns"].tooltip
        ),
        ClassifierSocket.Input("classifier", optional=True, tooltip=SHEET["classifier"].tooltip),
    ]
