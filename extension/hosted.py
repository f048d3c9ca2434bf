"""A loaded classifier in a web UI: its network once, its edits beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import Tensor

from ..detour.classifier import ImageClassifier, load_classifier
from ..detour.paths import resolve_inside
from ..detour.probing import ProbeSet
from ..detour.probing.sources import Picture, compute_features
from ..detour.spurious import (
    EditSearch,
    EditStack,
    Neutralized,
    Probes,
    combined,
    edited_classifier,
    named_edits,
    unedited_stack,
)
from .devices import on_device
from .folders import edit_roots, model_roots
from .tab_session import Work

CHUNK = 32


@dataclass(frozen=True, eq=False)
class HostedClassifier:
    """A classifier as it was loaded, and the edits on its head. Nothing here is written to.

    name: its file. stack: the edits. backbone: the hash of its network.
    """

    name: str
    unedited: ImageClassifier
    stack: EditStack
    backbone: str

    def edited(self) -> ImageClassifier:
        """The classifier with its edits; the same one where there are none."""
        return edited_classifier(self.unedited, self.stack)

    def with_stack(self, stack: EditStack) -> HostedClassifier:
        """The same classifier with other edits."""
        return replace(self, stack=stack)

    def with_file(self, file: str, degree: float) -> HostedClassifier:
        """With the edits of a file in one of the edit folders on top, times `degree`.

        Raises ValueError for edits of another model, and for what is no edit file.
        """
        found, own = named_edits(file, edit_roots()), self.unedited
        return self.with_stack(combined(self.stack, found, own.weight, own.bias, degree))

    def logits(self, pictures: Sequence[Picture], work: Work) -> Tensor:
        """Logits `[N, C]`, with the edits, of picture files or pictures `[H, W, 3]` in 0..1."""
        with self._ready(work):
            bar = work.counted("Classifying")
            return self.edited().head(compute_features(pictures, self._features, bar))

    def probes(self, probe_set: ProbeSet, work: Work, tag: str = "", strict: bool = True) -> Probes:
        """The probes as the unedited head sees them; features are computed once.

        tag: of a sigmoid classifier, the one to look at, where the classes leave it open. strict:
        see `ProbeSet.probes`.
        """
        with self._ready(work):
            return probe_set.probes(
                self.unedited,
                self._features,
                backbone=self.backbone,
                tag=tag,
                strict=strict,
                progress=work.counted("Looking at the probes"),
            )

    def search(
        self, search: EditSearch, probe_set: ProbeSet, work: Work
    ) -> tuple[Probes, Neutralized]:
        """The probes, and the edit that is found on them, on top of the edits there are."""
        return search.run(
            self.unedited.description,
            probe_set.attribute_names,
            probe_set.class_names,
            lambda: self.probes(probe_set, work, search.target_class),
            self.stack,
            work.shared("Searching"),
        )

    def _features(self, images: Tensor) -> Tensor:
        return self.unedited.features(images.cpu(), chunk=CHUNK)

    @contextmanager
    def _ready(self, work: Work) -> Iterator[None]:
        room = self.unedited.working_bytes(CHUNK)
        with on_device(self.unedited.backbone, room, work.check):
            yield


def load_hosted(
    file: str,
    architecture: str = "",
    labels: tuple[str, ...] = (),
    activation: str = "",
    threshold: float | None = None,
) -> HostedClassifier:
    """A classifier by its name in the model folders; see `load_classifier`."""
    made = load_classifier(
        resolve_inside(file, model_roots(), links=True),
        architecture=architecture,
        labels=labels,
        activation=activation,
        threshold=threshold,
    )
    return HostedClassifier(file, made, unedited_stack(made), made.backbone_hash())
