"""The kinds of network that the tiny models are: ComfyUI's own modules, and how each is trained.

`load_host` comes first; `COMFYUI_PATH` must name a ComfyUI folder.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from tools.gpu_part import stand_in

from .parts import SIZE
from .tiny import SHIFT
from .words import TOKENS, WIDTH

Noisy = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def call(module: nn.Module, x: torch.Tensor, t: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """What a module says of noisy pictures, as the host calls most of them."""
    return module(x, t, words)


@dataclass(frozen=True)
class Network:
    """A kind of network.

    architecture: what a file's metadata say of it. schedule: the same of its training, in words.
    build: the host's module, freshly initialised on the CPU.
    draw_time: from a count and a generator to times `[count]`, uniform.
    noisy: from pictures x0 in -1..1, noise and times to the network's input, the time as the
        network wants it, and the target. On the device of what it is given, without waiting for it.
    call: the network's answer to an input, a time and words `[N, tokens, width]`.
    prompts: whether it is trained with prompts; else every picture has the empty one.
    """

    architecture: Mapping[str, Any]
    schedule: str
    build: Callable[[], nn.Module]
    draw_time: Callable[[int, torch.Generator], torch.Tensor]
    noisy: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Noisy]
    call: Callable[..., torch.Tensor] = call
    prompts: bool = True


def load_host(device: str = "cpu") -> None:
    """Make ComfyUI importable; it computes on `device` if nothing has loaded it yet."""
    stand_in()
    if os.environ["COMFYUI_PATH"] not in sys.path:
        sys.path.insert(0, os.environ["COMFYUI_PATH"])
    args = importlib.import_module("comfy.cli_args").args
    args.cpu = device == "cpu"
    args.use_pytorch_cross_attention = True


def host_operations() -> Any:
    """The host's layers, which do not initialise themselves."""
    return importlib.import_module("comfy.ops").disable_weight_init


def initialise(module: nn.Module, closing: tuple[str, ...]) -> None:
    """Torch's usual initialisation, which the host's layers skip.

    closing: how the names of layers end that start at zero.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if name.endswith(closing):
                nn.init.zeros_(layer.weight)
        elif isinstance(layer, (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)):
            for name_of_one, value in layer.named_parameters():
                nn.init.constant_(value, float(name_of_one == "weight"))


UNET = {
    "image_size": SIZE,
    "in_channels": 3,
    "out_channels": 3,
    "model_channels": 32,
    "channel_mult": [1, 2, 4],
    "num_res_blocks": [1, 1, 0],
    "num_head_channels": 32,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "transformer_depth": [0, 1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 1, 1, 0],
    "context_dim": WIDTH,
    "legacy": False,
}
"""At the deepest level (4x4) only the mid-block attends, as in Stable Diffusion, and one level
above the prompt is read as well: else the mid-block alone would know of it."""
DEPTHS = (1, 2, 3)
"""How often the U-Nets that are told apart by their depth halve a picture."""
EQUAL_WIDTH = 32
LEVELS = 1000
"""Noise levels of Stable Diffusion's schedule."""


def unet(architecture: Mapping[str, Any]) -> Network:
    """A U-Net of the host's, trained by v-prediction."""

    def build() -> nn.Module:
        kind = importlib.import_module("comfy.ldm.modules.diffusionmodules.openaimodel").UNetModel
        # The host takes the depths of its output blocks out of the list that it is given.
        module = kind(**json.loads(json.dumps(dict(architecture))), operations=host_operations())
        initialise(module, ("out_layers.3", "proj_out", "out.2"))
        return module

    schedule = "v-prediction, zero terminal SNR, sigmas of Stable Diffusion"
    return Network(architecture, schedule, build, draw_level, v_prediction)


def unet_of_depth(depth: int) -> Network:
    """A U-Net without prompts that halves pictures `depth` times before its mid-block. All levels
    are equally wide, and only the mid-block attends: of all depths it has the same layers."""
    levels = depth + 1
    changes = {
        "model_channels": EQUAL_WIDTH,
        "channel_mult": [1] * levels,
        "num_res_blocks": [1] * levels,
        "transformer_depth": [0] * levels,
        "transformer_depth_output": [0] * 2 * levels,
    }
    return replace(unet(MappingProxyType(UNET | changes)), prompts=False)


def draw_level(count: int, generator: torch.Generator) -> torch.Tensor:
    """Places in the noise schedule `[count]`."""
    return torch.randint(0, LEVELS, (count,), generator=generator)


def v_prediction(x0: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> Noisy:
    """As in Salimans and Ho 2022; t: places in the schedule."""
    a = _alphas(x0.device)[t][:, None, None, None]
    s = (1 - a * a).sqrt()
    return a * x0 + s * noise, t.float(), a * noise - s * x0


@cache
def _alphas(device: torch.device) -> torch.Tensor:
    """What is left of a picture at each place of the zero-terminal-SNR schedule."""
    sampling = importlib.import_module("comfy.model_sampling")
    sigmas = sampling.ModelSamplingDiscrete(zsnr=True).sigmas
    return (1 / (sigmas**2 + 1).sqrt()).to(device)


TRANSFORMER = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 3,
    "dim": 96,
    "n_layers": 8,
    "n_refiner_layers": 1,
    "n_heads": 4,
    "n_kv_heads": 4,
    "multiple_of": 32,
    "ffn_dim_multiplier": 8 / 3,
    "qk_norm": True,
    "cap_feat_dim": WIDTH,
    "axes_dims": [8, 8, 8],
    "axes_lens": [64, 64, 64],
    "rope_theta": 256.0,
    "time_scale": 1000.0,
}
"""Z-Image's choices at small size, but for its modulation, which cannot be narrower than 256."""


def transformer(architecture: Mapping[str, Any]) -> Network:
    """A transformer of the host's class for Lumina 2 and Z-Image, trained by flow matching."""

    def build() -> nn.Module:
        kind = importlib.import_module("comfy.ldm.lumina.model").NextDiT
        module = kind(**architecture, operations=host_operations())
        initialise(module, ("adaLN_modulation.1", "final_layer.linear"))
        return module

    schedule = f"flow matching, shift {SHIFT:g}"
    return Network(architecture, schedule, build, draw_share, flow_matching, call_with_tokens)


def draw_share(count: int, generator: torch.Generator) -> torch.Tensor:
    """Shares of a run that are still ahead `[count]`, from 0 to 1."""
    return torch.rand(count, generator=generator)


def flow_matching(x0: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> Noisy:
    """As in Lipman et al. 2023, more often where there is much noise, as the sampler is: its
    noise levels are shifted as in Esser et al. 2024."""
    sigma = SHIFT * t / (1 + (SHIFT - 1) * t)
    wide = sigma[:, None, None, None]
    return wide * noise + (1 - wide) * x0, sigma, noise - x0


def call_with_tokens(
    module: nn.Module, x: torch.Tensor, t: torch.Tensor, words: torch.Tensor
) -> torch.Tensor:
    """What a transformer says of noisy pictures; it is also told how long the prompt is."""
    return module(x, t, words, num_tokens=TOKENS)


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "unet": unet(MappingProxyType(UNET)),
        "transformer": transformer(MappingProxyType(TRANSFORMER)),
        **{f"depth{depth}": unet_of_depth(depth) for depth in DEPTHS},
    }
)
"""By name, as `Training.network` has it."""
