"""`dev.py gpu`, cost: interleaved pairs of a model call with and without the dial.

Imports ComfyUI; started by `tools.gpu`.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch

from . import bench_blocks, bench_models
from .bench_models import DEVICE, FULL, SMALL, Caller, build, bypass, caller, patched, sample
from .bench_stats import SHAPES, calls_per_timing, measure, timed
from .gpu_exact import LATENTS, SMALL_LATENT, release
from .gpu_part import Report

CASES = ("lam0", "lam0.5", "lam1", "freeu_v2", "pag")
OURS = ("lam0", "lam0.5", "lam1")
"""Of what is compiled, as that takes a minute for a U-Net, and of transformers, which have no other
cases."""
TRANSFORMER = "z_image"
"""The one family that is timed at its full width, with random weights."""
EAGER_SECONDS, COMPILED_SECONDS, SMALL_SECONDS = 5.0, 3.0, 0.05
LEAST_SECONDS = {"eager": 20.0, "compiled": 60.0}
SMALL_LEAST_SECONDS = 1.0
OTHER = {64: 128, 128: 64, SMALL_LATENT: 2 * SMALL_LATENT}
"""The second size of a latent, beside the one that its model was made for."""


@dataclass(frozen=True)
class Setting:
    """One shape at one size of its pictures: its own, or the other one."""

    shape: str
    small: bool
    other: bool = False

    @property
    def latent(self) -> int:
        """Side of the latent: 64 is 512 pixels, 128 is 1024."""
        own = SMALL_LATENT if self.small else LATENTS[self.shape]
        return OTHER[own] if self.other else own

    def __str__(self) -> str:
        return f"{self.shape} {8 * self.latent} pixels"

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are in; half precision is too narrow for a transformer."""
        if self.small:
            return torch.float32
        return torch.bfloat16 if self.shape == TRANSFORMER else torch.float16

    def model(self) -> Any:
        """A new MODEL."""
        if self.shape == TRANSFORMER:
            changes = bench_blocks.SMALL if self.small else bench_blocks.FULL
            return bench_blocks.build(self.shape, changes, self.dtype)
        return build(self.shape, 0, SMALL[self.shape] if self.small else FULL, self.dtype)


def clock() -> float:
    """Seconds, once the device has done what it was told."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def run(report: Report, small: bool) -> None:
    """Counts first, as they are quick, then times: eager before compiled, other sizes last."""
    report.attempt("syncs and recompiles", partial(count, report), "skipped")
    release()
    compiled = SHAPES[:1] if small else SHAPES
    for mode, other, shapes in (
        ("eager", False, (*SHAPES, TRANSFORMER)),
        ("compiled", False, compiled),
        ("eager", True, SHAPES),
    ):
        for shape in shapes:
            setting = Setting(shape, small, other)
            timing = partial(time_shape, report, setting, mode)
            least = SMALL_LEAST_SECONDS if small else LEAST_SECONDS[mode]
            report.attempt(f"{setting} {mode}", timing, "skipped", least)
            torch.compiler.reset()
            release()


def count(report: Report) -> None:
    """Waits for the device and graphs, of a tiny U-Net: they are the same in a large one."""
    model = build("sd15", 0, SMALL["sd15"], torch.float32)
    report.add("syncs", syncs_per_call(model, SMALL_LATENT))
    report.add("recompiles", recompiles(model, SMALL_LATENT))


def time_shape(report: Report, setting: Setting, mode: str) -> None:
    """A row for each case of a shape, as many as the time allows."""
    model = setting.model()
    begin = time.monotonic()
    plain = ready(model, setting, mode)
    least = 1.3 * (time.monotonic() - begin)  # compiling takes about as long for each case
    calls: dict[str, Caller] = {}

    def add(case: str) -> None:
        calls[case] = ready(patched(model, case), setting, mode)

    wanted, seconds = (CASES, EAGER_SECONDS)
    if mode == "compiled":
        wanted, seconds = OURS, COMPILED_SECONDS
    elif setting.shape == TRANSFORMER:
        wanted = OURS
    for case in wanted:
        report.attempt(f"{setting} {mode} {case}", partial(add, case), "skipped", least)
    if not calls:
        return
    seconds = min(SMALL_SECONDS if setting.small else seconds * len(calls), report.left - 5)
    of_call = min(timed(plain, 1, clock) for _ in range(3))
    times = 1 if setting.small else calls_per_timing(of_call)
    found = measure(calls, plain, calls=times, seconds=max(0.0, seconds), clock=clock)
    plain_peak = peak_mib(plain)
    for case, interval in found.items():
        row = {
            "shape": setting.shape,
            "pixels": 8 * setting.latent,
            "dtype": str(setting.dtype).removeprefix("torch."),
            "case": case,
            "mode": mode,
            "ratio": interval.median,
            "low": interval.low,
            "high": interval.high,
            "pairs": interval.n,
            "call_ms": 1000 * of_call,
            "peak_mib": peak_mib(calls[case]),
            "plain_peak_mib": plain_peak,
        }
        report.add("cost", row)


def ready(model: Any, setting: Setting, mode: str) -> Caller:
    """A call of a MODEL, compiled by the host's own wrapper if asked for, and run twice."""
    if mode == "compiled":
        from comfy_api.torch_helpers import set_torch_compile_wrapper

        model = model.clone()
        # Only the way is tried on a CPU, whose own compiler takes minutes.
        backend = "eager" if setting.small else "inductor"
        set_torch_compile_wrapper(model=model, backend=backend)
    start = bench_blocks.caller if setting.shape == TRANSFORMER else caller
    call = start(model, setting.latent)
    timed(call, 2, clock)
    return call


SYNC_WARNING = "called a synchronizing CUDA operation"
"""What torch warns of under `torch.cuda.set_sync_debug_mode("warn")`."""
READERS = ("tolist", "item", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")
"""Methods that wait for the device: what is counted on a CPU, which has none to wait for."""
FEW_STEPS, MANY_STEPS, RAMP_STEPS = 4, 12, 20
RAMP = ((0.0, 1.0), (1.0, 0.05))


def peak_mib(call: Any) -> float:
    """The most memory that one call has in use beyond what is there before it, in MiB."""
    if DEVICE.type != "cuda":
        return bench_models.peak_bytes(call) / 2**20
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
