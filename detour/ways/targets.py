"""What of a denoiser a way can act on, and what reads it; told by what an object has, not by the
host that it is of."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn

REFUSAL = "This model has no mid-block. Works with SD 1.x, SD 2.x, SDXL, SVD."


def find_mid_block(unet: Any) -> tuple[nn.Module, str]:
    """The module that the mid-block is an attribute of, and the attribute: `middle_block` (ldm)
    or `mid_block` (diffusers). Behind `torch.compile` it is the U-Net's; of ControlNet-XS it is
    `base_midblock` of the pair of mid-blocks, as the other one adds its residual behind it.

    Raises ValueError that names the model's class if it has none.
    """
    whole = uncompiled(unet)
    pair: Any = getattr(whole, "mid_block", None)
    holder: Any = pair if hasattr(pair, "base_midblock") else whole
    for name in ("middle_block", "mid_block", "base_midblock"):
        if isinstance(getattr(holder, name, None), nn.Module):
            return holder, name
    raise ValueError(f"{REFUSAL} (The connected model is of the kind {type(whole).__name__}.)")


def uncompiled(module: Any) -> Any:
    """The module itself where torch.compile has wrapped it."""
    return getattr(module, "_orig_mod", module)


def mid_attention_is_read(options: dict[str, Any]) -> bool:
    """True if a patch such as SAG, in a call's transformer options, replaces attention in the
    mid-block: then it has to run."""
    replaced = options.get("patches_replace", {}).get("attn1", {})
    return any(place[0] == "middle" for place in replaced)


def has_embedded_guidance(denoiser: Any) -> bool:
    """Whether a model was trained to read a guidance scale, as Flux dev, HunyuanVideo and others
    were: hosts also hand the scale to their kin that were not."""
    reader = getattr(uncompiled(denoiser), "guidance_in", None)
    return isinstance(reader, nn.Module) and any(True for _ in reader.parameters())


def keeps_index(layer: nn.Module) -> nn.Module | None:
    """For a skipped transformer a module that the looping hosts count like it (GLIGEN reads
    the count); None for other layers."""
    kinds = [kind for kind in type(layer).__mro__ if kind.__name__ == "SpatialTransformer"]
    return _stand_in(kinds[0])() if kinds else None


@cache
def _stand_in(kind: type[nn.Module]) -> type[nn.Module]:
    class KeepsIndex(kind):
        def __init__(self) -> None:
            nn.Module.__init__(self)

        def forward(self, x: torch.Tensor, *_args: Any, **_kwargs: Any) -> torch.Tensor:
            return x

    return KeepsIndex
