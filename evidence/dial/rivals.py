"""What the ways are compared with, where no node of a host does it."""

from __future__ import annotations

import sys
from typing import Any

import torch

from detour.progress import SigmaTable
from detour.schedule import Schedule


def without_attention(model: Any, schedule: Schedule) -> Any:
    """A MODEL whose mid-block does not attend inside a window. The transformer adds to its input,
    so that leaving it out is the exact limit of taking its part away, as in a bypass of it alone;
    other strengths are not offered."""
    table = SigmaTable.of(model.get_model_object("model_sampling").sigmas)

    def wrapper(executor: Any, x: Any, t: Any, *args: Any, **kwargs: Any) -> Any:
        unet = executor.class_obj.diffusion_model
        middle = unet.middle_block
        if schedule.contains(table.progress(float(t.flatten()[0]))):
            kept = [layer for layer in middle if type(layer).__name__ != "SpatialTransformer"]
            unet.middle_block = type(middle)(*kept)
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
