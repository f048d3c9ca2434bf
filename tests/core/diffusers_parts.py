"""Tiny random models, pictures and words for the pipelines of diffusers.

Pictures are 16 x 16, latents 8 x 8.
"""

import json
import tempfile
from functools import cache
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    ControlNetUnionModel,
    I2VGenXLUNet,
    Kandinsky3UNet,
    MotionAdapter,
    SparseControlNetModel,
    T2IAdapter,
    UNet2DConditionModel,
    UNet2DModel,
    UNet3DConditionModel,
    UNetMotionModel,
    UNetSpatioTemporalConditionModel,
    VQModel,
)
from PIL import Image

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SMALL = {"block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1}
CROSS = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 8,
    "attention_head_dim": 2,
}
CROSS_3D = {
    "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
    "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
    "cross_attention_dim": 8,
}
CONTROL = {
    "down_block_types": CROSS["down_block_types"],
    "cross_attention_dim": 8,
    "attention_head_dim": 2,
    "conditioning_embedding_out_channels": (4, 8),
    **SMALL,
}
ENCODED = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
    "latent_channels": 4,
}
POOLED = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 32,
}
WORDS = 8
SIZE = 16


def sd(**more):
    return UNet2DConditionModel(**{"sample_size": 8, **CROSS, **SMALL, **more})


def sdxl(**more):
    return sd(**{**POOLED, **more})


def plain(**more):
    given = {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 4,
    }
    return UNet2DModel(**{**given, **SMALL, **more})


def pixels(channels=3, **more):
    """As DeepFloyd IF's: pictures, and a variance beside the noise."""
    return sd(sample_size=SIZE, in_channels=channels, out_channels=6, encoder_hid_dim=WORDS, **more)


def motion(**more):
    blocks = {
        "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
        "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"),
        "motion_num_attention_heads": 2,
        "num_attention_heads": 2,
        "cross_attention_dim": 8,
    }
    return UNetMotionModel(**{"sample_size": 8, **blocks, **SMALL, **more})


def spatio_temporal():
    return UNetSpatioTemporalConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        block_out_channels=(32, 32),
        num_attention_heads=(2, 2),
        layers_per_block=1,
        cross_attention_dim=8,
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=12,
    )


def three_d():
    return UNet3DConditionModel(sample_size=8, attention_head_dim=2, **CROSS_3D, **SMALL)


def i2vgen():
    heads = {"num_attention_heads": 2, "attention_head_dim": 4}
    return I2VGenXLUNet(sample_size=8, **heads, **CROSS_3D, **SMALL)


def kandinsky22(**more):
    given = {
        "out_channels": 8,
        "addition_embed_type": "image",
        "encoder_hid_dim": WORDS,
        "encoder_hid_dim_type": "image_proj",
    }
    return sd(**{**given, **more})


def kandinsky3():
    return Kandinsky3UNet(
        time_embedding_dim=8,
        groups=4,
        attention_head_dim=4,
        layers_per_block=3,
        block_out_channels=(8, 16, 16, 16),
        cross_attention_dim=8,
        encoder_hid_dim=WORDS,
    )


def vae(**more):
    return AutoencoderKL(**{"sample_size": SIZE, **ENCODED, **more})


def movq(**more):
    return VQModel(**{**ENCODED, **more})


def controlnet(**more):
    return ControlNetModel(**{**CONTROL, **more})


def controlnet_union():
    added = {"num_trans_channel": 8, "num_trans_head": 2, "num_proj_channel": 8}
    return ControlNetUnionModel(**CONTROL, **added, **POOLED)


def sparse():
    return SparseControlNetModel(
        down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
        cross_attention_dim=8,
        attention_head_dim=2,
        motion_num_attention_heads=2,
        conditioning_channels=4,
        conditioning_embedding_out_channels=(8, 8),
        **SMALL,
    )


def motion_adapter():
    return MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
    )


def t2i_adapter():
    return T2IAdapter(channels=[8, 16], num_res_blocks=1, downscale_factor=2)


@cache
def tokenizer():
    """CLIP's tokenizer over single letters."""
    from transformers import CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(letter + "</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder = Path(tempfile.mkdtemp(prefix="detour-tokenizer-"))
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(folder / "vocab.json", folder / "merges.txt", model_max_length=8)


CLIP = {
    "hidden_size": WORDS,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "projection_dim": WORDS,
}


def text_encoder(kind="CLIPTextModel"):
    import transformers

    config = transformers.CLIPTextConfig(
        **CLIP, vocab_size=60, max_position_embeddings=8, eos_token_id=53, bos_token_id=52
    )
    return getattr(transformers, kind)(config)


def image_encoder():
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP, image_size=224, patch_size=112))


def image_processor():
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor()


def picture(shade=90, size=SIZE):
    return Image.effect_mandelbrot((size, size), (-2, -1, 1, 1), shade).convert("RGB")


def mask(size=SIZE):
    drawn = Image.new("L", (size, size))
    drawn.paste(255, (0, 0, size, size // 2))
    return drawn


def embeds(value, rows=1):
    """Embeddings by which the rows can be told apart: all of one value."""
    return torch.full((rows, 4, WORDS), float(value))


class Encoded(torch.nn.Module):
    """Kandinsky 2.1's text encoder: the same for every prompt."""

    dtype = torch.float32

    def forward(self, input_ids, attention_mask):
        rows, words = input_ids.shape
        return torch.ones(rows, WORDS), torch.ones(rows, words, WORDS)


def vocoder():
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    return SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=8,
            sampling_rate=16000,
            upsample_initial_channel=8,
            upsample_rates=[2, 2],
            upsample_kernel_sizes=[4, 4],
            resblock_kernel_sizes=[3, 7],
            resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5]],
            normalize_before=False,
        )
    )
