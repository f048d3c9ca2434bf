"""What is counted on a device: peaks of memory, waits for the device, compiled graphs.

Imports ComfyUI; used by `tools.gpu_cost`.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch

from . import bench_counts
from .bench_models import DEVICE, bypass, conditioning

import comfy.sample  # isort: skip  # bench_models says where it is

SYNC_WARNING = "called a synchronizing CUDA operation"
"""What torch warns of under `torch.cuda.set_sync_debug_mode("warn")`."""
READERS = ("tolist", "item", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")
"""Methods that wait for the device: what is counted on a CPU, which has none to wait for."""
FEW_STEPS, MANY_STEPS, RAMP_STEPS = 4, 12, 20
RAMP = ((0.0, 1.0), (1.0, 0.05))


def peak_mib(call: Any) -> float:
    """The most memory that one call has in use beyond what is there before it, in MiB."""
    if DEVICE.type != "cuda":
        return bench_counts.peak_bytes(call) / 2**20
    call.ready()
    call()
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


@contextmanager
def counted_syncs() -> Iterator[list[str]]:
    """A list that grows with each wait for the device inside."""
    seen: list[str] = []
    with ExitStack() as stack:
        if DEVICE.type == "cuda":
            found = stack.enter_context(warnings.catch_warnings(record=True))
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            stack.callback(torch.cuda.set_sync_debug_mode, "default")
            yield seen
            seen += [str(one.message) for one in found if SYNC_WARNING in str(one.message)]
            return
        for name in READERS:
            stack.enter_context(mock.patch.object(torch.Tensor, name, _told(name, seen)))
        yield seen


def _told(name: str, seen: list[str]) -> Callable[..., Any]:
    original = getattr(torch.Tensor, name)

    def reader(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(name)
        return original(self, *args, **kwargs)

    return reader


def sample(model: Any, latent: int, steps: int, denoise: float = 1.0) -> None:
    """A run of the host's sampler: one model call for each step."""
    empty = torch.zeros(1, 4, latent, latent)
    comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(empty, 3),
        steps,
        5.0,
        "euler",
        "normal",
        conditioning(model, 11),
        conditioning(model, 12),
        empty,
        denoise=denoise,
        disable_pbar=True,
        seed=3,
    )


def syncs_per_call(model: Any, latent: int) -> dict[str, float]:
    """Waits for the device that the dial adds to each model call, outside of its window and
    inside; what a run reads once, however long it is, does not count.

    Outside: the second half of the denoising, the window lies in the first third. Inside: the
    most of `both` and `cond`.
    """
    outside = (bypass(model, 0.5, 0.0, 0.3), 0.5)
    inside = [(bypass(model, 0.5, 0.0, 1.0, apply_to), 1.0) for apply_to in ("both", "cond")]

    def each_call(patched: Any, denoise: float) -> float:
        found = []
        for steps in (FEW_STEPS, MANY_STEPS):
            with counted_syncs() as seen:
                sample(patched, latent, steps, denoise)
            found.append(len(seen))
        return (found[1] - found[0]) / (MANY_STEPS - FEW_STEPS)

    def added(patched: Any, denoise: float) -> float:
        return each_call(patched, denoise) - each_call(model, denoise)

    sample(model, latent, FEW_STEPS)
    return {"outside": added(*outside), "inside": max(added(*one) for one in inside)}


def recompiles(model: Any, latent: int) -> int:
    """Graphs beyond the first that `torch.compile` makes of the host's U-Net over a run in
    which the bypass of the prompt falls at each step; they are not optimised, only counted."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    graphs: list[object] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    patched = bypass(model, 1.0, 0.0, 1.0, "cond", shape="curve", points=RAMP)
    set_torch_compile_wrapper(model=patched, backend=backend)
    sample(patched, latent, RAMP_STEPS)
    torch.compiler.reset()
    return len(graphs) - 1
