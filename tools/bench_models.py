"""The U-Nets that `dev.py bench` and `dev.py gpu` run, in the real ComfyUI in this process.

Importing this file imports ComfyUI from COMFYUI_PATH, for the device that DETOUR_DEVICE names
(`cpu` if it does not).
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler talks otherwise

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from .bench_stats import CASES, Subject
from .failure import Failure

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, os.environ["COMFYUI_PATH"])

from comfy.cli_args import args  # noqa: E402

DEVICE = torch.device(os.environ.get("DETOUR_DEVICE", "cpu"))
args.cpu = DEVICE.type == "cpu"  # before the host looks for a graphics card
args.use_pytorch_cross_attention = True  # what the host takes on a graphics card

import comfy.model_patcher  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.supported_models  # noqa: E402
from comfyui_version import __version__ as comfyui_version  # noqa: E402

logging.disable(logging.INFO)

PACK = "detour_bench_pack"
CPU = torch.device("cpu")
STEPS = 20
AT_STEP = 4
"""The call that is timed: the fifth of 20, well inside the window 0 to 0.5."""
LATENT = 32
CHANNELS = 64
"""With the 320 of the real models one call takes seconds on a CPU: too few pairs in the time."""
TOKENS = 77
COMMON: dict[str, Any] = {
    "use_checkpoint": False,
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": CHANNELS,
    "use_spatial_transformer": True,
    "legacy": False,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "sd15": (
        "SD15",
        {
            "num_res_blocks": [2, 2, 2, 2],
            "channel_mult": [1, 2, 4, 4],
            "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
            "transformer_depth_middle": 1,
            "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            "use_linear_in_transformer": False,
            "context_dim": 768,
            "adm_in_channels": None,
            "num_heads": 8,
        },
    ),
    "sdxl": (
        "SDXL",
        {
            "num_res_blocks": [2, 2, 2],
            "channel_mult": [1, 2, 4],
            "transformer_depth": [0, 0, 2, 2, 10, 10],
            "transformer_depth_middle": 10,
            "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
            "use_linear_in_transformer": True,
            "context_dim": 2048,
            "adm_in_channels": 2816,
            "num_classes": "sequential",
            "num_head_channels": 64,
        },
    ),
}
"""The host's own SD15 and SDXL (comfy/model_detection.py) but for `model_channels`, 320 there."""
NAMES = {"sd15": "SD 1.5", "sdxl": "SDXL"}
FULL = {"model_channels": 320}
SMALL = {
    "sd15": {
        "model_channels": 32,
        "channel_mult": [1],
        "num_res_blocks": [0],
        "transformer_depth": [],
        "transformer_depth_output": [0],
    },
    "sdxl": {
        "model_channels": 32,
        "channel_mult": [1, 2],
        "num_res_blocks": [1, 1],
        "transformer_depth": [0, 1],
        "transformer_depth_middle": 2,
        "transformer_depth_output": [0, 0, 1, 1],
    },
}
"""Changes to `CONFIGS`: to the real sizes, and to what a CPU runs in a moment."""


def fill(module: nn.Module, seed: int) -> None:
    """Random weights that let the signal through; the host leaves its layers uninitialised."""
    generator = torch.Generator(DEVICE).manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            drawn = torch.randn(value.shape, generator=generator, device=DEVICE)
            if value.ndim > 1:
                drawn *= value[0].numel() ** -0.5
            else:
                drawn = 0.1 * drawn + (1.0 if name.endswith("weight") else 0.0)
            value.copy_(drawn)


def build(
    shape: str,
    seed: int = 0,
    changes: Mapping[str, Any] = MappingProxyType({}),
    dtype: torch.dtype = torch.float32,
    cast: torch.dtype | None = None,
) -> Any:
    """A new MODEL of the shape with random weights in `dtype`, for DEVICE.

    changes: to its configuration. cast: what the host computes in, if not in `dtype`.
    """
    class_name, config = CONFIGS[shape]
    changed = {**COMMON, **config, **changes}
    model_config = getattr(comfy.supported_models, class_name)(changed)
    model_config.set_inference_dtype(dtype, cast)
    base = model_config.get_model({}, "", device=CPU)
    fill(base.diffusion_model, seed)
    return comfy.model_patcher.ModelPatcher(base, DEVICE, CPU)


