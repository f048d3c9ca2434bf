"""The node that removes a whole class from a classifier's predictions."""

from __future__ import annotations

from comfy_api.latest import io

from ..detour.report.removal_chart import draw_removal
from ..detour.report.removal_report import removal_numbers, removal_text
from ..detour.schedule import require_choice
from ..detour.spurious import SIZES, removed
from ..detour.user_input import read_class, read_degree
from .edit_inputs import (
    classifier_input,
    degree_input,
    edited_outputs,
    probes_input,
    split_seed_input,
)
from .long_work import show_progress
from .schema import CATEGORY, build
from .shown_report import as_json, numbers_output, report_outputs, shown


class RemoveClass(io.ComfyNode):
    """Classifier, probes and a class in; the classifier that never predicts it out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourRemoveClass",
            display_name="Remove Class",
            category=CATEGORY,
            description=(
                "Edits one weight of a classifier's last layer so that a class is no longer "
                "predicted; its pictures fall to the next best class. This changes predictions "
                "only: it is no privacy unlearning, the network still holds what it learned. "
                "Probes need no classes for it, but the report is fuller with them."
            ),
            inputs=_inputs(),
            outputs=[
                *edited_outputs(),
                *report_outputs(),
                numbers_output(),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            search_aliases=["unlearning", "forget class", "delete label", "single weight"],
        )

    @classmethod
    def execute(cls, classifier, probes, class_name, degree, edit, split_seed=0) -> io.NodeOutput:
        require_choice("edit", edit, SIZES)
        read_degree(degree)
        index = read_class(classifier.unedited.description, class_name)
        if index is None:
            raise ValueError("class_name is empty: write the label or the number of a class.")
        seen = classifier.probes(probes, tag=class_name, strict=False)
        done = removed(seen, classifier.stack, index, edit, degree, split_seed, show_progress())
        report = removal_text(done)
        chart, told = shown(cls, report, draw_removal(done))
        numbers = as_json(removal_numbers(done))
        edited = classifier.with_stack(done.stack)
        return io.NodeOutput(edited, done.stack, report, chart, numbers, ui=told)


def _inputs() -> list:
    return [
        classifier_input(),
        probes_input(),
        io.String.Input(
            "class_name",
            default="0",
            tooltip=(
                "The class to remove, by label or number. You should see: it falls to "
                "0 % on the probes to choose on, or how many remain."
            ),
        ),
        degree_input(
            "How far the edit goes: 0 = bit for bit the classifier as it came, 1 = "
            "removed, between = predicted less often. You should see: fewer pictures "
            "predicted as the class as this goes up to 1."
        ),
        io.Combo.Input(
            "edit",
            options=list(SIZES),
            default="one_weight",
            tooltip=(
                "one_weight = a single weight; one_weight_bias = the bias too, if one "
                "weight is not enough; bias_only = the rival, always enough on the "
                "probes. You should see: how the bias shift alone does, in the chart."
            ),
        ),
        split_seed_input(),
    ]
