"""The nodes that take a suspect feature or a whole class out of a classifier, and that measure
it on each group of the probes."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..detour.checks import MOST_WEIGHTS, read_degree, require_choice
from ..detour.classifier.facts import read_class
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


DEGREE_TIP = (
    "How far the edit goes: 0 = bit for bit the classifier as it came, 1 = as found, above 1 = "
    "over-corrected, below 0 = the shortcut counts more. You should see: the marked line of the "
    "degree chart move."
)


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
                "carries a shortcut, such as a colour or a watermark taken for the class, and "
                "edits it as far as you want. No training; the classifier itself is not "
                "written to. Half of the probes choose the edit, others report on it."
            ),
            inputs=[
                classifier_input(),
                probes_input(),
                *_choice_inputs(),
                io.String.Input(
                    "target_class",
                    default="",
                    tooltip=(
                        "The class that takes the shortcut, by label or number; empty = all "
                        "are tried. 'evidence' and 'paired' need it with more than two classes. "
                        "You should see: the report name this class."
                    ),
                ),
                degree_input(DEGREE_TIP),
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
            "method",
            options=list(METHODS),
            default="worst_group",
            tooltip=(
                "worst_group = exact search for the best worst group, needs classes and both "
                "attributes. evidence = straight from group means, no search. paired = the same "
                "pictures without and with the feature, needs no classes. You should see: the "
                "worst group rise; with 'paired', what the feature adds shrink to 0."
            ),
        ),
        io.Combo.Input(
            "edit",
            options=list(EDIT_SIZES),
            default=AUTO,
            tooltip=(
                "How many numbers may change. auto = the smallest edit that is not clearly "
                "worse than the best. k_weights_bias works with worst_group only. You should "
                "see: all sizes side by side in the chart, this one marked."
            ),
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
            tooltip=(
                "The most weights that k_weights_bias may edit; it stops earlier where more do "
                "not help. You should see: the last row of the ladder grow, or not."
            ),
            advanced=True,
        ),
        build(
            io.String.Input,
            "attribute",
            default="",
            optional=True,
            tooltip=(
                "For 'evidence' and 'paired': which attribute of the probes is the suspect "
                "feature, by name or number; empty = the one with number 1. You should see: its "
                "name in the chart of 'paired'."
            ),
            advanced=True,
        ),
        split_seed_input(),
        build(
            io.Boolean.Input,
            "auto_degree",
            default=True,
            optional=True,
            tooltip=(
                "For 'evidence': degree 1 stands for the degree that is best on the validation "
                "part of the probes, for its formula otherwise. You should see: which degree "
                "that was, in the notes."
            ),
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
                "only: it is no privacy unlearning, the network still holds what it learned. "
                "Probes need no classes for it, but the report is fuller with them."
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
