"""What the ways are compared with, where no node of a host does it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from detour.progress import SigmaTable
from detour.schedule import Schedule


class AddNoise(nn.Module):
    """Adds noise of `amount` standard deviations of each row's own values to `h [B, C, H, W]`."""

    def __init__(self, amount: float, generator: torch.Generator) -> None:
        super().__init__()
        self.amount, self.generator = amount, generator

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(h.shape, generator=self.generator).to(h)
        return h + self.amount * h.std(dim=(1, 2, 3), keepdim=True) * noise


def placebo(model: Any, schedule: Schedule, amount: float, seed: int) -> Any:
    """A MODEL with noise on the mid-block's output inside a window: it disturbs as a bypass does,
    but takes nothing away, so that what it does as well is no effect of bypassing."""

    def noisy(middle: nn.Module, sigma: float) -> list[nn.Module]:
        generator = torch.Generator().manual_seed(seed + round(sigma * 1000))
        return [*middle, AddNoise(amount, generator)]

    return _with_mid_block(model, schedule, noisy)


def without_attention(model: Any, schedule: Schedule) -> Any:
    """A MODEL whose mid-block does not attend inside a window. The transformer adds to its input,
    so that leaving it out is the exact limit of taking its part away, as in a bypass of it alone;
    other strengths are not offered."""

    def others(middle: nn.Module, _sigma: float) -> list[nn.Module]:
        return [layer for layer in middle if type(layer).__name__ != "SpatialTransformer"]

    return _with_mid_block(model, schedule, others)


def _with_mid_block(
    model: Any, schedule: Schedule, layers: Callable[[nn.Module, float], list[nn.Module]]
) -> Any:
    """A clone of a MODEL that has other layers in its mid-block inside of a window."""

    table = SigmaTable.of(model.get_model_object("model_sampling").sigmas)

    def wrapper(executor: Any, x: Any, t: Any, *args: Any, **kwargs: Any) -> Any:
        unet, sigma = executor.class_obj.diffusion_model, float(t.flatten()[0])
        middle = unet.middle_block
        if schedule.contains(table.progress(sigma)):
            unet.middle_block = type(middle)(*layers(middle, sigma))
        try:
            return executor(x, t, *args, **kwargs)
        finally:
            unet.middle_block = middle

    patched = model.clone()
    kinds = sys.modules["comfy.patcher_extension"].WrappersMP
    patched.add_wrapper_with_key(kinds.APPLY_MODEL, "detour-evidence", wrapper)
    return patched


def for_batches(model: Any) -> Any:
    """A clone of a MODEL whose last post-CFG function is told one noise level, that of the whole
    batch: the host's TSR cannot compare several."""
    patched = model.clone()
    functions = patched.model_options["sampler_post_cfg_function"]

    def told_one(args: dict[str, Any]) -> Any:
        return functions[-1]({**args, "sigma": args["sigma"][:1]})

    patched.model_options["sampler_post_cfg_function"] = [*functions[:-1], told_one]
    return patched


def noisy_prompt(prompt: torch.Tensor, amount: float, seed: int, count: int) -> torch.Tensor:
    """A prompt's embedding `[1, tokens, width]` with noise of `amount` of its own standard
    deviations, another one for each picture: `[count, tokens, width]`."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, *prompt.shape[1:], generator=generator)
    return prompt + amount * prompt.std() * noise


def most_varied(pictures: torch.Tensor, keep: int) -> torch.Tensor:
    """The pictures that somebody would keep for variety, `keep` of `[N, 3, H, W]`: the first one,
    and then always the one that is furthest from those kept (Gonzalez 1985)."""
    apart = torch.cdist(pictures.flatten(1), pictures.flatten(1))
    kept = [0]
    while len(kept) < keep:
        nearest = apart[:, kept].amin(dim=1)
        nearest[kept] = -1
        kept.append(int(nearest.argmax()))
    return pictures[kept]
