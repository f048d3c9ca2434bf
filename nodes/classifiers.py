"""The nodes that load a classifier, make one out of probes, ask it about pictures and save it."""

from __future__ import annotations

import json

from comfy_api.latest import io
from comfy_execution.graph import ExecutionBlocker

from ..detour.checks import counted
from ..detour.classifier.load import load_typed
from ..detour.classifier.model import predict
from ..detour.classifier.save import save_new_classifier
from ..detour.classifier_words import CLASSIFIER, CLASSIFY, FIT
from ..detour.files import name_below, resolve_inside
from ..detour.report.captions import draw_predictions
from ..detour.report.classifier import describe_changes, describe_classifier, describe_predictions
from ..detour.report.probes import describe_head
from ..detour.search.linear_head import fit_linear_head, unfitted
from .classifier_host import (
    ClassifierSocket,
    Managed,
    ProbesSocket,
    file_state,
    host_classifier,
    managed_classifier,
    model_names,
    model_roots,
    model_save_folder,
    progress,
)
from .clip_backbone import clip_backbone
from .probes import backbone_inputs, chosen_backbone
from .schema import CLASSIFIERS, build, shown

OWN_DEFAULT = "nurse_or_builder.safetensors"
AS_THE_FILE_SAYS = "auto"


class LoadClassifier(io.ComfyNode):
    """A file in models/image_classifiers in; CLASSIFIER out."""

    UNLISTED = ("file",)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourLoadClassifier",
            display_name="Load Image Classifier",
            category=CLASSIFIERS,
            description=(
                "Loads an image classifier from models/image_classifiers: a torchvision, timm or "
                "transformers network, or one of two small ones for tiny portraits. No code from a "
                "file is ever run."
            ),
            inputs=_load_inputs(),
            outputs=[
                ClassifierSocket.Output(
                    "classifier",
                    display_name="CLASSIFIER",
                    tooltip="The classifier: connect it to Classify or Neutralize Shortcut.",
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="What was loaded, and assumptions."
                ),
            ],
            is_output_node=True,  # it shows its report itself
            search_aliases=["classifier", "tagger", "nsfw", "resnet", "vit", "bias", "shortcut"],
        )

    @classmethod
    def execute(
        cls,
        file,
        architecture=AS_THE_FILE_SAYS,
        labels="",
        activation=AS_THE_FILE_SAYS,
        threshold=0.0,
        clip_vision=None,
    ) -> io.NodeOutput:
        path = resolve_inside(file, model_roots(), links=True)
        backbone = None if clip_vision is None else clip_backbone(clip_vision)
        classifier = load_typed(path, architecture, labels, activation, threshold, backbone)
        if classifier.description.backbone_hash:
            hosted = managed_classifier(classifier, Managed(clip_vision.patcher, in_parts=True))
        else:
            hosted = host_classifier(classifier)
        text = describe_classifier(classifier, path.name)
        return io.NodeOutput(hosted, text, ui={"detour_report": [text]})

    @classmethod
    def fingerprint_inputs(cls, file, **_others) -> str | float:
        """Run again when the file was written again."""
        return file_state(file, model_roots(), links=True)


def _load_inputs() -> list:
    names = model_names()
    default = OWN_DEFAULT if OWN_DEFAULT in names else (names or [""])[0]
    return [
        io.Combo.Input("file", options=names, default=default, tooltip=CLASSIFIER["file"].tooltip),
        io.String.Input(
            "architecture", default=AS_THE_FILE_SAYS, tooltip=CLASSIFIER["architecture"].tooltip
        ),
        io.String.Input("labels", default="", multiline=True, tooltip=CLASSIFIER["labels"].tooltip),
        *_meaning_inputs(),
        io.ClipVision.Input(
            "clip_vision", optional=True, tooltip=CLASSIFIER["clip_vision"].tooltip
        ),
    ]


def _meaning_inputs() -> list:
    """What the classifier's numbers mean."""
    return [
        io.Combo.Input(
            "activation",
            options=[AS_THE_FILE_SAYS, "softmax", "sigmoid"],
            default=AS_THE_FILE_SAYS,
            tooltip=CLASSIFIER["activation"].tooltip,
        ),
        io.Float.Input(
            "threshold",
            default=0.0,
            min=0.0,
            max=0.999,
            step=0.001,
            tooltip=CLASSIFIER["threshold"].tooltip,
        ),
    ]


