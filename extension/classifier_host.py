"""How classifiers live in a web UI: on which device they compute, when, and the room that they get
there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from modules import devices, shared
from torch import nn

from ..detour.classifier.load import load_typed
from ..detour.classifier.model import CHUNK, ImageClassifier, Progress
from ..detour.edit.edited import EditedClassifier, unedited_stack
from ..detour.files import resolve_inside
from .folders import model_roots
from .options import DEVICE
from .work import Work


@dataclass(frozen=True)
class OnDevice:
    """The device that the user chose as a `Runtime`, for one piece of work in the tab."""

    work: Work

    def ready(self, classifier: ImageClassifier) -> AbstractContextManager[Any]:
        """The backbone is on the device; see `on_device`."""
        room = classifier.working_bytes(CHUNK)
        return on_device(classifier.backbone, room, self.work.check)

    def counted(self, what: str, total: int) -> Progress:
        """The tab's line of progress; raises Stopped once the user has pressed Stop."""
        return self.work.counted(what)

    def searching(self, room: int) -> AbstractContextManager[torch.device]:
        """The device by the setting, with no generation beside the search; see `on_device`."""
        return on_device(nn.Identity(), room, self.work.check)


def load_hosted(work: Work, file: str, *typed: Any) -> EditedClassifier:
    """A classifier by its name in the model folders; typed: what `load_typed` takes beside it."""
    made = load_typed(resolve_inside(file, model_roots(), links=True), *typed)
    return EditedClassifier(made, unedited_stack(made), OnDevice(work))


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
def on_device(network: nn.Module, room: int, wait: Callable[[], None]) -> Iterator[torch.device]:
    """Inside the `with`, the network is on its device and no generation runs beside it there.

    room: bytes to free beyond the weights. wait: called again and again while a generation
    runs; what it raises ends the waiting. Afterwards the network is on the CPU, in any case.
    """
    device = pick_device()
    with _without_autocast(device):
        if device.type == "cpu":
            yield device
            return
        with _alone(wait):
            _make_room(room + _size(network), device)
            try:
                network.to(device)
                yield device
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
