"""The nodes that make probes: labelled pictures from a folder, or from image batches."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..detour.classifier_words import PROBES
from ..detour.edit.edited import EditedClassifier
from ..detour.files import resolve_inside
from ..detour.probes.folder import read_folder
from ..detour.probes.probe_set import ProbeSet, batch_probes
from ..detour.report.probes import describe_probes, preview
from ..detour.words import Words
from .classifier_host import ClassifierSocket, ProbesSocket, file_state, picture_roots
from .clip_backbone import unfitted_clip
from .schema import CLASSIFIERS, build, report_outputs, shown

ALIASES = ["probes", "groups", "dataset", "bias", "shortcut", "spurious", "metadata"]
HIGHEST_SEED = 0xFFFFFFFFFFFFFFFF


class ProbeFolder(io.ComfyNode):
    """A folder of labelled pictures in; PROBES out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourProbeFolder",
            display_name="Probes from Folder",
            category=CLASSIFIERS,
            description=(
                "Labelled pictures from a folder: what each shows (class), and whether the suspect "
                "feature is there (attribute). Takes sub-folders class/attribute/, as in "
                "nurse/woman/1.png, or a metadata.csv."
            ),
            inputs=[
                io.String.Input("folder", default="probes", tooltip=PROBES["folder"].tooltip),
            ],
            outputs=probe_outputs(),
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,  # it shows its report itself
            search_aliases=ALIASES,
        )

    @classmethod
    def execute(cls, folder) -> io.NodeOutput:
        return _shown(cls, read_folder(resolve_inside(folder, picture_roots())))

    @classmethod
    def fingerprint_inputs(cls, folder) -> str | float:
        """Run again when something below the folder was written again."""
        return file_state(folder, picture_roots())


class ProbeImages(io.ComfyNode):
    """An image batch of one group in; PROBES out, chained to those before."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourProbeImages",
            display_name="Probes from Images",
            category=CLASSIFIERS,
            description=(
                "Makes pictures of one group into probes: what they show (class) and whether the "
                "suspect feature is there (attribute). Use one of these nodes for each group and "
                "connect them in a row."
            ),
            inputs=[*_image_inputs(), *_chain_inputs()],
            outputs=probe_outputs(),
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,  # it shows its report itself
            search_aliases=ALIASES,
        )

    @classmethod
    def execute(
        cls,
        images,
        class_name,
        attribute,
        unit_start=0,
        probes=None,
        classifier=None,
        clip_vision=None,
    ) -> io.NodeOutput:
        made = batch_probes(images, class_name, attribute, unit_start)
        backbone = chosen_backbone(classifier, clip_vision)
        if backbone is not None:
            made = backbone.kept(made)
        return _shown(cls, made if probes is None else probes.chain(made))


def chosen_backbone(classifier, clip_vision) -> EditedClassifier | None:
    """The one backbone that is connected, if any. Raises ValueError if both are."""
    if classifier is not None and clip_vision is not None:
        raise ValueError(
            "A classifier and a CLIP vision model are connected: one of them makes the features, "
            "disconnect the other."
        )
    return classifier if clip_vision is None else unfitted_clip(clip_vision)


def backbone_inputs(words: dict[str, Words]) -> list:
    """The two optional inputs of which one may be a backbone; `words` has both."""
    return [
        ClassifierSocket.Input("classifier", optional=True, tooltip=words["classifier"].tooltip),
        io.ClipVision.Input("clip_vision", optional=True, tooltip=words["clip_vision"].tooltip),
    ]


def _image_inputs() -> list:
    return [
        io.Image.Input("images", tooltip=PROBES["images"].tooltip),
        io.String.Input("class_name", default="", tooltip=PROBES["class_name"].tooltip),
        io.String.Input("attribute", default="with", tooltip=PROBES["attribute"].tooltip),
        io.Int.Input(
            "unit_start", default=0, min=-1, max=HIGHEST_SEED, tooltip=PROBES["unit_start"].tooltip
        ),
    ]


def _chain_inputs() -> list:
    return [
        ProbesSocket.Input("probes", optional=True, tooltip=PROBES["probes"].tooltip),
        *backbone_inputs(PROBES),
    ]


def probe_outputs() -> list:
    """The outputs of every node that makes probes."""
    return [
        ProbesSocket.Output(
            "probes_out",
            display_name="PROBES",
            tooltip="The probes: connect them to Neutralize Shortcut or to the next group.",
        ),
        *report_outputs(),
    ]


def _shown(cls: Any, probes: ProbeSet) -> io.NodeOutput:
    text = describe_probes(probes)
    images, ui = shown(cls, text, preview(probes))
    return io.NodeOutput(probes, text, images, ui=ui)
