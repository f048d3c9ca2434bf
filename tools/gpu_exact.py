"""`dev.py gpu`, exactness: SD 1.5 and SDXL in the host's own sampler, compared bit for bit.

Imports ComfyUI; started by `tools.gpu`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import nn

from .bench_models import DEVICE, FULL, SMALL, build, bypass, sample
from .bench_stats import SHAPES
from .gpu_part import Report

import comfy.model_management as management  # isort: skip  # bench_models says where it is

STEPS = 3
LATENTS = {"sd15": 64, "sdxl": 128, "z_image": 128}
SMALL_LATENT = 8
LEAST_SECONDS = 5.0
"""A check is not begun with less time left."""
FOR_INFERENCE = int(0.8 * 2**30)
"""What the host keeps free for its activations (`minimum_inference_memory`)."""
TOO_MUCH = 2**50
"""Bytes that no device has."""


@dataclass(frozen=True)
class Bench:
    """One model, and how large its pictures are."""

    model: Any
    latent: int

    def sample(self, model: Any | None = None) -> torch.Tensor:
        """A whole run of the host's sampler with prompt and negative prompt."""
        return sample(self.model if model is None else model, self.latent, STEPS)

    def dial(self, strength: float) -> Any:
        """The model with a bypass over all calls."""
        return bypass(self.model, strength, 0.0, 1.0)

    @property
    def unet(self) -> nn.Module:
        """The host's U-Net."""
        return self.model.model.diffusion_model


class Copy(nn.Module):
    """The identity; a copy, since the host writes into what a block gives."""

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h.clone()


class Keep(nn.Module):
    """Keeps what enters the mid-block."""

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        self.h = h.clone()
        return h


class Lerp(nn.Module):
    """Half way from what leaves the mid-block to what entered it."""

    def __init__(self, kept: Keep) -> None:
        super().__init__()
        self.kept = [kept]

    def forward(self, out: torch.Tensor) -> torch.Tensor:
        return torch.lerp(out, self.kept[0].h, 0.5)


@contextmanager
def middle(bench: Bench, layers: list[nn.Module]) -> Iterator[None]:
    """Another mid-block for the host to loop over."""
    block = bench.unet.middle_block
    bench.unet.middle_block = nn.ModuleList(layers)
    try:
        yield
    finally:
        bench.unet.middle_block = block


def held_bytes() -> int:
    """Bytes that are in use on the device; on the CPU those of all tensors alive."""
    gc.collect()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()
    storages = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
        for one in gc.get_objects()
        if type(one) in (torch.Tensor, nn.Parameter) and one.device.type == "cpu"
    }
    return sum(storages.values())


def require(good: bool, sentence: str) -> None:
    """The reason why a check fails."""
    if not good:
        raise AssertionError(sentence)


