"""A loaded classifier in a web UI: its network once, its edits beside it; on which device it
computes, when, and the room that it gets there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from modules import devices, shared
from torch import Tensor, nn

from ..detour.classifier.load import load_classifier
from ..detour.classifier.model import ImageClassifier
from ..detour.edit.apply import combined
from ..detour.edit.edited import edited_classifier, unedited_stack
from ..detour.edit.file import named_edits
from ..detour.edit.record import EditStack
from ..detour.files import resolve_inside
from ..detour.probes.features import Probes
from ..detour.probes.pictures import Picture, compute_features
from ..detour.probes.probe_set import ProbeSet
from ..detour.search.neutralize import EditSearch, Neutralized
from .folders import edit_roots, model_roots
from .options import DEVICE
from .work import Work

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


USED_AS = ("detour", "all")
"""What `--use-cpu` may name to keep classifiers on the CPU."""


MANAGERS = ("backend.memory_management", "ldm_patched.modules.model_management")
"""Of Forge; of reForge and Forge-classic. Looked up, never imported: other extensions have
modules of these names too."""


PAUSE = 0.1
"""Seconds between two looks at whether a generation has ended."""


def pick_device() -> torch.device:
    """The device by the setting; `auto` is the CPU where the user saves graphics memory."""
    choice = getattr(shared.opts, DEVICE, "auto")
    if choice == "cpu" or (choice == "auto" and _spares_memory(shared.cmd_opts)):
        return torch.device("cpu")
    return torch.device(devices.get_optimal_device())


def _spares_memory(options: Any) -> bool:
    on_cpu = getattr(options, "use_cpu", None) or []
    small = getattr(options, "lowvram", False) or getattr(options, "medvram", False)
    return bool(small) or any(name in on_cpu for name in USED_AS)


@contextmanager
def on_device(network: nn.Module, room: int, wait: Callable[[], None]) -> Iterator[None]:
    """Inside the `with`, the network is on its device and no generation runs beside it there.

    room: bytes to free beyond the weights. wait: called again and again while a generation
    runs; what it raises ends the waiting. Afterwards the network is on the CPU, in any case.
    """
    device = pick_device()
    with _without_autocast(device):
        if device.type == "cpu":
            yield
            return
        with _alone(wait):
            _make_room(room + _size(network), device)
            try:
                network.to(device)
                yield
            finally:
                network.to("cpu")
                devices.torch_gc()


def _without_autocast(device: torch.device) -> AbstractContextManager:
    """Autocast off, where there is such a thing for the device: elsewhere it cannot be on.

    Asking for it there is an error, as with `mps` before torch 2.5 and `privateuseone` (DirectML).
    """
    try:
        return torch.autocast(device.type, enabled=False)
    except (RuntimeError, AssertionError):
        return nullcontext()


@contextmanager
def _alone(wait: Callable[[], None]) -> Iterator[None]:
    """The host's lock around generations, if it has one."""
    lock = getattr(sys.modules.get("modules.call_queue"), "queue_lock", None)
    if lock is None:
        yield
        return
    while not lock.acquire(False):
        wait()
        time.sleep(PAUSE)
    try:
        yield
    finally:
        lock.release()


def _make_room(count: int, device: torch.device) -> None:
    for name in MANAGERS:
        free = getattr(sys.modules.get(name), "free_memory", None)
        if free is not None:
            free(count, device)
            return


def _size(network: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())
