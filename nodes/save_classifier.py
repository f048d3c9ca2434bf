"""The node that saves a classifier, edits included."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from ..detour.classifier import save_new_classifier
from .classifier_host import ClassifierSocket, model_save_folder
from .schema import CATEGORY, build


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
        return _told(path, folder, len(classifier.stack.edits))


def _told(path: Path, folder: Path, edits: int) -> io.NodeOutput:
    saved = path.relative_to(folder.resolve()).as_posix()
    what = f"with {edits} edits" if edits != 1 else "with 1 edit"
    return io.NodeOutput(saved, ui={"detour_report": [f"Saved as {saved}, {what} applied."]})
