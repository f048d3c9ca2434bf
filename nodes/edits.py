"""The nodes that take a suspect feature or a whole class out of a classifier, and that measure
it on each group of the probes."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..detour.checks import MOST_WEIGHTS, read_degree, require_choice
from ..detour.classifier.facts import read_class
from ..detour.classifier_words import EDIT, EVALUATE, REMOVE
from ..detour.judge.compare import PARTS, compared
from ..detour.report.edit import edit_numbers, edit_picture, edit_text
from ..detour.report.groups import draw_group_bars, group_numbers, group_text
from ..detour.report.removal import draw_removal, removal_numbers, removal_text
from ..detour.search.fitting import AUTO
from ..detour.search.ladder import EDITS
from ..detour.search.neutralize import METHODS, EditSearch
from ..detour.search.remove_class import SIZES, removed
from .classifier_host import ClassifierSocket, show_progress
from .edit_inputs import (
    classifier_input,
    degree_input,
    edited_outputs,
    probes_input,
    split_seed_input,
)
from .schema import CATEGORY, as_json, build, numbers_output, report_outputs, shown

EDIT_SIZES = (AUTO, *EDITS)


class Neutralize(io.ComfyNode):
    """Classifier and probes in; the edited classifier, the edit and the proof out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourNeutralize",
            display_name="Neutralize Shortcut",
            category=CATEGORY,
            description=(
                "Finds the one weight (or the few numbers) of a classifier's last layer that "
                "carries a shortcut, such as a colour or a watermark, and edits it as far as you "
                "want. Half of the probes choose the edit, others report on it."
            ),
            inputs=[
                classifier_input(),
                probes_input(),
                *_choice_inputs(),
                io.String.Input("target_class", default="", tooltip=EDIT["target_class"].tooltip),
                degree_input(EDIT["degree"].tooltip),
                *_fine_inputs(),
            ],
            outputs=[
                *edited_outputs(),
                *report_outputs(),
                numbers_output(),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            search_aliases=["bias", "fairness", "spurious", "shortcut", "single weight", "debias"],
        )

    @classmethod
    def execute(
        cls,
        classifier,
        probes,
        method,
        edit,
        target_class,
        degree,
        max_weights=3,
        attribute="",
        split_seed=0,
        auto_degree=True,
    ) -> io.NodeOutput:
        search = EditSearch(
            method,
            edit,
            target_class,
            degree,
            max_weights,
            attribute,
            split_seed,
            auto_degree,
        )
        seen, done = search.run(classifier, probes, show_progress())
        return cls._output(classifier, done, search.feature(seen))

    @classmethod
    def _output(cls, classifier, done, feature) -> io.NodeOutput:
        report = edit_text(done, feature)
        chart, told = shown(cls, report, edit_picture(done, feature))
        numbers = as_json(edit_numbers(done))
        edited = classifier.with_stack(done.stack)
        return io.NodeOutput(edited, done.stack, report, chart, numbers, ui=told)


def _choice_inputs() -> list:
    return [
        io.Combo.Input(
            "method", options=list(METHODS), default="worst_group", tooltip=EDIT["method"].tooltip
        ),
        io.Combo.Input(
            "edit", options=list(EDIT_SIZES), default=AUTO, tooltip=EDIT["edit"].tooltip
        ),
    ]


def _fine_inputs() -> list:
    return [
        build(
            io.Int.Input,
            "max_weights",
            default=3,
            min=1,
            max=MOST_WEIGHTS,
            optional=True,
            tooltip=EDIT["max_weights"].tooltip,
            advanced=True,
        ),
        build(
            io.String.Input,
            "attribute",
            default="",
            optional=True,
            tooltip=EDIT["attribute"].tooltip,
            advanced=True,
        ),
        split_seed_input(),
        build(
            io.Boolean.Input,
            "auto_degree",
            default=True,
            optional=True,
            tooltip=EDIT["auto_degree"].tooltip,
            advanced=True,
        ),
    ]


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
                "only: it is no privacy unlearning."
            ),
            inputs=_remove_inputs(),
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


def _remove_inputs() -> list:
    return [
        classifier_input(),
        probes_input(),
        io.String.Input("class_name", default="0", tooltip=REMOVE["class_name"].tooltip),
        degree_input(REMOVE["degree"].tooltip),
        io.Combo.Input(
            "edit", options=list(SIZES), default="one_weight", tooltip=REMOVE["edit"].tooltip
        ),
        split_seed_input(),
    ]


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
                "feature), with 95 % intervals. A low worst group beside a high mean is the mark "
                "of a shortcut."
            ),
            inputs=_evaluate_inputs(),
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


def _evaluate_inputs() -> list:
    return [
        classifier_input(),
        probes_input(),
        io.Combo.Input(
            "part", options=list(PARTS), default="all", tooltip=EVALUATE["part"].tooltip
        ),
        ClassifierSocket.Input("before", optional=True, tooltip=EVALUATE["before"].tooltip),
        split_seed_input(),
        build(
            io.String.Input,
            "target_class",
            default="",
            optional=True,
            tooltip=EVALUATE["target_class"].tooltip,
            advanced=True,
        ),
    ]
