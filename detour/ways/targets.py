"""What of a denoiser can be bypassed."""

from __future__ import annotations

from torch import nn

REFUSAL = "This model has no mid-block. Works with SD 1.x, SD 2.x, SDXL, SVD."


def find_mid_block(unet: object) -> str:
    """The name of a U-Net's mid-block attribute: `middle_block` (ldm) or `mid_block` (diffusers;
    `base_midblock` beside a control model's in one block).

    Raises ValueError that names the model's class if it has none.
    """
    for name in ("middle_block", "mid_block", "base_midblock"):
        if isinstance(getattr(unet, name, None), nn.Module):
            return name
    raise ValueError(f"{REFUSAL} (The connected model is of the kind {type(unet).__name__}.)")
