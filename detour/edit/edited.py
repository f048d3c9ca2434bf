"""A classifier and the edits on its head, as every host carries it: the network once, the edits
beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from ..classifier.head import Head
from ..classifier.model import ImageClassifier, Progress
from ..probes.features import Probes
from ..probes.parts import FIT_SEED
from ..probes.pictures import Picture, compute_features
from ..probes.probe_set import ProbeSet
from .apply import apply_edits, combined
from .record import EditStack, new_stack


class Runtime(Protocol):
    """How a host lets a classifier compute: its device, its memory, its progress and its stop."""

    def ready(self, classifier: ImageClassifier) -> AbstractContextManager[Any]:
        """Inside the `with` the backbone is on its device, with room for a chunk of pictures."""
        ...

    def counted(self, what: str, total: int) -> Progress:
        """Shows how many of `total` pictures are done; raises when the user stops."""
        ...

    def searching(self, room: int) -> AbstractContextManager[torch.device]:
        """Inside the `with` a search may compute on that device, where so many bytes are free."""
        ...


@dataclass(frozen=True, eq=False)
class EditedClassifier:
    """A classifier as it was loaded, and the edits on its head. Nothing here is written to.

    unedited: as it was loaded; what comes of this one shares its backbone. stack: the edits.
    fitted_on: the probes of which the head learned three quarters, where that happened in this
    session. hashes: of the backbone, by what they depend on beside its weights; a host may give
    a table that outlives this object.
    """

    unedited: ImageClassifier
    stack: EditStack
    runtime: Runtime
    fitted_on: ProbeSet | None = None
    hashes: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """One name per class."""
        return self.unedited.labels

    @cached_property
    def unedited_head(self) -> Head:
        """The last layer as it was loaded."""
        return Head(self.unedited.weight, self.unedited.bias)

    def edited(self) -> ImageClassifier:
        """The classifier with its edits; the same one where there are none."""
        if not self.stack.edits:
            return self.unedited
        head = apply_edits(self.stack, self.unedited_head)
        return self.unedited.with_head(head.weight, head.bias)

    def with_stack(self, stack: EditStack) -> EditedClassifier:
        """The same classifier with other edits."""
        return replace(self, stack=stack)

    def with_more(self, edits: EditStack, degree: float) -> EditedClassifier:
        """With more edits on top of those there are, times `degree`; see `combined`."""
        return self.with_stack(combined(self.stack, edits, self.unedited_head, degree))

    def with_classifier(
        self, classifier: ImageClassifier, fitted_on: ProbeSet | None = None
    ) -> EditedClassifier:
        """Another head, without edits, on the same backbone."""
        stack = unedited_stack(classifier)
        return replace(self, unedited=classifier, stack=stack, fitted_on=fitted_on)

    def learned_from(self, probe_set: ProbeSet, split_seed: int, whole: bool) -> bool:
        """Whether the head was fitted on some of the pictures that it is judged on.

        whole: that is all of them; else the report part of this split seed, which holds nothing
        that it was fitted on if it is of the very same probes.
        """
        known = self.fitted_on
        if known is None or not known.shares_pictures(probe_set):
            return False
        return whole or split_seed != FIT_SEED or not known.same_as(probe_set)

    def backbone_hash(self) -> str:
        """`ImageClassifier.backbone_hash`, computed once."""
        told = self.unedited.description
        key = f"{told.preprocessing!r} {told.architecture} {told.config}"
        if key not in self.hashes:
            self.hashes[key] = self.unedited.backbone_hash()
        return self.hashes[key]

    def features(self, pictures: Tensor | Sequence[Picture]) -> Tensor:
        """Features `[N, D]` of an IMAGE batch, or of picture files and pictures of any sizes."""
        progress = self.runtime.counted("Classifying", len(pictures))
        if isinstance(pictures, Tensor):
            with self.runtime.ready(self.unedited):
                return self.unedited.features(pictures.cpu(), progress=progress)
        with self._features() as features:
            return compute_features(pictures, features, progress)

    def logits(self, pictures: Tensor | Sequence[Picture]) -> Tensor:
        """Logits `[N, C]` with the edits; otherwise like `features`."""
        return self.edited().head(self.features(pictures))

    def probes(self, probe_set: ProbeSet, tag: str = "", strict: bool = True) -> Probes:
        """The probes as this classifier's unedited head sees them.

        Features that the set already has are used if they are of this backbone. tag: of a
        sigmoid classifier, the one to look at, where the classes' names leave it open. strict:
        see `ProbeSet.probes`.
        """
        with self._features() as features:
            return probe_set.probes(
                self.unedited,
                features,
                backbone=self.backbone_hash(),
                tag=tag,
                strict=strict,
                progress=self.runtime.counted("Looking at the probes", len(probe_set)),
            )

    def kept(self, probe_set: ProbeSet) -> ProbeSet:
        """The probes with features of this backbone in place of their pictures."""
        backbone = self.backbone_hash()
        progress = self.runtime.counted("Looking at the probes", len(probe_set))
        with self._features() as features:
            return probe_set.keep(probe_set.features(features, backbone, progress), backbone)

    @contextmanager
    def _features(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """A function of IMAGE batches. The backbone is made ready when it is first called: most
        probes have been looked at already."""
        with ExitStack() as ends:
            make_ready = cache(lambda: ends.enter_context(self.runtime.ready(self.unedited)))

            def features(images: Tensor) -> Tensor:
                make_ready()
                return self.unedited.features(images.cpu())

            yield features


def unedited_stack(classifier: ImageClassifier) -> EditStack:
    """An empty stack for this classifier's head."""
    head = Head(classifier.weight, classifier.bias)
    return new_stack(head, classifier.description.architecture)
