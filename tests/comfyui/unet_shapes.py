"""The shapes of the tiny U-Nets that `lab.py` builds: what the host's model classes are told."""

from __future__ import annotations

from typing import Any

BASE = {
    "use_checkpoint": False,
    "image_size": 32,
    "use_spatial_transformer": True,
    "legacy": False,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "context_dim": 16,
    "transformer_depth_middle": 1,
    "adm_in_channels": None,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}
TWO_LEVELS = {
    "channel_mult": [1, 2],
    "num_res_blocks": [1, 1],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
}
FOUR_LEVELS = {
    "channel_mult": [1, 2, 2, 2],
    "num_res_blocks": [1, 1, 1, 1],
}
SMALL = {
    "channel_mult": [1],
    "num_res_blocks": [0],
    "transformer_depth": [],
    "transformer_depth_output": [0],
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "sd15": ("SD15", {**TWO_LEVELS, "use_linear_in_transformer": False}),
    "small": ("SD15", {**SMALL, "use_linear_in_transformer": False}),
    "sd2": ("SD20", {**TWO_LEVELS, "use_linear_in_transformer": True}),
    "sdxl": (
        "SDXL",
        {
            "use_linear_in_transformer": True,
            "channel_mult": [1, 2, 4],
            "num_res_blocks": [1, 1, 1],
            "transformer_depth": [0, 1, 2],
            "transformer_depth_middle": 2,
            "transformer_depth_output": [0, 0, 1, 1, 2, 2],
            "adm_in_channels": 2816,
            "num_classes": "sequential",
        },
    ),
    "refiner": (
        "SDXLRefiner",
        {
            **FOUR_LEVELS,
            "use_linear_in_transformer": True,
            "transformer_depth": [0, 1, 1, 0],
            "transformer_depth_output": [0, 0, 1, 1, 1, 1, 0, 0],
            "adm_in_channels": 2560,
            "num_classes": "sequential",
        },
    ),
    "svd": (
        "SVD_img2vid",
        {
            **FOUR_LEVELS,
            "in_channels": 8,
            "use_linear_in_transformer": True,
            "transformer_depth": [1, 1, 1, 0],
            "transformer_depth_output": [1, 1, 1, 1, 1, 1, 0, 0],
            "adm_in_channels": 768,
            "num_classes": "sequential",
            "use_temporal_attention": True,
            "use_temporal_resblock": True,
            "extra_ff_mix_layer": True,
            "use_spatial_context": True,
            "merge_strategy": "learned_with_images",
            "merge_factor": 0.0,
            "video_kernel_size": [3, 1, 1],
            "disable_temporal_crossattention": False,
        },
    ),
}
"""`small` is for all that does not depend on what lies around the mid-block: one level, one block
beside the mid-block's, and attention in the mid-block alone."""
