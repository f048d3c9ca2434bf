"""The nodes that take a suspect feature or a whole class out of a classifier, and that measure
it on each group of the probes."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..detour.checks import LARGEST_SEED, MOST_WEIGHTS, STRONGEST_DEGREE
from ..detour.classifier_words import EDIT, EVALUATE, REMOVE
from ..detour.judge.compare import PARTS, compare_classifiers
from ..detour.report.edit import edit_numbers, edit_picture, edit_text
from ..detour.report.groups import draw_group_bars, group_numbers, group_text
from ..detour.report.proof import described, described_removal
from ..detour.report.removal import draw_removal, removal_numbers, removal_text
from ..detour.search.neutralize import neutralize_classifier
from ..detour.search.remove_class import remove_from_classifier
from ..detour.search.settings import (
    AUTO,
    KEEP_RIGHT,
    LEAST_KEPT,
    METHODS,
    REMOVAL_SIZES,
    SIZES,
)
from .classifier_host import ClassifierSocket, EditSocket, ProbesSocket, show_progress
from .schema import CLASSIFIERS, as_json, build, numbers_output, report_outputs, shown


def classifier_input() -> Any:
    """The classifier that is edited or measured."""
    return ClassifierSocket.Input("classifier", tooltip=EDIT["classifier"].tooltip)


def probes_input() -> Any:
    """The pictures that everything is chosen and measured on."""
    return ProbesSocket.Input("probes", tooltip=EDIT["probes"].tooltip)


def degree_input(told: str) -> Any:
    """How far an edit goes."""
    return io.Float.Input(
        "degree",
        default=1.0,
        min=-STRONGEST_DEGREE,
        max=STRONGEST_DEGREE,
        step=0.05,
        tooltip=told,
    )


def edited_outputs() -> list[Any]:
    """The first outputs of every node that makes an edit."""
    return [
        ClassifierSocket.Output(
            "edited", display_name="CLASSIFIER", tooltip="The classifier with the edit."
        ),
        EditSocket.Output(
            "edit_stack",
            display_name="EDIT",
            tooltip="All edits of this classifier, for Save Edit and Apply Edit.",
        ),
    ]


def split_seed_input() -> Any:
    """Which probes choose and which report. Not "seed": the editor changes those after a run."""
    return build(
        io.Int.Input,
        "split_seed",
        default=0,
        min=0,
        max=LARGEST_SEED,
        optional=True,
        tooltip=EDIT["split_seed"].tooltip,
        advanced=True,
    )


class Neutralize(io.ComfyNode):
    """Classifier and probes in; the edited classifier, the edit and the proof out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourNeutralize",
            display_name="Neutralize Shortcut",
            category=CLASSIFIERS,
            description=(
                "Finds the one weight (or the few numbers) of a classifier's last layer that "
                "carries a shortcut, such as a colour or a watermark, and edits it as far as you "
                "want. Half of the probes choose the edit, others report on it."
            ),
            inputs=[
                classifier_input(),
                probes_input(),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="worst_group",
                    tooltip=EDIT["method"].tooltip,
                ),
                io.Combo.Input(
                    "edit", options=[AUTO, *SIZES], default=AUTO, tooltip=EDIT["edit"].tooltip
                ),
                io.String.Input("target_class", default="", tooltip=EDIT["target_class"].tooltip),
                degree_input(EDIT["degree"].tooltip),
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
                build(
                    io.Float.Input,
                    "keep_right",
                    default=KEEP_RIGHT,
                    min=LEAST_KEPT,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip=EDIT["keep_right"].tooltip,
                    advanced=True,
                ),
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
        keep_right=KEEP_RIGHT,
    ) -> io.NodeOutput:
        seen, done = neutralize_classifier(
            classifier,
            probes,
            show_progress(),
            method=method,
            size=edit,
            target_class=target_class,
            degree=degree,
            max_weights=max_weights,
            attribute=attribute,
            split_seed=split_seed,
            auto_degree=auto_degree,
            keep_right=keep_right,
        )
        feature = seen.attribute_name(done.search.attribute)
        done = described(done, feature)
        report = edit_text(done, feature)
        chart, told = shown(cls, report, edit_picture(done, feature))
        numbers = as_json(edit_numbers(done))
        edited = classifier.with_stack(done.stack)
        return io.NodeOutput(edited, done.stack, report, chart, numbers, ui=told)


class RemoveClass(io.ComfyNode):
    """Classifier, probes and a class in; the classifier that never predicts it out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourRemoveClass",
            display_name="Remove Class",
            category=CLASSIFIERS,
            description=(
                "Edits one weight of a classifier's last layer so that a class is no longer "
                "predicted; its pictures fall to the next best class. This changes predictions "
                "only: it is no privacy unlearning."
            ),
            inputs=[
                classifier_input(),
                probes_input(),
                io.String.Input("class_name", default="0", tooltip=REMOVE["class_name"].tooltip),
                degree_input(REMOVE["degree"].tooltip),
                io.Combo.Input(
                    "edit",
                    options=list(REMOVAL_SIZES),
                    default="one_weight",
                    tooltip=REMOVE["edit"].tooltip,
                ),
                split_seed_input(),
            ],
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
        _, done = remove_from_classifier(
            classifier,
            probes,
            show_progress(),
            target_class=class_name,
            size=edit,
            degree=degree,
            split_seed=split_seed,
        )
        done = described_removal(done)
        report = removal_text(done)
        chart, told = shown(cls, report, draw_removal(done))
        numbers = as_json(removal_numbers(done))
        edited = classifier.with_stack(done.stack)
        return io.NodeOutput(edited, done.stack, report, chart, numbers, ui=told)


class EvaluateGroups(io.ComfyNode):
    """Classifier and probes in; the accuracy of each group out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourEvaluateGroups",
            display_name="Evaluate Groups",
            category=CLASSIFIERS,
            description=(
                "How well a classifier does on each group (class with and without the suspect "
                "feature), with 95 % intervals. A low worst group beside a high mean is the mark "
                "of a shortcut."
            ),
            inputs=[
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
            ],
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
        done = compare_classifiers(classifier, probes, before, part, split_seed, target_class)
        report = group_text(done)
        chart, told = shown(cls, report, draw_group_bars(done.after, done.before))
        numbers = as_json(group_numbers(done))
        return io.NodeOutput(report, chart, done.after.worst, numbers, ui=told)
