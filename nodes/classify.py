"""The node that asks a classifier about pictures, and filters them."""

from __future__ import annotations

import json

from comfy_api.latest import io
from comfy_execution.graph import ExecutionBlocker

from ..detour.classifier import describe_predictions, predict
from .classifier_host import ClassifierSocket
from .schema import CATEGORY, build

SHOWN = 100
"""Pictures listed on the node; the report has all of them."""


class Classify(io.ComfyNode):
    """Classifier and images in; labels, scores and the images that pass out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourClassify",
            display_name="Classify Images",
            category=CATEGORY,
            description=(
                "What a classifier says about pictures, one line for each; and those pictures "
                "that it is sure of, or that have the label you want. Edits of the classifier "
                "count."
            ),
            inputs=_inputs(),
            outputs=[
                io.String.Output(
                    "labels", display_name="labels", tooltip="One line for each picture."
                ),
                io.String.Output(
                    "scores", display_name="scores", tooltip="Labels and scores as JSON."
                ),
                io.Image.Output(
                    "kept",
                    display_name="kept images",
                    tooltip="The pictures that pass; nothing runs after it when there are none.",
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="Labels and scores in words."
                ),
            ],
            is_output_node=True,  # it shows its report itself
            search_aliases=["classifier", "tagger", "filter", "nsfw", "label", "predict"],
        )

    @classmethod
    def execute(cls, classifier, images, top_k=1, threshold=0.0, keep_label="") -> io.NodeOutput:
        edited = classifier.edited()
        keep = edited.description.index_of(keep_label) if keep_label.strip() else None
        found = predict(edited, classifier.logits(images), top_k, threshold, keep)
        kept = [number for number, one in enumerate(found) if one.kept]
        text = describe_predictions(found)
        return io.NodeOutput(
            "\n".join(one.label for one in found),
            json.dumps([one.as_dict() for one in found], ensure_ascii=False, indent=1),
            images[kept] if kept else ExecutionBlocker(None),
            text,
            ui={"detour_report": [describe_predictions(found, SHOWN)]},
        )


def _inputs() -> list:
    return [
        ClassifierSocket.Input(
            "classifier",
            tooltip="The classifier to ask. You should see: its labels in the report.",
        ),
        io.Image.Input(
            "images", tooltip="The pictures. You should see: one line for each in the report."
        ),
        io.Int.Input(
            "top_k",
            default=3,
            min=1,
            max=100,
            tooltip=(
                "How many of the highest scores are listed for each picture. You should see: "
                "that many names behind each label."
            ),
        ),
        io.Float.Input(
            "threshold",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip=(
                "Pictures with a lower score are not kept; for taggers also the score from "
                "which a tag is present (0 = the classifier's own). You should see: fewer kept "
                "pictures as this goes up."
            ),
        ),
        io.String.Input(
            "keep_label",
            default="",
            tooltip=(
                "Keep only pictures of this class, by label or number; empty = of any. You "
                "should see: only these pictures in 'kept images'."
            ),
        ),
    ]
