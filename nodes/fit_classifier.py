"""The node that makes a classifier out of probes, for those who have none."""

from __future__ import annotations

import json

from comfy_api.latest import io

from ..detour.probing import describe_head, fit_linear_head, unfitted
from .classifier_host import ClassifierSocket, ProbesSocket, progress
from .probes import backbone_inputs, chosen_backbone
from .schema import CATEGORY, build


class ClassifierFromProbes(io.ComfyNode):
    """Probes and a backbone in; a classifier with one class for each class of the probes out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourClassifierFromProbes",
            display_name="Classifier from Probes",
            category=CATEGORY,
            description=(
                "Fits a classifier to your own pictures: a regularised linear head on the "
                "features of a CLIP vision model or of another classifier, one class for each "
                "class of the probes. Fitted on three quarters of them, judged on the others. "
                "Takes seconds; 100 pictures of each group are good, 50 are few."
            ),
            inputs=_inputs(),
            outputs=[
                ClassifierSocket.Output(
                    "fitted", display_name="CLASSIFIER", tooltip="The fitted classifier."
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="Held-out accuracy with intervals, for each group.",
                ),
                io.String.Output(
                    "numbers", display_name="numbers", tooltip="The same figures as JSON."
                ),
            ],
            is_output_node=True,  # it shows its report itself
            search_aliases=["train", "fit", "linear probe", "classifier", "clip", "dfr"],
        )

    @classmethod
    def execute(cls, probes, classifier=None, clip_vision=None) -> io.NodeOutput:
        backbone = chosen_backbone(classifier, clip_vision)
        if backbone is None:
            raise ValueError(
                "A classifier is fitted on the features of a backbone: connect a CLIP vision "
                "model, or a classifier."
            )
        empty = unfitted(backbone.unedited, probes.class_names)
        seen = backbone.with_classifier(empty).probes(probes)
        head = fit_linear_head(seen, progress=progress(1))
        fitted = backbone.with_classifier(empty.with_head(head.weight, head.bias), probes)
        text = describe_head(head, fitted.labels)
        numbers = json.dumps(head.as_dict(), indent=1, ensure_ascii=False)
        return io.NodeOutput(fitted, text, numbers, ui={"detour_report": [text]})


def _inputs() -> list:
    return [
        ProbesSocket.Input(
            "probes",
            tooltip=(
                "Pictures of at least two classes. You should see: the accuracy on "
                "pictures that it was not fitted on, for each group."
            ),
        ),
        *backbone_inputs(
            "whose features the head is fitted on. You should see: better accuracy with "
            "a backbone that knows such pictures."
        ),
    ]
