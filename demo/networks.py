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
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from .parts import SIZE
from .words import WIDTH

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
    """

    architecture: Mapping[str, Any]
    schedule: str
    build: Callable[[], nn.Module]
    draw_time: Callable[[int, torch.Generator], torch.Tensor]
    noisy: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Noisy]
    call: Callable[..., torch.Tensor] = call


def load_host(device: str = "cpu") -> None:
    """Make ComfyUI importable; it computes on `device` if nothing has loaded it yet."""
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
        elif isinstance(layer, (nn.GroupNorm, nn.LayerNorm)):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


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


NETWORKS: Mapping[str, Network] = MappingProxyType({"unet": unet(MappingProxyType(UNET))})
"""By name, as `Training.network` has it."""
