"""Tiny random transformers of the host's own classes. Not a test file: `conftest.py` loads it and
hands it out as the fixture `transformers`.
"""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import Any

import pytest
import torch

FLUX = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "vec_in_dim": 32,
    "context_in_dim": 24,
    "hidden_size": 64,
    "mlp_ratio": 4.0,
    "num_heads": 2,
    "depth": 1,
    "depth_single_blocks": 1,
    "axes_dim": [8, 12, 12],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": True,
}
LUMINA = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": 64,
    "n_layers": 1,
    "n_refiner_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 2,
    "qk_norm": True,
    "cap_feat_dim": 24,
    "axes_dims": [8, 12, 12],
    "axes_lens": [64, 64, 64],
    "multiple_of": 32,
}
Z_IMAGE = {
    **LUMINA,
    "dim": 256,  # the least that its modulation can take
    "n_heads": 8,
    "n_kv_heads": 8,
    "z_image_modulation": True,
    "pad_tokens_multiple": 8,
}
SD3 = {
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "depth": 2,
    "input_size": None,
    "adm_in_channels": 32,
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": 24, "out_features": 128},
    },
    "num_patches": 64,
    "pos_embed_max_size": 8,
    "pos_embed_scaling_factor": None,
}
QWEN = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 2,
    "attention_head_dim": 32,
    "num_attention_heads": 2,
    "joint_attention_dim": 24,
    "axes_dims_rope": (8, 12, 12),
}
WAN = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "dim": 64,
    "ffn_dim": 64,
    "freq_dim": 32,
    "text_dim": 24,
    "num_heads": 2,
    "num_layers": 2,
}
FLUX_2 = {
    **FLUX,
    "image_model": "flux2",
    "in_channels": 128,
    "out_channels": 128,
    "patch_size": 1,
    "vec_in_dim": None,
    "axes_dim": [8, 8, 8, 8],
    "qkv_bias": False,
    "guidance_embed": False,
    "global_modulation": True,
    "mlp_silu_act": True,
    "ops_bias": False,
}
CHROMA = {
    **{name: value for name, value in FLUX.items() if name not in ("vec_in_dim", "guidance_embed")},
    "image_model": "chroma",
    "in_channels": 64,
    "out_channels": 64,
    "in_dim": 64,
    "out_dim": 64,
    "hidden_dim": 64,
    "n_layers": 1,
}
RADIANCE = {
    **CHROMA,
    "image_model": "chroma_radiance",
    "in_channels": 3,
    "out_channels": 3,
    "patch_size": 16,
    "nerf_hidden_size": 8,
    "nerf_mlp_ratio": 2,
    "nerf_depth": 1,
    "nerf_max_freqs": 2,
    "nerf_tile_size": 0,
    "nerf_final_head_type": "linear",
    "nerf_embedder_dtype": torch.float32,
}
KREA_2 = {
    "image_model": "krea2",
    "features": 64,
    "tdim": 32,
    "txtdim": 8,
    "heads": 2,
    "kvheads": 2,
    "layers": 2,
    "txtlayers": 3,
    "txtheads": 1,
    "txtkvheads": 1,
}
COSMOS = {
    "image_model": "cosmos_predict2",
    "in_channels": 16,
    "out_channels": 16,
    "max_img_h": 64,
    "max_img_w": 64,
    "max_frames": 8,
    "patch_spatial": 2,
    "patch_temporal": 1,
    "model_channels": 64,
    "num_blocks": 2,
    "num_heads": 2,
    "crossattn_emb_channels": 24,
    "pos_emb_cls": "rope3d",
    "use_adaln_lora": True,
    "adaln_lora_dim": 16,
}
ERNIE = {
    "image_model": "ernie",
    "hidden_size": 64,
    "num_attention_heads": 2,
    "num_layers": 2,
    "ffn_hidden_size": 64,
    "text_in_dim": 24,
    "rope_axes_dim": (8, 12, 12),
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "flux": ("Flux", FLUX),
    "lumina": ("Lumina2", LUMINA),
    "z_image": ("ZImage", Z_IMAGE),
    "sd3": ("SD3", SD3),
    "qwen": ("QwenImage", QWEN),
    "wan": ("WAN21_T2V", WAN),
    "flux2": ("Flux2", FLUX_2),
    "chroma": ("Chroma", CHROMA),
    "radiance": ("ChromaRadiance", RADIANCE),
    "cosmos": ("CosmosT2IPredict2", COSMOS),
    "anima": ("Anima", {**COSMOS, "image_model": "anima"}),
    "krea2": ("Krea2", KREA_2),
    "ernie": ("ErnieImage", ERNIE),
}
PARAMETERS = {
    "flux": ("flux", "FluxParams"),
    "flux2": ("flux", "FluxParams"),
    "chroma": ("chroma", "ChromaParams"),
    "radiance": ("chroma_radiance", "ChromaRadianceParams"),
}
NEWER = {
    "txt_ids_dims": [],
    "vec_in_dim": None,
    "use_x0": False,
    "use_sequential_txt_ids": False,
}
"""What newer hosts need to be told and older ones do not know."""
LATENTS = {
    "QwenImage": (16, 1, 8, 8),
    "WAN21": (16, 1, 8, 8),
    "CosmosPredict2": (16, 1, 8, 8),
    "Anima": (16, 1, 8, 8),
    "Krea2": (16, 1, 8, 8),
    "ErnieImage": (128, 4, 4),
    "Flux2": (128, 4, 4),
    "ChromaRadiance": (3, 32, 32),
}
"""Of one picture, by the host's class for the model; (16, 8, 8) of all others."""
WIDTH = 24
"""Of a token in all of them."""


