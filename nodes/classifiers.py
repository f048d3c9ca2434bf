"""The nodes that load a classifier, make one out of probes, ask it about pictures and save it."""

from __future__ import annotations

import json

from comfy_api.latest import io
from comfy_execution.graph import ExecutionBlocker

from ..detour.checks import counted
from ..detour.classifier.load import load_typed
from ..detour.classifier.model import predict
from ..detour.classifier.save import save_new_classifier
from ..detour.files import name_below, resolve_inside
from ..detour.report.classifier import describe_classifier, describe_predictions
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
from .schema import CATEGORY, build

OWN_DEFAULT = "coloured_digits.safetensors"


AS_THE_FILE_SAYS = "auto"


class LoadClassifier(io.ComfyNode):
    """A file in models/image_classifiers in; CLASSIFIER out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourLoadClassifier",
            display_name="Load Image Classifier",
            category=CATEGORY,
            description=(
                "Loads an image classifier from models/image_classifiers: torchvision, timm and "
                "transformers networks, as safetensors, PyTorch file or transformers folder. "
                "Two small ones for digits come with Detour. No code from a file is ever run; "
                "the loaded model is never changed, edits are kept beside it."
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

    @classmethod
    def validate_inputs(cls, file) -> bool:
        """Files may be newer than the host's list of them; `execute` says what is wrong."""
        return True


def _load_inputs() -> list:
    names = model_names()
    default = OWN_DEFAULT if OWN_DEFAULT in names else (names or [""])[0]
    return [
        io.Combo.Input(
            "file",
            options=names,
            default=default,
            tooltip=(
                "A file or a transformers folder in models/image_classifiers. You should see: "
                "the number of classes and the first labels in the report."
            ),
        ),
        io.String.Input(
            "architecture",
            default=AS_THE_FILE_SAYS,
            tooltip=(
                "auto = as the file says, else recognised from its weights. Otherwise a name, "
                "for example resnet50, torchvision:regnet_y_400mf or timm:convnext_small. You "
                "should see: the architecture in the report."
            ),
        ),
        io.String.Input(
            "labels",
            default="",
            multiline=True,
            tooltip=(
                "The names of the classes in their order, one a line or separated by commas; "
                "empty = as the file says, else numbers (ImageNet's for 1,000 classes). You "
                "should see: these names in all results."
            ),
        ),
        *_meaning_inputs(),
        io.ClipVision.Input(
            "clip_vision",
            optional=True,
            tooltip=(
                "Only for a classifier that was fitted on a CLIP vision model: that model. You "
                "should see: a message when it is another one."
            ),
        ),
    ]


def _meaning_inputs() -> list:
    """What the classifier's numbers mean."""
    return [
        io.Combo.Input(
            "activation",
            options=[AS_THE_FILE_SAYS, "softmax", "sigmoid"],
            default=AS_THE_FILE_SAYS,
            tooltip=(
                "softmax = one class for each picture; sigmoid = each class by itself, for "
                "taggers and NSFW filters; auto = as the file says, else softmax. You should "
                "see: scores that add up to 1 with softmax only."
            ),
        ),
        io.Float.Input(
            "threshold",
            default=0.0,
            min=0.0,
            max=0.999,
            step=0.001,
            tooltip=(
                "For sigmoid: the score from which a tag counts as present; 0 = as the file "
                "says, else 0.5. softmax has none. You should see: fewer tags as this goes up."
            ),
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
            category=CATEGORY,
            description=(
                "Writes a classifier with its edits into models/image_classifiers, as one "
                "safetensors file with labels and preprocessing. A file of the same name is "
                "never overwritten: the new one gets a number. To share an edit alone, use "
                "Save Edit. Of a classifier on CLIP vision only the head is written."
            ),
            inputs=[
                ClassifierSocket.Input(
                    "classifier",
                    tooltip="The classifier to save. You should see: its name in the report.",
                ),
                io.String.Input(
                    "filename",
                    default="my_classifier",
                    tooltip=(
                        "The name of the file, with sub-folders if you like. You should see: "
                        "it in Load Image Classifier after a refresh."
                    ),
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
            category=CATEGORY,
            description=(
                "What a classifier says about pictures, one line for each; and those pictures "
                "that it is sure of, or that have the label you want. Edits of the classifier "
                "count."
            ),
            inputs=_classify_inputs(),
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


def _classify_inputs() -> list:
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