def same(got: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
    """Bit for bit, or the largest difference as the reason."""
    require(bool(got.isfinite().all()), f"{what}: not finite")
    if not torch.equal(got, wanted):
        gap = (got - wanted).abs().max().item()
        raise AssertionError(f"{what}: differs by up to {gap:.3g}")


def plain_dial_plain(bench: Bench) -> None:
    """The dial acts, equally each time, and leaves nothing behind: no value and no byte."""
    plain, dial = bench.sample(), bench.dial(0.5)
    same(bench.sample(), plain, "plain twice")
    first = bench.sample(dial)
    before = held_bytes()
    same(bench.sample(dial), first, "dial twice")
    require(not torch.equal(first, plain), "the dial does nothing")
    same(bench.sample(), plain, "plain after the dial")
    require(held_bytes() == before, f"{held_bytes() - before} bytes are left")


def strength_zero(bench: Bench) -> None:
    """Strength 0 is the model itself."""
    same(bench.sample(bench.dial(0.0)), bench.sample(), "strength 0")


def full_is_identity(bench: Bench) -> None:
    """Strength 1 is the identity in the mid-block's place."""
    got = bench.sample(bench.dial(1.0))
    with middle(bench, [Copy()]):
        same(got, bench.sample(), "strength 1 against an identity")


def half_is_lerp(bench: Bench) -> None:
    """Strength 0.5 is half the mid-block and half its input."""
    got, keep = bench.sample(bench.dial(0.5)), Keep()
    with middle(bench, [keep, *bench.unet.middle_block, Lerp(keep)]):
        same(got, bench.sample(), "strength 0.5 against lerp")


def an_error(bench: Bench) -> None:
    """An error out of the middle of the mid-block leaves nothing behind."""

    def fail(*_: Any) -> None:
        raise InterruptedError("as asked")

    after_failure(bench, fail, InterruptedError)


def out_of_memory(bench: Bench) -> None:
    """Neither does a genuine out-of-memory there."""

    def fail(*_: Any) -> None:
        torch.empty(TOO_MUCH, dtype=torch.uint8, device=DEVICE)

    # The CPU's allocator has no error class of its own.
    after_failure(
        bench, fail, torch.cuda.OutOfMemoryError if DEVICE.type == "cuda" else RuntimeError
    )


def after_failure(bench: Bench, fail: Callable[..., None], kind: type[BaseException]) -> None:
    """A run that ends by `fail` in the mid-block, then plain and dial as before."""
    dial = bench.dial(0.5)
    plain, bypassed = bench.sample(), bench.sample(dial)
    before, ended = held_bytes(), False
    handle = bench.unet.middle_block[1].register_forward_pre_hook(fail)
    try:
        bench.sample(dial)
    except kind:
        ended = True
    finally:
        handle.remove()
    require(ended, "the run did not end by the error")
    same(bench.sample(), plain, "plain after the error")
    same(bench.sample(dial), bypassed, "dial after the error")
    require(held_bytes() == before, f"{held_bytes() - before} bytes are left")


def offloads_from_cpu() -> Any:
    """The host never offloads from a CPU by itself; --small tries the way."""
    return mock.patch.object(management, "is_device_cpu", lambda _: False)


def partial_offload(bench: Bench) -> None:
    """With at least half of the weights left in the computer's memory, the same ones throughout:
    where a weight lies may change how the device rounds."""
    management.unload_all_models()
    room = bench.model.model_size() // 2

    def free_memory(_device: Any = None, torch_free_too: bool = False) -> Any:
        free = max(0, room - bench.model.loaded_size()) + FOR_INFERENCE
        return (free, 0) if torch_free_too else free

    with (
        mock.patch.object(management, "EXTRA_RESERVED_VRAM", 0),
        mock.patch.object(management, "vram_state", management.VRAMState.NORMAL_VRAM),
        mock.patch.object(management, "get_free_memory", free_memory),
        offloads_from_cpu() if DEVICE.type == "cpu" else nullcontext(),
    ):
        plain = bench.sample()
        loaded = bench.model.loaded_size()
        require(loaded < bench.model.model_size(), f"the host loaded all {loaded} bytes")
        same(bench.sample(bench.model.clone()), plain, "a copy without a dial")
        plain_dial_plain(bench)
        now = bench.model.loaded_size()
        require(now == loaded, f"the host loaded {now} bytes in the end, {loaded} at first")
    management.unload_all_models()


CHECKS: dict[str, Callable[[Bench], None]] = {
    "plain, dial, plain": plain_dial_plain,
    "strength 0": strength_zero,
    "strength 1 = identity": full_is_identity,
    "strength 0.5 = lerp": half_is_lerp,
    "a raised error": an_error,
    "out of memory": out_of_memory,
    "partial offload": partial_offload,
}


def run(report: Report, small: bool) -> None:
    """All checks of both shapes; each is told as `passed`, `failed` or `skipped`."""
    torch.backends.cudnn.deterministic = True
    gc.freeze()  # what was imported is not looked through each time that bytes are counted
    for shape in SHAPES:
        latent = SMALL_LATENT if small else LATENTS[shape]
        dtype = torch.float32 if small else torch.float16
        model = partial(build, shape, 0, SMALL[shape] if small else FULL)
        report.attempt(shape, partial(check_all, report, shape, model, latent, dtype), "failed")
        release()
        eight = partial(check_fp8, report, shape, model, latent, dtype)
        report.attempt(f"{shape}: fp8", eight, "failed", LEAST_SECONDS)
        release()


def check_all(
    report: Report, shape: str, model: Callable[..., Any], latent: int, dtype: torch.dtype
) -> None:
    """The checks of one shape."""
    bench = Bench(model(dtype), latent)
    bench.sample()  # what the libraries allocate once for themselves is there from here on
    for name, check in CHECKS.items():
        named = f"{shape}: {name}"
        if report.attempt(named, partial(check, bench), "failed", LEAST_SECONDS):
            report.add("passed", named)


def check_fp8(
    report: Report, shape: str, model: Callable[..., Any], latent: int, dtype: torch.dtype
) -> None:
    """The first check with weights in eight bits, which the host casts as it goes."""
    bench = Bench(model(torch.float8_e4m3fn, dtype), latent)
    bench.sample()
    plain_dial_plain(bench)
    report.add("passed", f"{shape}: fp8 weights")


def release() -> None:
    """Give the memory of models that nobody uses any longer back to the device."""
    management.unload_all_models()
    gc.collect()
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
