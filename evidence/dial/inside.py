"""What the bypass of a range of blocks is compared with: noise inside of the blocks, and phases."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from detour.progress import SigmaTable
from detour.schedule import Schedule
from detour.ways.targets import Blocks

Draw = Callable[[torch.Tensor, float], torch.Tensor]
"""From what a block gives, `[rows, tokens, width]`, and a sigma to noise of that shape, of about
one standard deviation."""
COARSE = 2
"""Values along each side of a low-frequency field."""
PERIODS = 2
"""Up to so many periods along a picture its phases are turned; DiversityBoost's own default."""


def with_noise(model: Any, blocks: Blocks, amount: float, end: float, draw: Draw) -> Any:
    """A MODEL in which noise of `amount` standard deviations of each row's own values is added to
    what each of some blocks gives, from the first step to `end`."""
    acts = _window(model, end)

    def wrapper(executor: Any, x: Any, t: Any, *args: Any, **kwargs: Any) -> Any:
        sigma = float(t.flatten()[0])

        def add(_block: Any, _given: Any, h: torch.Tensor) -> torch.Tensor:
            return h + amount * h.std(dim=(1, 2), keepdim=True) * draw(h, sigma)

        layers = executor.class_obj.diffusion_model.layers[blocks[0] : blocks[1] + 1]
        hooks = [layer.register_forward_hook(add) for layer in layers if acts(sigma)]
        try:
            return executor(x, t, *args, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()

    patched = model.clone()
    kinds = sys.modules["comfy.patcher_extension"].WrappersMP
    patched.add_wrapper_with_key(kinds.APPLY_MODEL, "detour-evidence-noise", wrapper)
    return patched


def _window(model: Any, end: float) -> Callable[[float], bool]:
    """From a sigma to whether it lies between the first step and `end`."""
    table = SigmaTable.of(model.get_model_object("model_sampling").sigmas)
    schedule = Schedule(1.0, "constant", 0.0, end)
    return lambda sigma: schedule.contains(table.progress(sigma))


def white(seed: int) -> Draw:
    """Noise with nothing in common between tokens, rows and calls: the placebo."""

    def draw(h: torch.Tensor, sigma: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed + round(sigma * 1000))
        return torch.randn(h.shape, generator=generator).to(h)

    return draw


def structured(seed: int, count: int, side: int) -> Draw:
    """A smooth field over the tokens of each of `count` pictures, the same in all its calls and on
    both sides of guidance; none on the tokens of the prompt, which come first. Of STRIDE's kind,
    the formula is ours.

    side: tokens along each side of a picture.
    """
    generator = torch.Generator().manual_seed(seed)
    fields: dict[int, torch.Tensor] = {}

    def field(width: int) -> torch.Tensor:
        if width not in fields:
            coarse = torch.randn(count, width, COARSE, COARSE, generator=generator)
            size = (side, side)
            fine = functional.interpolate(coarse, size=size, mode="bilinear", align_corners=True)
            fine = fine / fine.std(dim=(1, 2, 3), keepdim=True)
            fields[width] = fine.flatten(2).transpose(1, 2)
        return fields[width]

    def draw(h: torch.Tensor, _sigma: float) -> torch.Tensor:
        rows, tokens, width = h.shape
        noise = functional.pad(field(width), (0, 0, tokens - side * side, 0))
        return noise.repeat(rows // count, 1, 1).to(h)

    return draw


def with_phases(model: Any, amount: float, end: float, seed: int) -> Any:
    """A MODEL whose predicted pictures are rearranged from the first step to `end`; see `turned`.
    After ComfyUI-DiversityBoost, which takes the first noise and the first step alone;
    the noise here is one of its own, the same at all steps."""
    acts = _window(model, end)

    def after_guidance(args: dict[str, Any]) -> torch.Tensor:
        pictures = args["denoised"]
        if not acts(float(args["sigma"].flatten()[0])):
            return pictures
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(pictures), 1, *pictures.shape[2:], generator=generator)
        return turned(pictures, noise.to(pictures), amount)

    patched = model.clone()
    patched.set_model_sampler_post_cfg_function(after_guidance)
    return patched


def turned(pictures: torch.Tensor, noise: torch.Tensor, amount: float) -> torch.Tensor:
    """Pictures `[N, C, H, W]` whose low frequencies have their phases turned by those of noise
    `[N, 1, H, W]`, by at most `amount` quarter turns; brightness and colour stay."""
    high, wide = pictures.shape[2:]
    along = torch.fft.fftfreq(high, 1 / high)[:, None], torch.fft.rfftfreq(wide, 1 / wide)[None]
    radius = (along[0] ** 2 + along[1] ** 2).sqrt().to(pictures)
    low = 1 / (1 + (radius / PERIODS) ** 12)
    low[0, 0] = 0
    most = amount * math.pi / 2
    angle = most * torch.tanh(torch.fft.rfft2(noise).angle() / most) * low
    spectrum = torch.fft.rfft2(pictures) * torch.polar(torch.ones_like(angle), angle)
    return torch.fft.irfft2(spectrum, s=(high, wide))