def latent_shape(model: Any) -> tuple[int, ...]:
    """Of one picture of a MODEL."""
    return LATENTS.get(type(model.model).__name__, (16, 8, 8))


@dataclass
class Transformers:
    """The helpers, with the lab that they work in."""

    lab: Any

    def build(self, family: str, seed: int = 0, **changes: Any) -> Any:
        """A new MODEL of the family with random weights; the same ones for the same seed.

        changes: of its configuration.
        """
        class_name, config = FAMILIES[family]
        if not hasattr(self.lab.comfy.supported_models, class_name):
            pytest.skip(f"This ComfyUI has no {class_name}.")
        config = {**config, **changes}
        if family in PARAMETERS:
            module, parameters = PARAMETERS[family]
            kind = getattr(importlib.import_module(f"comfy.ldm.{module}.model"), parameters)
            known = {field.name for field in dataclasses.fields(kind)}
            config = {**{name: NEWER[name] for name in NEWER if name in known}, **config}
        model_config = getattr(self.lab.comfy.supported_models, class_name)(dict(config))
        model_config.unet_config = dict(config)
        model_config.set_inference_dtype(torch.float32, None)
        base = model_config.get_model({}, "", device=self.lab.CPU)
        self.lab.fill(base.diffusion_model, seed)
        for buffer in base.diffusion_model.buffers():  # SD3's places, which a checkpoint brings
            buffer.copy_(self.lab.randn(*buffer.shape, seed=seed))
        return self.lab.comfy.model_patcher.ModelPatcher(base, self.lab.CPU, self.lab.CPU)

    def conditioning(self, family: str, seed: int, tokens: int = 5, **extra: Any) -> list:
        """A random CONDITIONING as the family's text encoders make it."""
        pooled = {"flux": 32, "sd3": 32}.get(family)
        vector = {"pooled_output": None if pooled is None else self.lab.randn(1, pooled, seed=seed)}
        guidance = {"guidance": 3.5} if family == "flux" else {}
        text = self.lab.randn(1, tokens, WIDTH, seed=seed)
        return [[text, {**vector, **guidance, **extra}]]

    def empty(self, model: Any, rows: int = 1) -> dict[str, Any]:
        """An empty LATENT for this MODEL."""
        return {"samples": torch.zeros(rows, *latent_shape(model))}

    def sample(self, model: Any, positive: list, negative: list, **settings: Any) -> torch.Tensor:
        """One run of the host's sampler with everything else fixed."""
        shape = settings.get("shape", (2, *latent_shape(model)))
        noise = self.lab.randn(*shape, seed=3)
        settings = {"steps": 4, "cfg": 1.0, "sampler": "euler", "scheduler": "simple", **settings}
        return self.lab.comfy.sample.sample(
            model,
            noise,
            settings["steps"],
            settings["cfg"],
            settings["sampler"],
            settings["scheduler"],
            positive,
            negative,
            torch.zeros_like(noise),
            noise_mask=settings.get("noise_mask"),
            disable_pbar=True,
            seed=5,
        )
