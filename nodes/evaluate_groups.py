"""The node that measures a classifier on each group of the probes."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..detour.report.group_bars import draw_group_bars
from ..detour.report.group_report import group_numbers, group_text
from ..detour.schedule import require_choice
from ..detour.spurious import PARTS, compared
from ..detour.user_input import read_class
from .classifier_host import ClassifierSocket
from .edit_inputs import classifier_input, probes_input, split_seed_input
from .schema import CATEGORY, build
from .shown_report import as_json, numbers_output, report_outputs, shown


class EvaluateGroups(io.ComfyNode):
    """Classifier and probes in; the accuracy of each group out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourEvaluateGroups",
            display_name="Evaluate Groups",
            category=CATEGORY,
            description=(
                "How well a classifier does on each group (class with and without the suspect "
                "feature), with 95 % intervals. A low worst group beside a high mean is the "
                "mark of a shortcut. An edited classifier is shown beside its unedited self."
            ),
            inputs=_inputs(),
            outputs=[
                *report_outputs(),
                io.Float.Output(
                    "worst_group",
                    display_name="worst_group",
                    tooltip="Accuracy (0 to 1) of the worst group that was measured.",
                ),
                numbers_output(),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            search_aliases=["accuracy", "fairness", "worst group", "bias", "audit"],
        )

    @classmethod
    def execute(
        cls, classifier, probes, part, before=None, split_seed=0, target_class=""
    ) -> io.NodeOutput:
        require_choice("part", part, PARTS)
        read_class(classifier.unedited.description, target_class)
        probes.need_classes()
        seen = classifier.probes(probes, tag=target_class)
        other = None
        if before is not None:
            other = before.probes(probes, tag=target_class), before.stack
        done = compared(seen, classifier.stack, other, part, split_seed)
        if classifier.learned_from(probes, split_seed, whole=part == "all"):
            done = replace(done, learned=True)
        report = group_text(done)
        chart, told = shown(cls, report, draw_group_bars(done.after, done.before))
        numbers = as_json(group_numbers(done))
        return io.NodeOutput(report, chart, done.after.worst, numbers, ui=told)


def _inputs() -> list:
    return [
        classifier_input(),
        probes_input(),
        io.Combo.Input(
            "part",
            options=list(PARTS),
            default="all",
            tooltip=(
                "all = every probe. report = only the quarter that did not choose the "
                "edit: use it after Neutralize Shortcut, with its split_seed. You "
                "should see: honest, usually lower numbers with 'report'."
            ),
        ),
        ClassifierSocket.Input(
            "before",
            optional=True,
            tooltip=(
                "Another classifier with the same labels, to compare with. You should "
                "see: its accuracy as the grey bar of each group."
            ),
        ),
        split_seed_input(),
        build(
            io.String.Input,
            "target_class",
            default="",
            optional=True,
            tooltip=(
                "Of a tagger, the tag that is measured: pictures of the class with its name have "
                "it, all others not. Empty = the class that is a tag. Others need none. You should "
                "see: groups called by this tag and 'no' this tag."
            ),
            advanced=True,
        ),
    ]
