"""The node that loads an image classifier."""

from __future__ import annotations

from comfy_api.latest import io

from ..detour.classifier import (
    describe_classifier,
    load_classifier,
    parse_labels,
)
from ..detour.paths import resolve_inside
from .classifier_host import (
    ClassifierSocket,
    file_state,
    host_classifier,
    managed_classifier,
    model_names,
    model_roots,
)
from .clip_backbone import clip_backbone
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
            inputs=_inputs(),
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
        classifier = load_classifier(
            path,
            architecture=architecture.strip(),
            labels=parse_labels(labels),
            activation="" if activation == AS_THE_FILE_SAYS else activation,
            threshold=None if threshold == 0 else threshold,
            backbone=None if clip_vision is None else clip_backbone(clip_vision),
        )
        if classifier.description.backbone_hash:
            hosted = managed_classifier(classifier, clip_vision.patcher, in_parts=True)
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


def _inputs() -> list:
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
