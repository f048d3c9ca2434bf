"""The nodes that keep edits as small files: to save, to share, to apply to the same model."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from ..detour.checks import read_degree
from ..detour.classifier_words import EDIT_FILE
from ..detour.edit.file import named_edits, save_new_edits
from ..detour.edit.record import EditStack
from ..detour.files import edit_names, name_below
from ..detour.report.proof import applied_picture, applied_text
from ..detour.search.check import check_edits
from .classifier_host import (
    OUTPUT_SUBFOLDER,
    ClassifierSocket,
    EditSocket,
    ProbesSocket,
    file_state,
    model_roots,
    output_folder,
)
from .edits import classifier_input, degree_input
from .schema import CLASSIFIERS, build, shown

NO_FILE = "none"


class SaveEdit(io.ComfyNode):
    """An edit in; a file of a few kilobytes and its path out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourSaveEdit",
            display_name="Save Edit",
            category=CLASSIFIERS,
            description=(
                "Writes all edits of a classifier to output/detour as a file of a few kilobytes. "
                "Send it to a friend: with Apply Edit and the same model it gives bit for bit the "
                "same logits."
            ),
            inputs=[
                EditSocket.Input("edit", tooltip=EDIT_FILE["edit"].tooltip),
                io.String.Input("filename", default="edit", tooltip=EDIT_FILE["filename"].tooltip),
            ],
            outputs=[io.String.Output("path", display_name="path", tooltip="Where the file is.")],
            is_output_node=True,
            search_aliases=["export edit", "share edit", "edit.json"],
        )

    @classmethod
    def execute(cls, edit, filename) -> io.NodeOutput:
        target = save_new_edits(edit, filename, output_folder(), numbered=True)
        told = f"Saved {name_below(target, output_folder())} in output/{OUTPUT_SUBFOLDER}."
        return io.NodeOutput(str(target), ui={"detour_report": [told]})


class ApplyEdit(io.ComfyNode):
    """A classifier and a saved edit in; the edited classifier out."""

    UNLISTED = ("file",)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourApplyEdit",
            display_name="Apply Edit",
            category=CLASSIFIERS,
            description=(
                "Puts saved edits on the model that they were made for, on top of those that it "
                "has, and tells what they do; with probes connected, what they do on those. "
                "Another model is refused, and so is the same edit twice."
            ),
            inputs=_apply_edit_inputs(),
            outputs=[
                ClassifierSocket.Output(
                    "edited", display_name="CLASSIFIER", tooltip="The classifier with the edits."
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="What the edits do, on what that was proved, and the groups before "
                    "and after on the probes.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,  # it shows its report itself
            search_aliases=["import edit", "load edit", "edit.json"],
        )

    @classmethod
    def fingerprint_inputs(cls, file=NO_FILE, **_others) -> str | float:
        """Run again when the file was written again."""
        return "" if file == NO_FILE else file_state(file, edit_roots(), links=True)

    @classmethod
    def execute(cls, classifier, file, degree, edit=None, probes=None) -> io.NodeOutput:
        read_degree(degree)
        found = _read(file) if edit is None else edit
        edited = classifier.with_more(found, degree)
        checked = None if probes is None else check_edits(edited, classifier, probes)
        report = applied_text(found, edited.stack.sha256, checked, degree)
        told = {"detour_report": [report]}
        if checked is not None:
            _, told = shown(cls, report, applied_picture(checked))
        return io.NodeOutput(edited, report, ui=told)


def _apply_edit_inputs() -> list:
    return [
        classifier_input(),
        io.Combo.Input(
            "file",
            options=[NO_FILE, *edit_names(edit_roots())],
            default=NO_FILE,
            tooltip=EDIT_FILE["file"].tooltip,
        ),
        degree_input(EDIT_FILE["degree"].tooltip),
        EditSocket.Input("edit", optional=True, tooltip=EDIT_FILE["in_place"].tooltip),
        ProbesSocket.Input("probes", optional=True, tooltip=EDIT_FILE["probes"].tooltip),
    ]


def edit_roots() -> list[Path]:
    """The folders in which edit files are looked for."""
    return [output_folder(), *model_roots()]


def _read(file: str) -> EditStack:
    if file == NO_FILE or not str(file).strip():
        raise ValueError("No edit was given: choose a file, or connect an edit.")
    return named_edits(file, edit_roots())
