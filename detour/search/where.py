"""Where a search computes: on the host's device if that knows float64, else on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from ..classifier_words import SEARCH_WITHOUT_DEVICE
from ..edit.edited import Runtime
from ..probes.features import Probes

log = logging.getLogger("detour")
T = TypeVar("T")
ROOM = 2**31
"""For the blocks that a search works on, in bytes."""
CPU = "cpu"
SMALL = 2**23
"""Up to so many features of all probes and searched rows together the CPU searches (ours): on an
H200 several weights over half as many took longer than there, and one weight a blink on either."""
OUT_OF_MEMORY = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
"""torch 2.1 knows that of CUDA only."""


def search_device(device: torch.device | str) -> str:
    """The device itself if it computes in float64, found out by trying; else the CPU (Apple's)."""
    try:
        tried = torch.arange(3, device=device).double().div(3).sort(stable=True).values
        return str(device) if tried.tolist() == [0, 1 / 3, 2 / 3] else CPU
    except (RuntimeError, TypeError, AssertionError):  # as devices and builds of torch refuse it
        return CPU


@contextmanager
def room_to_search(runtime: Runtime, probes: Probes, searched: int) -> Iterator[Probes]:
    """Inside the `with`, the probes for a search over so many rows of the head: on the host's
    device if it is worth it. The host is asked for room there."""
    cells = probes.features.shape[0] * probes.features.shape[1]
    if cells * searched <= SMALL:
        yield probes
        return
    with runtime.searching(4 * (cells + probes.z.numel()) + ROOM) as device:
        yield probes.on(search_device(device))


@torch.inference_mode()
def on_device(probes: Probes, work: Callable[[Probes], T]) -> T:
    """What `work` finds on the probes, computed on their device.

    There it gets probes of which everything is on the device, and what it makes is so too. Where
    that has too little memory, the CPU does it, and the log says so. What comes back holds no
    tensors.
    """
    if probes.device == CPU:
        return work(probes)
    try:
        with torch.device(probes.device):
            return work(probes.moved())
    except OUT_OF_MEMORY:
        log.warning(SEARCH_WITHOUT_DEVICE, probes.device)
    finally:
        if torch.device(probes.device).type == "cuda":
            torch.cuda.empty_cache()  # it is the host's again
    return work(probes.on(CPU))
