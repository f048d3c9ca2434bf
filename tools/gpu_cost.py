"""`dev.py gpu`, cost: interleaved pairs of a model call with and without the dial.

Imports ComfyUI; started by `tools.gpu`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from .bench_models import DEVICE, Caller, build, caller, patched
from .bench_shapes import FULL, SHAPES, SMALL
from .bench_stats import calls_per_timing, measure, timed
from .gpu_counts import peak_mib, recompiles, syncs_per_call
from .gpu_exact import LATENTS, SMALL_LATENT, release
from .gpu_report import Report

CASES = ("lam0", "lam0.5", "lam1", "freeu_v2", "pag")
COMPILED_CASES = ("lam0", "lam0.5", "lam1")
"""Compiling a U-Net takes a minute: only what is ours."""
EAGER_SECONDS, COMPILED_SECONDS, SMALL_SECONDS = 5.0, 3.0, 0.2
LEAST_SECONDS = {"eager": 20.0, "compiled": 60.0}
SMALL_LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Setting:
    """One shape at the size of its pictures."""

    shape: str
    small: bool

    @property
    def latent(self) -> int:
        """Side of the latent: 64 is 512 pixels, 128 is 1024."""
        return SMALL_LATENT if self.small else LATENTS[self.shape]

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are in."""
        return torch.float32 if self.small else torch.float16

    def model(self) -> Any:
        """A new MODEL."""
        return build(self.shape, 0, SMALL[self.shape] if self.small else FULL, self.dtype)


def clock() -> float:
    """Seconds, once the device has done what it was told."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def run(report: Report, small: bool) -> None:
    """Counts first, as they are quick, then times; eager before compiled."""
    report.attempt("syncs and recompiles", partial(count, report), "skipped")
    release()
    for mode in ("eager", "compiled"):
        for shape in SHAPES[:1] if small and mode == "compiled" else SHAPES:
            timing = partial(time_shape, report, Setting(shape, small), mode)
            least = SMALL_LEAST_SECONDS if small else LEAST_SECONDS[mode]
            report.attempt(f"{shape} {mode}", timing, "skipped", least)
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
        wanted, seconds = COMPILED_CASES, COMPILED_SECONDS
    for case in wanted:
        report.attempt(f"{setting.shape} {mode} {case}", partial(add, case), "skipped", least)
    if not calls:
        return
    seconds = min(SMALL_SECONDS if setting.small else seconds * len(calls), report.left - 5)
    of_call = min(timed(plain, 1, clock) for _ in range(3))
    found = measure(
        calls, plain, calls=calls_per_timing(of_call), seconds=max(0.0, seconds), clock=clock
    )
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
    call = caller(model, setting.latent)
    timed(call, 2, clock)
    return call
