"""The placebo: noise on the mid-block's output, in the same window as a bypass.

It disturbs the mid-block as much as a bypass does, but without taking its input: an effect
that the placebo has too is no effect of bypassing.
"""

import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import TimestepEmbedSequential
from comfy.patcher_extension import WrappersMP
from torch import nn

from detour.progress import SigmaTable
from detour.schedule import Schedule


class AddNoise(nn.Module):
    """Adds noise of `amount` standard deviations of each row's own values."""

    def __init__(self, amount, generator):
        super().__init__()
        self.amount, self.generator = amount, generator

    def forward(self, h):
        noise = torch.randn(h.shape, generator=self.generator).to(h)
        return h + self.amount * h.std(dim=(1, 2, 3), keepdim=True) * noise


class MidBlockNoise:
    """MODEL in, MODEL with the placebo out."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "Detour demo"

    @classmethod
    def INPUT_TYPES(cls):
        number = ("FLOAT", {"default": 0.0, "min": 0.0, "max": 100.0})
        return {
            "required": {
                "model": ("MODEL",),
                "amount": number,
                "start_percent": number,
                "end_percent": number,
                "seed": ("INT", {"default": 0}),
            }
        }

    def patch(self, model, amount, start_percent, end_percent, seed):
        schedule = Schedule(1.0, "constant", start_percent, end_percent)

        def wrapper(executor, x, t, *args, **kwargs):
            base, sigma = executor.class_obj, t.flatten().tolist()[0]
            table = SigmaTable(tuple(base.model_sampling.sigmas.tolist()))
            if schedule.lam(table.progress(sigma)) == 0.0:
                return executor(x, t, *args, **kwargs)
            unet = base.diffusion_model
            middle = unet.middle_block
            generator = torch.Generator().manual_seed(seed + round(sigma * 1000))
            unet.middle_block = TimestepEmbedSequential(*middle, AddNoise(amount, generator))
            try:
                return executor(x, t, *args, **kwargs)
            finally:
                unet.middle_block = middle

        patched = model.clone()
        patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "detour-demo-placebo", wrapper)
        return (patched,)
