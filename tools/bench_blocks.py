"""The transformers that `dev.py bench` and `dev.py gpu` run, one of each family, in the real
ComfyUI in this process. Importing this file imports ComfyUI, as `bench_models` does.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from . import bench_models as models
from .bench_stats import OURS, Subject
from .failure import Failure

import comfy.model_patcher  # isort: skip  # bench_models says where it is
import comfy.supported_models  # isort: skip

WIDTH, TEXT, POOLED = 512, 256, 64
"""Of the blocks, of a token of the prompt and of its pooled embedding."""
FLUX = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "vec_in_dim": POOLED,
    "context_in_dim": TEXT,
    "hidden_size": WIDTH,
    "mlp_ratio": 4.0,
    "num_heads": 4,
    "depth": 4,
    "depth_single_blocks": 8,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": True,
}
Z_IMAGE = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": WIDTH,
    "n_layers": 12,
    "n_refiner_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 4,
    "qk_norm": True,
    "cap_feat_dim": TEXT,
    "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8 / 3,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
QWEN_IMAGE = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 12,
    "attention_head_dim": 128,
    "num_attention_heads": 4,
    "joint_attention_dim": TEXT,
    "axes_dims_rope": (16, 56, 56),
}
SD3 = {
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "depth": WIDTH // 64,
    "input_size": None,
    "adm_in_channels": POOLED,
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": TEXT, "out_features": WIDTH},
    },
    "num_patches": 1024,
    "pos_embed_max_size": 32,
    "pos_embed_scaling_factor": None,
}
WAN = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "dim": WIDTH,
    "ffn_dim": 2 * WIDTH,
    "freq_dim": 256,
    "text_dim": TEXT,
    "num_heads": 4,
    "num_layers": 12,
}
CONFIGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "z_image": ("Z-Image", "ZImage", Z_IMAGE),
    "qwen_image": ("Qwen-Image", "QwenImage", QWEN_IMAGE),
    "flux": ("Flux", "Flux", FLUX),
    "sd3": ("SD 3", "SD3", SD3),
    "wan": ("Wan", "WAN21_T2V", WAN),
}
"""Name, the host's class and its configuration, at a width that a CPU runs in a moment."""
FULL = {"dim": 3840, "n_layers": 30, "n_heads": 30, "n_kv_heads": 30, "cap_feat_dim": 2560}
"""Changes to Z-Image's: its real size."""
SMALL = {"dim": 256, "n_layers": 3, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2}
"""Changes to Z-Image's: the least that its modulation takes."""
NEWER = {
    "txt_ids_dims": [],
    "use_x0": False,
    "use_sequential_txt_ids": False,
}
"""Of Flux: what newer hosts need to be told and older ones do not know."""


def build(
    shape: str,
    changes: Mapping[str, Any] = MappingProxyType({}),
    dtype: torch.dtype = torch.float32,
) -> Any:
    """A new MODEL of the shape with random weights, for DEVICE."""
    _, class_name, config = CONFIGS[shape]
    config = {**config, **changes}
    if shape == "flux":
        kind = importlib.import_module("comfy.ldm.flux.model").FluxParams
        known = {field.name for field in dataclasses.fields(kind)}
        config = {**{name: NEWER[name] for name in NEWER if name in known}, **config}
    model_config = getattr(comfy.supported_models, class_name)(dict(config))
    model_config.unet_config = dict(config)
    model_config.set_inference_dtype(dtype, None)
    base = model_config.get_model({}, "", device=models.CPU)
    models.fill(base.diffusion_model, 0)
    for buffer in base.diffusion_model.buffers():  # SD3's places, which a checkpoint brings
        buffer.normal_(generator=torch.Generator().manual_seed(0))
    return comfy.model_patcher.ModelPatcher(base, models.DEVICE, models.CPU)


def caller(patcher: Any, latent: int = models.LATENT) -> models.Caller:
    """See `bench_models.started`."""
    width = patcher.model.model_config.unet_config.get("cap_feat_dim", TEXT)
    generator = torch.Generator().manual_seed(1)
    told = {"pooled_output": torch.randn(1, POOLED, generator=generator), "guidance": 3.5}
    text = torch.randn(1, models.TOKENS, width, generator=generator)
    channels = patcher.model.latent_format.latent_channels
    deep = (1,) * (patcher.model.latent_format.latent_dimensions - 2)
    x = torch.randn(1, channels, *deep, latent, latent, generator=generator)
    return models.started(patcher, x, [[text, told]])


def subject(shape: str) -> Subject:
    """A family with its cases, ready to be timed; a `Failure` if one is not what it says."""
    model = build(shape)
    first, last, blocks = middle(model)
    words = {
        "about": f"{CONFIGS[shape][0]}'s blocks, {len(blocks)} of width {WIDTH}",
        "part": f"blocks {first}-{last}",
        "channels": WIDTH,
    }
    cases = {name: caller(models.patched(model, name)) for name in OURS}
    return models.counted(shape, caller(model), cases, blocks[first : last + 1], words)


def middle(model: Any) -> tuple[int, int, list[nn.Module]]:
    """The range that the dial takes by itself, and all blocks in the order in which they run."""
    models.load_pack()
    targets = importlib.import_module(f"{models.PACK}.detour.ways.targets")
    whole = model.model.diffusion_model
    blocks = [block for name, _ in targets.block_lists(whole) for block in getattr(whole, name)]
    if len(blocks) < 3:
        raise Failure(f"{type(whole).__name__} has too few blocks for a middle.")
    first, last = targets.middle_third(len(blocks))
    return first, last, blocks
