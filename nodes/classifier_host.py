"""How classifiers live in ComfyUI: its devices, its memory, its progress bar and cancel button,
its folders.

The only file of the classifier nodes that knows the host's model management.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import comfy.model_management as management
import folder_paths
from comfy.model_patcher import ModelPatcher
from comfy.utils import ProgressBar
from comfy_api.latest import io
from torch import Tensor, nn

from ..detour.classifier.model import ImageClassifier
from ..detour.edit.edited import edited_classifier, unedited_stack
from ..detour.edit.record import EditStack
from ..detour.files import CLASSIFIER_ENDINGS, resolve_inside
from ..detour.probes.features import Probes
from ..detour.probes.probe_set import ProbeSet
from ..detour.search.linear_head import FIT_SEED

ClassifierSocket = io.Custom("DETOUR_CLASSIFIER")


ProbesSocket = io.Custom("DETOUR_PROBES")


EditSocket = io.Custom("DETOUR_EDIT")


MODEL_FOLDER = "image_classifiers"


OUTPUT_SUBFOLDER = "detour"


OWN_CLASSIFIERS = Path(__file__).resolve().parent.parent / "demo" / "classifiers"
"""The small classifiers that come with Detour, listed beside the user's own."""


CHUNK = 32


@dataclass(frozen=True, eq=False)
class HostedClassifier:
    """What a DETOUR_CLASSIFIER socket carries. Nothing here is ever written to.

    unedited: the classifier as it was loaded. patcher: the host's handle on its backbone.
    stack: the edits on its head. in_parts: the host may leave some of the backbone's weights
    where they are (its own models can do that). fitted_on: the probes of which the head learned
    three quarters, where that happened in this graph. Branches of a graph share backbone and
    patcher.
    """

    unedited: ImageClassifier
    patcher: ModelPatcher
    stack: EditStack
    in_parts: bool = False
    fitted_on: ProbeSet | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """One name per class."""
        return self.unedited.labels

    def edited(self) -> ImageClassifier:
        """The classifier with its edits; the same one where there are none."""
        return edited_classifier(self.unedited, self.stack)

    def with_stack(self, stack: EditStack) -> HostedClassifier:
        """The same classifier with other edits."""
        return replace(self, stack=stack)

    def with_classifier(
        self, classifier: ImageClassifier, fitted_on: ProbeSet | None = None
    ) -> HostedClassifier:
        """Another head, without edits, on the same backbone."""
        stack = unedited_stack(classifier)
        return replace(self, unedited=classifier, stack=stack, fitted_on=fitted_on)

    def learned_from(self, probe_set: ProbeSet, split_seed: int, whole: bool) -> bool:
        """Whether the head was fitted on some of the pictures that it is judged on.

        whole: that is all of them; else the report part of this split seed.
        """
        shared = self.fitted_on is not None and self.fitted_on.shares_pictures(probe_set)
        return shared and (whole or split_seed != FIT_SEED)

    def backbone_hash(self) -> str:
        """`ImageClassifier.backbone_hash`, computed once for each model of the host's."""
        told = self.unedited.description
        key = f"detour backbone {told.preprocessing!r} {told.architecture} {told.config}"
        if self.patcher.get_attachment(key) is None:
            self.patcher.set_attachments(key, self.unedited.backbone_hash())
        return self.patcher.get_attachment(key)

    def features(self, images: Tensor) -> Tensor:
        """Features `[B, D]` of an IMAGE batch, on the host's device, with progress and cancel."""
        self._load()
        return self.unedited.features(images.cpu(), chunk=CHUNK, progress=progress(len(images)))

    def logits(self, images: Tensor) -> Tensor:
        """Logits `[B, C]` with the edits."""
        return self.edited().head(self.features(images))

    def probes(self, probe_set: ProbeSet, tag: str = "", strict: bool = True) -> Probes:
        """The probes as this classifier's unedited head sees them.

        Features that the set already has are used if they are of this backbone. tag: of a
        sigmoid classifier, the one to look at, where the classes' names leave it open. strict:
        see `ProbeSet.probes`.
        """
        return probe_set.probes(
            self.unedited,
            self._features_quietly,
            backbone=self.backbone_hash(),
            tag=tag,
            strict=strict,
            progress=progress(len(probe_set)),
        )

    def kept(self, probe_set: ProbeSet) -> ProbeSet:
        """The probes with features of this backbone in place of their pictures."""
        backbone = self.backbone_hash()
        bar = progress(len(probe_set))
        found = probe_set.features(self._features_quietly, backbone, bar)
        return probe_set.keep(found, backbone)

    def _features_quietly(self, images: Tensor) -> Tensor:
        """As `features`; whoever goes through many batches shows the progress itself."""
        self._load()
        return self.unedited.features(images.cpu(), chunk=CHUNK)

    def _load(self) -> None:
        room = self.unedited.working_bytes(CHUNK)
        management.load_models_gpu(
            [self.patcher], memory_required=room, force_full_load=not self.in_parts
        )


def progress(total: int) -> Callable[[int, int], None]:
    """The host's progress bar as `progress(done, all)`; raises when the user cancels."""
    bar = ProgressBar(max(total, 1))

    def show(done: int, total: int) -> None:
        management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)

    return show


def host_classifier(classifier: ImageClassifier) -> HostedClassifier:
    """A loaded classifier under the host's model management, float32 on its device."""
    patcher = ModelPatcher(
        _Managed(classifier.backbone),
        load_device=management.text_encoder_device(),
        offload_device=management.text_encoder_offload_device(),
    )
    return managed_classifier(classifier, patcher)


def managed_classifier(
    classifier: ImageClassifier, patcher: ModelPatcher, in_parts: bool = False
) -> HostedClassifier:
    """A classifier whose backbone the host manages already (its CLIP vision model)."""
    return HostedClassifier(classifier, patcher, unedited_stack(classifier), in_parts)


class _Managed(nn.Module):
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
        return math.nan
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


STEPS = 1000
"""Into how many steps the bar is divided; a search reports its share as a number."""


def show_progress() -> Callable[[float], None]:
    """A function to call with the finished share (0..1) of one long piece of work.

    It raises the host's own exception when the user has cancelled the run.
    """
    bar = ProgressBar(STEPS)

    def progress(share: float) -> None:
        management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(share * STEPS), STEPS)

    return progress