class SaveClassifier(io.ComfyNode):
    """A classifier in; a safetensors file in models/image_classifiers out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourSaveClassifier",
            display_name="Save Image Classifier",
            category=CLASSIFIERS,
            description=(
                "Writes a classifier with its edits into models/image_classifiers, as one "
                "safetensors file; nothing is overwritten. To share an edit alone, use Save Edit."
            ),
            inputs=[
                ClassifierSocket.Input("classifier", tooltip=CLASSIFIER["saved"].tooltip),
                io.String.Input(
                    "filename", default="my_classifier", tooltip=CLASSIFIER["filename"].tooltip
                ),
            ],
            outputs=[
                io.String.Output(
                    "saved_as", display_name="file", tooltip="The name under which it was saved."
                )
            ],
            is_output_node=True,
            search_aliases=["save", "export", "classifier"],
        )

    @classmethod
    def execute(cls, classifier, filename) -> io.NodeOutput:
        folder = model_save_folder()
        path = save_new_classifier(classifier.edited(), filename, folder)
        saved, edits = name_below(path, folder), counted(len(classifier.stack.edits), "edit")
        told = f"Saved as {saved}, with {edits} applied."
        return io.NodeOutput(saved, ui={"detour_report": [told]})


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
            category=CLASSIFIERS,
            description=(
                "What a classifier says about pictures, one line for each; and those pictures "
                "that it is sure of, or that have the label you want. With another classifier as "
                "'before': which pictures changed their label."
            ),
            inputs=_classify_inputs(),
            outputs=_classify_outputs(),
            is_output_node=True,  # it shows its report itself
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            search_aliases=["classifier", "tagger", "filter", "nsfw", "label", "predict"],
        )

    @classmethod
    def execute(
        cls, classifier, images, top_k=1, threshold=0.0, keep_label="", before=None
    ) -> io.NodeOutput:
        edited = classifier.edited()
        keep = edited.description.index_of(keep_label) if keep_label.strip() else None
        found = predict(edited, classifier.logits(images), top_k, threshold, keep)
        kept = [number for number, one in enumerate(found) if one.kept]
        text, short = describe_predictions(found), describe_predictions(found, SHOWN)
        old = None
        if before is not None:
            if before.labels != classifier.labels:
                raise ValueError(
                    f"The classifier has {len(classifier.labels)} labels and the one before has "
                    f"{len(before.labels)}, or others: connect two with the same labels."
                )
            old = predict(before.edited(), before.logits(images), top_k, threshold)
            changes = describe_changes(old, found)
            text, short = f"{changes}\n{text}", f"{changes}\n{short}"
        chart, told = shown(cls, short, draw_predictions(images, found, old))
        if before is None:  # the lines say as much
            del told["detour_chart"]
        return io.NodeOutput(
            "\n".join(one.label for one in found),
            json.dumps([one.as_dict() for one in found], ensure_ascii=False, indent=1),
            images[kept] if kept else ExecutionBlocker(None),
            text,
            chart,
            ui=told,
        )


def _classify_inputs() -> list:
    return [
        ClassifierSocket.Input("classifier", tooltip=CLASSIFY["classifier"].tooltip),
        io.Image.Input("images", tooltip=CLASSIFY["images"].tooltip),
        io.Int.Input("top_k", default=3, min=1, max=100, tooltip=CLASSIFY["top_k"].tooltip),
        io.Float.Input(
            "threshold",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip=CLASSIFY["threshold"].tooltip,
        ),
        io.String.Input("keep_label", default="", tooltip=CLASSIFY["keep_label"].tooltip),
        ClassifierSocket.Input("before", optional=True, tooltip=CLASSIFY["before"].tooltip),
    ]


def _classify_outputs() -> list:
    return [
        io.String.Output("labels", display_name="labels", tooltip="One line for each picture."),
        io.String.Output("scores", display_name="scores", tooltip="Labels and scores as JSON."),
        io.Image.Output(
            "kept",
            display_name="kept images",
            tooltip="The pictures that pass; nothing runs after it when there are none.",
        ),
        io.String.Output("report", display_name="report", tooltip="Labels and scores in words."),
        io.Image.Output(
            "chart",
            display_name="chart",
            tooltip="The pictures and their labels; with 'before' those that changed come first.",
        ),
    ]


class ClassifierFromProbes(io.ComfyNode):
    """Probes and a backbone in; a classifier with one class for each class of the probes out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourClassifierFromProbes",
            display_name="Classifier from Probes",
            category=CLASSIFIERS,
            description=(
                "Fits a classifier to your own pictures, on what a CLIP vision model or another "
                "classifier sees in them. Takes seconds; 100 pictures of each group are good, 50 "
                "are few."
            ),
            inputs=_fit_inputs(),
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


def _fit_inputs() -> list:
    return [
        ProbesSocket.Input("probes", tooltip=FIT["probes"].tooltip),
        *backbone_inputs(FIT),
    ]
