"""The architectures that `dev.py bench` times: real block structures, fewer channels."""

from __future__ import annotations

from typing import Any

SHAPES = ("sd15", "sdxl")
NAMES = {"sd15": "SD 1.5", "sdxl": "SDXL"}
CHANNELS = 64
"""With the 320 of the real models one call takes seconds on a CPU: too few pairs in the time."""
LATENT = 32
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
FULL = {"model_channels": 320}
SMALL = {
    "sd15": {
        "model_channels": 32,
        "channel_mult": [1],
        "num_res_blocks": [1],
        "transformer_depth": [0],
        "transformer_depth_output": [0, 0],
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
