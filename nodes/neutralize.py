"""The node that takes a suspect feature out of a classifier by editing one or a few numbers."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..detour.report.edit_report import edit_numbers, edit_picture, edit_text
from ..detour.spurious import AUTO, EDITS, METHODS, EditSearch
from ..detour.user_input import MOST_WEIGHTS
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

SIZES = (AUTO, *EDITS)
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
        seen, done = search.run(
            classifier.unedited.description,
            probes.attribute_names,
            probes.class_names,
            lambda: classifier.probes(probes, tag=target_class),
            classifier.stack,
            show_progress(),
        )
        crossfit = done.ladder is not None and done.ladder.in_sample
        if classifier.learned_from(probes, split_seed, whole=crossfit):
            done = replace(done, learned=True)
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
            options=list(SIZES),
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