def facts() -> dict[str, Any]:
    """What the figures were measured with."""
    return {
        "ComfyUI": comfyui_version,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": "CPU, float32, PyTorch attention",
    }


def load_pack() -> None:
    """Load the pack as an extension of the host, under a name of its own."""
    if PACK in sys.modules:
        return
    place = str(ROOT)
    spec = importlib.util.spec_from_file_location(
        PACK, ROOT / "__init__.py", submodule_search_locations=[place]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = module
    spec.loader.exec_module(module)


def bypass(
    model: Any, strength: float, start: float, end: float, apply_to: str = "both", **more: Any
) -> Any:
    """A MODEL with the bypass, exactly as the main node makes it; `more`: of the schedule."""
    load_pack()
    settings = importlib.import_module(f"{PACK}.detour.schedule")
    way = importlib.import_module(f"{PACK}.detour.ways.bypass")
    host = importlib.import_module(f"{PACK}.nodes.model_host")
    window = settings.Schedule(strength, start_percent=start, end_percent=end, **more)
    return host.patch_model(model, way.Dial(window, apply_to), None)


def host_node(file: str, name: str, **inputs: Any) -> Any:
    """The MODEL that a node of the host's `comfy_extras` makes; old or new node API."""
    node = getattr(importlib.import_module(f"comfy_extras.{file}"), name)
    run = getattr(node, "execute", None) or getattr(node(), node.FUNCTION)
    out = run(**inputs)
    return getattr(out, "result", out)[0]


def patched(model: Any, case: str) -> Any:
    """The MODEL of a case; all have the host's or the node's default settings otherwise."""
    if case == "lam0":  # the window is not reached: the wrapper runs and does nothing
        return bypass(model, 1.0, 0.5, 1.0)
    if case == "freeu_v2":
        return host_node("nodes_freelunch", "FreeU_V2", model=model, b1=1.3, b2=1.4, s1=0.9, s2=0.2)
    if case == "pag":
        return host_node("nodes_pag", "PerturbedAttentionGuidance", model=model, scale=3.0)
    strengths = {"strength0": 0.0, "lam0.5": 0.5, "lam1": 1.0}
    return bypass(model, strengths[case], 0.0, 0.5)


@dataclass
class Caller:
    """One call of the host's `sampling_function` with one MODEL: one row, prompt only.

    That is the level on which the sampler works: wrappers, patches of the blocks and what a
    guidance adds after the call (PAG's second pass) are all inside.
    """

    patcher: Any
    options: dict
    positive: list
    x: torch.Tensor
    sigma: torch.Tensor

    def ready(self) -> None:
        """Make this MODEL the one that the host's shared model belongs to."""
        self.patcher.model.current_patcher = self.patcher

    def __call__(self) -> torch.Tensor:
        return comfy.samplers.sampling_function(
            self.patcher.model, self.x, self.sigma, None, self.positive, 1.0, self.options, 0
        )


class _Capture:
    """Stands in for a sampler: keeps what the host hands to one, and samples nothing."""

    def __init__(self) -> None:
        self.options: dict = {}
        self.positive: list = []
        self.sigmas = torch.zeros(0)

    def sample(self, guider: Any, sigmas: Any, extra_args: dict, _call: Any, noise: Any, *_: Any):
        self.options, self.sigmas = extra_args["model_options"], sigmas
        self.positive = guider.conds["positive"]
        return noise


def conditioning(patcher: Any, seed: int) -> list:
    """A prompt of random numbers for this MODEL, as the host's text encoders give it."""
    generator = torch.Generator().manual_seed(seed)
    width = patcher.model.model_config.unet_config["context_dim"]
    context = torch.randn(1, TOKENS, width, generator=generator)
    return [[context, {"pooled_output": torch.randn(1, 1280, generator=generator)}]]


def sample(model: Any, latent: int, steps: int, denoise: float = 1.0) -> torch.Tensor:
    """A run of the host's sampler with prompt and negative prompt: one model call for a step."""
    empty = torch.zeros(1, 4, latent, latent)
    return comfy.sample.sample(
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


def caller(patcher: Any, latent: int = LATENT) -> Caller:
    """See `started`; with a random latent of this side and a random prompt."""
    x = torch.randn(1, 4, latent, latent, generator=torch.Generator().manual_seed(2))
    return started(patcher, x, conditioning(patcher, 1))


def started(patcher: Any, x: torch.Tensor, prompt: list) -> Caller:
    """Start a run of the host with this MODEL up to its sampler, and keep what that gets."""
    sampling = patcher.model.model_sampling
    sigmas = comfy.samplers.calculate_sigmas(sampling, "normal", STEPS)
    guider = comfy.samplers.CFGGuider(patcher)
    guider.set_conds(prompt, prompt)
    guider.set_cfg(1.0)
    capture = _Capture()
    logging.disable(logging.WARNING)  # the pack: "window never reached", as nothing is sampled
    try:
        guider.sample(x, torch.zeros_like(x), capture, sigmas, seed=0)
    finally:
        logging.disable(logging.INFO)
    sigma = capture.sigmas[AT_STEP].reshape(1).to(DEVICE)
    x = x.to(DEVICE)
    x = sampling.noise_scaling(sigma.view(1, *[1] * (x.ndim - 1)), x, torch.zeros_like(x))
    return Caller(patcher, capture.options, capture.positive, x, sigma)


def subject(shape: str) -> Subject:
    """A shape with all its cases, ready to be timed; a `Failure` if one is not what it says."""
    model = build(shape)
    words = {
        "about": f"{NAMES[shape]}'s block structure with {CHANNELS} model channels instead of 320",
        "part": "the mid-block",
        "channels": CHANNELS,
    }
    cases = {name: caller(patched(model, name)) for name in CASES}
    part = model.model.diffusion_model.middle_block
    return counted(shape, caller(model), cases, part, words)


def counted(
    shape: str,
    plain: Caller,
    cases: Mapping[str, Caller],
    part: Iterable[nn.Module],
    words: Mapping[str, Any],
) -> Subject:
    """The subject of these calls, with what is counted on them beside its `words`.

    part: the layers that are bypassed. Raises `Failure` if a case is not what it says.
    """
    require_told(shape, plain, cases)
    flops, inside = count_flops(plain, part)
    weights = plain.patcher.model.diffusion_model.parameters()
    peak = peak_bytes(plain)
    facts = {
        **words,
        "parameters": sum(value.numel() for value in weights),
        "gflops": flops / 1e9,
        "mid_share": inside / flops,
        "plain_peak_mib": peak / 2**20,
    }
    extra = {name: (peak_bytes(call) - peak) / 2**20 for name, call in cases.items()}
    return Subject(shape, plain, cases, facts, extra)


def require_told(shape: str, plain: Caller, cases: Mapping[str, Caller]) -> None:
    """Raise `Failure` if a model says nothing, or a case does not do what its name says."""
    expected = answer(plain)
    if not (expected.isfinite().all() and expected.std() > 0):
        raise Failure(f"The random {shape} model answers nothing usable.")
    for name, call in cases.items():
        if torch.equal(answer(call), expected) != (name in ("lam0", "strength0")):
            raise Failure(f"The case {name} on {shape} does not do what its name says.")


def answer(call: Caller) -> torch.Tensor:
    """What a case gives for the one input that all of them get."""
    call.ready()
    return call()


ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""Attention on the CPU, which the counter of torch does not know by itself."""


def count_flops(call: Any, layers: Iterable[nn.Module]) -> tuple[int, int]:
    """The floating-point operations of one call, and those of them inside the layers."""
    attention = {ATTENTION: lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value)}
    counter = FlopCounterMode(display=False, custom_mapping=attention)
    inside: list[int] = []

    def before(*_: Any) -> None:
        inside.append(-counter.get_total_flops())

    def after(*_: Any) -> None:
        inside.append(counter.get_total_flops())

    handles = []
    for layer in layers:
        handles += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    call.ready()
    try:
        with counter:
            call()
    finally:
        for handle in handles:
            handle.remove()
    return counter.get_total_flops(), sum(inside)


def peak_bytes(call: Any) -> int:
    """The most memory that one call has in use at a time, beyond what is there before it.

    Every allocation and release of torch's CPU allocator, from the profiler's events.
    """
    call.ready()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        call()
    results = profiler.profiler.kineto_results  # the only place with the events in order
    events = [event for event in results.events() if event.name() == "[memory]"]
    used = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        used += event.nbytes()
        peak = max(peak, used)
    return peak
