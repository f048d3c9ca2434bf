"""How classifiers live in ComfyUI: its devices, its memory, its progress bar and cancel button,
its folders.

The only file of the classifier nodes that knows the host's model management.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import comfy.model_management as management
import folder_paths
import torch
from comfy.model_patcher import ModelPatcher
from comfy.utils import ProgressBar
from comfy_api.latest import io
from torch import nn

from ..detour.classifier.model import CHUNK, ImageClassifier, Progress
from ..detour.edit.edited import EditedClassifier, unedited_stack
from ..detour.files import CLASSIFIER_ENDINGS, resolve_inside

ClassifierSocket = io.Custom("DETOUR_CLASSIFIER")
ProbesSocket = io.Custom("DETOUR_PROBES")
EditSocket = io.Custom("DETOUR_EDIT")
MODEL_FOLDER = "image_classifiers"
OUTPUT_SUBFOLDER = "detour"
OWN_CLASSIFIERS = Path(__file__).resolve().parent.parent / "demo" / "classifiers"
"""The small classifiers that come with Detour, listed beside the user's own."""
STEPS = 1000
"""Into how many steps the bar is divided; a search reports its share as a number."""
HASHES = "detour backbone"
"""What the hashes of its backbone are attached to a patcher as."""


@dataclass(frozen=True, eq=False)
class Managed:
    """The host's model management as a `Runtime`: classifiers on one backbone share it.

    patcher: the host's handle on the backbone. in_parts: the host may leave some of its weights
    where they are (its own models can do that).
    """

    patcher: ModelPatcher
    in_parts: bool = False

    def ready(self, classifier: ImageClassifier) -> AbstractContextManager[None]:
        """The host loads the backbone, and unloads it when it needs the room."""
        room = classifier.working_bytes(CHUNK)
        management.load_models_gpu(
            [self.patcher], memory_required=room, force_full_load=not self.in_parts
        )
        return nullcontext()

    def counted(self, what: str, total: int) -> Progress:
        """The host's progress bar; raises when the user cancels."""
        return progress(total)

    def searching(self, room: int) -> AbstractContextManager[torch.device]:
        """The host frees the room on the device that the backbone computes on."""
        device = self.patcher.load_device
        if device.type != "cpu":
            management.free_memory(room, device)
        return nullcontext(device)


def progress(total: int) -> Progress:
    """The host's progress bar as `progress(done, all)`; raises when the user cancels."""
    bar = ProgressBar(max(total, 1))

    def show(done: int, total: int) -> None:
        management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)

    return show


def show_progress() -> Callable[[float], None]:
    """A function to call with the finished share (0..1) of one long piece of work.

    It raises the host's own exception when the user has cancelled the run.
    """
    show = progress(STEPS)
    return lambda share: show(round(share * STEPS), STEPS)


def host_classifier(classifier: ImageClassifier) -> EditedClassifier:
    """A loaded classifier under the host's model management, float32 on its device."""
    patcher = ModelPatcher(
        _Shell(classifier.backbone),
        load_device=management.text_encoder_device(),
        offload_device=management.text_encoder_offload_device(),
    )
    return managed_classifier(classifier, Managed(patcher))


def managed_classifier(classifier: ImageClassifier, managed: Managed) -> EditedClassifier:
    """A classifier whose backbone the host manages already (its CLIP vision model)."""
    hashes = managed.patcher.get_attachment(HASHES)
    if hashes is None:
        managed.patcher.set_attachments(HASHES, hashes := {})
    return EditedClassifier(classifier, unedited_stack(classifier), managed, hashes=hashes)


class _Shell(nn.Module):
    """The host writes attributes of its own (`device` and others) onto what it manages, and
    networks of other libraries refuse some of them: this shell takes them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


def register_model_folder() -> None:
    """Make `models/image_classifiers` known to the host, and Detour's own small classifiers."""
    own = str(Path(folder_paths.models_dir) / MODEL_FOLDER)
    folder_paths.add_model_folder_path(MODEL_FOLDER, own, is_default=True)
    folder_paths.add_model_folder_path(MODEL_FOLDER, str(OWN_CLASSIFIERS))
    paths, extensions = folder_paths.folder_names_and_paths[MODEL_FOLDER]
    known = (paths, set(extensions) | set(CLASSIFIER_ENDINGS))
    folder_paths.folder_names_and_paths[MODEL_FOLDER] = known


def model_roots() -> list[Path]:
    """The folders in which classifiers are looked for."""
    return [Path(path) for path in folder_paths.get_folder_paths(MODEL_FOLDER)]


def model_save_folder() -> Path:
    """Where classifiers are saved: the first of their folders, `models/image_classifiers`."""
    return model_roots()[0]


def model_names() -> list[str]:
    """The classifiers there are: files, and folders of the transformers library by their name."""
    names = []
    for name in folder_paths.get_filename_list(MODEL_FOLDER):
        folder = Path(name).parent
        if folder.name and any((root / folder / "config.json").is_file() for root in model_roots()):
            name = folder.as_posix()
        if name not in names:
            names.append(name)
    return names


def file_state(name: object, roots: list[Path], links: bool = False) -> str | float:
    """For `fingerprint_inputs`: changes when the file, the JSON beside it or anything below the
    folder is written to. NaN, which is never the same, for a name that comes through a link of
    the graph. links: symbolic ones may lead out of the roots, see `resolve_inside`."""
    if not isinstance(name, str):
        return float("nan")  # a new one each time: the host finds one and the same equal to itself
    try:
        path = resolve_inside(name, roots, links=links)
    except (OSError, ValueError):
        return ""  # `execute` says what is wrong
    files = sorted(path.rglob("*")) if path.is_dir() else [path, path.with_suffix(".json")]
    states = [(f.as_posix(), f.stat()) for f in files if f.is_file()]
    return repr([(place, state.st_mtime_ns, state.st_size) for place, state in states])


def picture_roots() -> list[Path]:
    """The folders below which probe pictures may lie."""
    return [Path(folder_paths.get_input_directory()), Path(folder_paths.get_output_directory())]


def output_folder() -> Path:
    """Where Detour writes edits: `output/detour`."""
    return Path(folder_paths.get_output_directory()) / OUTPUT_SUBFOLDER
