"""The node on which pictures get a label each, by clicks or by a line of text."""

from __future__ import annotations

from comfy_api.latest import io, ui
from comfy_execution.graph import ExecutionBlocker

from ..detour.checks import require_choice
from ..detour.classifier.model import predict
from ..detour.classifier_words import LABELS
from ..detour.probes.labels import (
    RIGHT_WRONG,
    labelled_probes,
    picture_mark,
    read_label_names,
    read_marks,
)
from ..detour.probes.pictures import whole_pictures
from ..detour.report.canvas import to_images
from ..detour.report.captions import thumbnails
from ..detour.report.labels import describe_labels, draw_labels, draw_thumbnails, widget_facts
from ..detour.report.probes import describe_probes
from .classifier_host import ClassifierSocket, ProbesSocket
from .probes import probe_outputs
from .schema import CLASSIFIERS, build

LEFT_OUT, FIRST_LABEL = "left_out", "first_label"


class LabelPictures(io.ComfyNode):
    """Pictures and what was clicked in; PROBES out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourLabelPictures",
            display_name="Label Pictures",
            category=CLASSIFIERS,
            description=(
                "Shows pictures and takes a label for each, by a click or a key: right or wrong, "
                "or words of yours. Run once to see the pictures, label them, run again."
            ),
            inputs=_inputs(),
            outputs=probe_outputs(),
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,  # it shows its pictures itself
            is_input_list=True,  # pictures of any sizes
            search_aliases=["label", "annotate", "mistakes", "wrong", "probes", "click"],
        )

    @classmethod
    def execute(
        cls, images, labels, marks, unmarked, probes=None, classifier=None
    ) -> io.NodeOutput:
        """Every argument is a list, for the pictures may be one."""
        names = read_label_names(labels[0])
        require_choice("unmarked", unmarked[0], (LEFT_OUT, FIRST_LABEL))
        pictures = whole_pictures(images)
        if not pictures:
            raise ValueError("There are no pictures to label: connect at least one.")
        known = [picture_mark(picture) for picture in pictures]
        marked = read_marks(marks[0], names, known)
        labelled = any(marked.labels)
        if labelled and unmarked[0] == FIRST_LABEL:
            marked = marked.with_others(names[0])
        found = None if classifier is None else _predictions(classifier[0], pictures)
        text = describe_labels(marked, names)
        made = ExecutionBlocker(None)  # the page shows the pictures of a run without an error only
        if labelled:
            made = labelled_probes(pictures, marked.labels)
            made = made if probes is None else probes[0].chain(made)
            text += f"\n{describe_probes(made)}"
        small = thumbnails(pictures)
        sheet = ui.PreviewImage(to_images(draw_thumbnails(small)), cls=cls).values
        facts = widget_facts(known, names, found) | {"sheet": sheet[0]}
        chart = to_images(draw_labels(small, marked, names, found))
        told = {"detour_report": [text], "detour_labels": [facts]}
        return io.NodeOutput(made, text, chart, ui=told)


def _predictions(classifier, pictures):
    """What the classifier with its edits says about each picture."""
    return predict(classifier.edited(), classifier.logits(pictures))


def _inputs() -> list:
    return [
        io.Image.Input("images", tooltip=LABELS["images"].tooltip),
        io.String.Input("labels", default=", ".join(RIGHT_WRONG), tooltip=LABELS["labels"].tooltip),
        io.String.Input("marks", default="", tooltip=LABELS["marks"].tooltip),
        io.Combo.Input(
            "unmarked",
            options=[LEFT_OUT, FIRST_LABEL],
            default=LEFT_OUT,
            tooltip=LABELS["unmarked"].tooltip,
        ),
        ProbesSocket.Input("probes", optional=True, tooltip=LABELS["probes"].tooltip),
        ClassifierSocket.Input("classifier", optional=True, tooltip=LABELS["classifier"].tooltip),
    ]
