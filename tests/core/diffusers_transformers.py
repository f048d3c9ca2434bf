"""Tiny random pipelines of diffusers with a transformer. Not a test file."""

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)

SIZE = {"height": 64, "width": 64, "num_inference_steps": 4, "output_type": "latent"}
TOKENS, WIDTH = 5, 24


def embeds(seed, width=WIDTH, tokens=(TOKENS,)):
    """A random text."""
    return torch.randn(1, *tokens, width, generator=torch.Generator().manual_seed(seed))


def flux():
    model = FluxTransformer2DModel(
        in_channels=64,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=32,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    )
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    pipe = FluxPipeline(scheduler, None, None, None, None, None, model)
    return pipe, {"prompt_embeds": embeds(1), "pooled_prompt_embeds": embeds(2, 32, ())}


def sd3():
    model = SD3Transformer2DModel(
        sample_size=8,
        num_layers=4,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        caption_projection_dim=32,
        pooled_projection_dim=32,
        pos_embed_max_size=8,
    )
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipe = StableDiffusion3Pipeline(
        model, scheduler, None, None, None, None, None, None, None, None, None
    )
    return pipe, {
        "prompt_embeds": embeds(1),
        "negative_prompt_embeds": embeds(3),
        "pooled_prompt_embeds": embeds(2, 32, ()),
        "negative_pooled_prompt_embeds": embeds(4, 32, ()),
        "guidance_scale": 4.0,
    }


def qwen():
    model = QwenImageTransformer2DModel(
        in_channels=64,
        num_layers=4,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(8, 12, 12),
    )
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=True)
    pipe = QwenImagePipeline(scheduler, None, None, None, model)
    whole = torch.ones(1, TOKENS, dtype=torch.long)
    return pipe, {
        "prompt_embeds": embeds(1),
        "prompt_embeds_mask": whole,
        "negative_prompt_embeds": embeds(3),
        "negative_prompt_embeds_mask": whole,
        "true_cfg_scale": 4.0,
    }


def z_image():
    model = ZImageTransformer2DModel(
        dim=256,
        n_layers=4,
        n_refiner_layers=1,
        n_heads=8,
        n_kv_heads=8,
        cap_feat_dim=WIDTH,
        axes_dims=(8, 12, 12),
        axes_lens=(512, 64, 64),
    )
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipe = ZImagePipeline(scheduler, None, None, None, model)
    return pipe, {
        "prompt_embeds": [embeds(1)[0]],
        "negative_prompt_embeds": [embeds(3)[0]],
        "guidance_scale": 3.0,
    }


def wan(two=False):
    def model():
        return WanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=32,
            text_dim=WIDTH,
            freq_dim=32,
            ffn_dim=64,
            num_layers=4,
        )

    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    more = {"transformer_2": model().eval(), "boundary_ratio": 0.9} if two else {}
    pipe = WanPipeline(None, None, None, scheduler, model(), **more)
    return pipe, {
        "prompt_embeds": embeds(1),
        "negative_prompt_embeds": embeds(3),
        "num_frames": 5,
        "guidance_scale": 4.0,
    }


MAKE = {"flux": flux, "sd3": sd3, "qwen": qwen, "z_image": z_image, "wan": wan}


def build(name, **more):
    """A pipeline, and a function that runs it with equal seeds."""
    torch.manual_seed(0)
    pipe, arguments = MAKE[name](**more)
    pipe.transformer.eval()
    for value in pipe.transformer.parameters():  # gates and last layers begin at zero
        if value.abs().sum() == 0:
            torch.nn.init.normal_(value, std=0.2)
    pipe.set_progress_bar_config(disable=True)

    def run(**changes):
        generator = torch.Generator().manual_seed(2)
        return pipe(**{**SIZE, **arguments, "generator": generator, **changes})[0]

    return pipe, run
