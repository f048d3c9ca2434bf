"""The pipelines of diffusers, each made with tiny random parts and run from end to end.

Parts and arguments are found by the names that a pipeline's `__init__` and `__call__` give
them; what is different for one stands in `SPECIAL`.
"""

import importlib
import inspect
import pkgutil
from functools import cache

import diffusers
import torch
from diffusers import (
    ControlNetXSAdapter,
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    LCMScheduler,
    UNet1DModel,
)
from diffusers_parts import (
    CROSS,
    POOLED,
    SD,
    SIZE,
    WORDS,
    Encoded,
    controlnet,
    controlnet_union,
    embeds,
    i2vgen,
    image_encoder,
    image_processor,
    kandinsky3,
    kandinsky22,
    mask,
    motion,
    motion_adapter,
    movq,
    picture,
    pixels,
    plain,
    sd,
    sdxl,
    sparse,
    spatio_temporal,
    t2i_adapter,
    text_encoder,
    three_d,
    tokenizer,
    vae,
    vocoder,
)

NONE = object()


@cache
def every_pipeline():
    """All pipeline classes that diffusers ships for torch, by name."""
    found = {}
    for entry in pkgutil.walk_packages(diffusers.pipelines.__path__, "diffusers.pipelines."):
        if "flax" in entry.name or "onnx" in entry.name:
            continue
        try:
            module = importlib.import_module(entry.name)
        except ImportError:  # needs a package, or a newer one, that has no U-Net here
            continue
        for name, kind in vars(module).items():
            pipeline = inspect.isclass(kind) and issubclass(kind, DiffusionPipeline)
            if pipeline and kind.__module__ == entry.name:
                found[name] = kind
    return found


def with_unet():
    """The names of the pipelines that have a part which may be a U-Net."""

    def parts(kind):
        given = inspect.signature(kind.__init__).parameters.values()
        return [one for one in given if one.name.endswith("unet") or "UNet" in str(one.annotation)]

    return sorted(name for name, kind in every_pipeline().items() if parts(kind))


def known_parts(name):
    """The parts by name; those missing here keep the pipeline's default, or None."""
    xl = "XL" in name or "Kolors" in name
    return {
        "unet": sdxl if xl else sd,
        "vae": vae,
        "movq": movq,
        "controlnet": (lambda: controlnet(**POOLED)) if xl else controlnet,
        "adapter": t2i_adapter,
        "motion_adapter": motion_adapter,
        "scheduler": lambda: DDIMScheduler(**SD, clip_sample=False),
        "image_noising_scheduler": lambda: DDPMScheduler(),
        "low_res_scheduler": lambda: DDPMScheduler(**SD),
        "requires_safety_checker": lambda: False,
        "add_watermarker": lambda: False,
    }


def known_arguments():
    return {
        "prompt_embeds": embeds(1),
        "negative_prompt_embeds": embeds(-1),
        "pooled_prompt_embeds": torch.ones(1, WORDS),
        "negative_pooled_prompt_embeds": -torch.ones(1, WORDS),
        "image": picture(),
        "mask_image": mask(),
        "control_image": picture(60),
        "video": [picture(), picture(60)],
        "conditioning_frames": [picture(), picture(60)],
        "num_frames": 2,
        "height": SIZE,
        "width": SIZE,
        "num_inference_steps": 4,
        "output_type": "latent",
        "hint": torch.ones(1, 3, SIZE, SIZE),
    }


def parts(**made):
    return {"parts": made}


def unet(kind, **more):
    return {"unet": lambda: kind(**more)}


def text(*more):
    return {"text_encoder": text_encoder, "tokenizer": tokenizer}


def eyes():
    return {"image_encoder": image_encoder, "feature_extractor": image_processor}


def clean_words(**more):
    """For pipelines that take a prompt in words only."""
    return {"prompt": "a nurse", "negative_prompt": "red", **more}


def floyd(channels=3, **call):
    scheduler = {"scheduler": lambda: DDPMScheduler(variance_type="learned_range")}
    made = {**unet(pixels, channels=channels), **scheduler}
    return {"parts": made, "call": {"output_type": "pt", **call}}


def uncond(**more):
    return {"parts": {**unet(plain), **more}, "call": {"output_type": "np"}}


HALF = (torch.arange(SIZE**2).view(SIZE, SIZE) > 99).float().numpy()


IMAGE_EMBEDS = {
    "image_embeds": torch.ones(1, WORDS),
    "negative_image_embeds": -torch.ones(1, WORDS),
    "output_type": "pt",
}


MASKS = {
    "attention_mask": torch.ones(1, 4, dtype=torch.bool),
    "negative_attention_mask": torch.ones(1, 4, dtype=torch.bool),
}


KANDINSKY = {"parts": unet(kandinsky22), "call": IMAGE_EMBEDS}


HINTED = {
    "parts": unet(kandinsky22, addition_embed_type="image_hint", in_channels=8),
    "call": {**IMAGE_EMBEDS, "hint": torch.ones(1, 3, 64, 64)},
}


LCM = {"parts": {**unet(sd, time_cond_proj_dim=8), "scheduler": lambda: LCMScheduler(**SD)}}


UNION = {
    "parts": {"controlnet": controlnet_union},
    "call": {"control_mode": [0], "control_image": [picture(60)]},
}


XS = {
    "parts": {
        **unet(sd, layers_per_block=2),
        "controlnet": lambda: ControlNetXSAdapter(
            conditioning_channels=3,
            conditioning_embedding_out_channels=(4, 8),
            time_embedding_mix=1.0,
            learn_time_embedding=False,
            num_attention_heads=2,
            block_out_channels=(4, 8),
            base_block_out_channels=(8, 16),
            cross_attention_dim=8,
            down_block_types=CROSS["down_block_types"],
            sample_size=8,
            transformer_layers_per_block=1,
            max_norm_num_groups=4,
            use_linear_projection=False,
        ),
    }
}


MARIGOLD = {
    "parts": {
        "unet": lambda: sd(in_channels=8, out_channels=4),
        **text(),
        "prediction_type": lambda: "depth",
    },
    "call": {"processing_resolution": SIZE, "match_input_resolution": False, "output_type": "np"},
}


COMBINED = "its parts are those of the pipelines that it joins"


KANDINSKY21 = {
    "parts": {
        "unet": lambda: sd(
            addition_embed_type="text_image",
            encoder_hid_dim=WORDS,
            out_channels=8,
            encoder_hid_dim_type="text_image_proj",
        ),
        "text_encoder": Encoded,
        "tokenizer": tokenizer,
    },
    "call": {**clean_words(), **IMAGE_EMBEDS},
}


VIDEO = {"parts": unet(three_d)}


AUDIO = {
    "parts": {
        "unet": lambda: sd(
            class_embed_type="simple_projection",
            projection_class_embeddings_input_dim=WORDS,
            class_embeddings_concat=True,
            cross_attention_dim=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        "vae": lambda: vae(in_channels=1, out_channels=1),
        "vocoder": vocoder,
    },
    "call": {
        "prompt_embeds": torch.ones(1, WORDS),
        "negative_prompt_embeds": -torch.ones(1, WORDS),
        "audio_length_in_s": 0.01,
        "output_type": "np",
    },
}


UNCLIP = {
    "parts": {
        "decoder": sd,
        "super_res_first": plain,
        "super_res_last": plain,
        **text(),
    },
}


VERSATILE = parts(image_unet=sd)


SPECIAL = {
    "AudioDiffusionPipeline": "its spectrograms need librosa",
    "AudioLDMPipeline": {**AUDIO, "parts": {**AUDIO["parts"], **text()}},
    "MusicLDMPipeline": "its text encoder is a model of its own (CLAP)",
    "AudioLDM2Pipeline": "its language model is a model of its own (GPT-2)",
    "BlipDiffusionPipeline": "its text encoder is a model of its own (BLIP-2)",
    "BlipDiffusionControlNetPipeline": "its text encoder is a model of its own (BLIP-2)",
    "DreamLitePipeline": "its text encoder is a model of its own (Qwen-VL)",
    "DreamLiteMobilePipeline": "its text encoder is a model of its own (Qwen-VL)",
    "KandinskyCombinedPipeline": COMBINED,
    "KandinskyImg2ImgCombinedPipeline": COMBINED,
    "KandinskyInpaintCombinedPipeline": COMBINED,
    "KandinskyV22CombinedPipeline": COMBINED,
    "KandinskyV22Img2ImgCombinedPipeline": COMBINED,
    "KandinskyV22InpaintCombinedPipeline": COMBINED,
    "LDMTextToImagePipeline": "its text encoder is a model of its own (BERT)",
    "LEditsPPPipelineStableDiffusion": "its inversion gives back the picture that it was given",
    "LEditsPPPipelineStableDiffusionXL": "its inversion needs two text encoders",
    "StableDiffusionDiffEditPipeline": {
        "parts": {
            "scheduler": lambda: diffusers.DDIMScheduler(**SD, clip_sample=False),
            "inverse_scheduler": lambda: diffusers.DDIMInverseScheduler(**SD, clip_sample=False),
        },
        "method": "invert",
        "call": {"image": picture(), "inpaint_strength": 1.0},
    },
    "StableDiffusionGLIGENTextImagePipeline": "its picture encoder is a model of its own",
    "StableDiffusionPix2PixZeroPipeline": "its directions come from a captioning model",
    "StableUnCLIPPipeline": "its prior is a model of its own",
    "StableUnCLIPImg2ImgPipeline": "its normaliser is a model of its own",
    "TextToVideoZeroSDXLPipeline": "it needs two text encoders",
    "UnCLIPPipeline": UNCLIP,
    "UnCLIPImageVariationPipeline": UNCLIP,
    "UniDiffuserPipeline": "its text decoder is a model of its own",
    "VersatileDiffusionPipeline": VERSATILE,
    "VersatileDiffusionDualGuidedPipeline": VERSATILE,
    "VersatileDiffusionImageVariationPipeline": VERSATILE,
    "VersatileDiffusionTextToImagePipeline": VERSATILE,
    "AnimateDiffSparseControlNetPipeline": parts(controlnet=sparse),
    "ConsistencyModelPipeline": uncond(
        scheduler=lambda: diffusers.CMStochasticIterativeScheduler(num_train_timesteps=40)
    ),
    "CycleDiffusionPipeline": "it is not the same twice with equal seeds",
    "DDIMPipeline": uncond(),
    "DDPMPipeline": uncond(scheduler=DDPMScheduler),
    "PNDMPipeline": uncond(scheduler=diffusers.PNDMScheduler),
    "DanceDiffusionPipeline": {
        "parts": {
            "unet": lambda: UNet1DModel(
                block_out_channels=(32, 32, 64),
                extra_in_channels=64,
                sample_size=64,
                sample_rate=64,
                in_channels=2,
                out_channels=2,
                flip_sin_to_cos=True,
                use_timestep_embedding=False,
                time_embedding_type="fourier",
                mid_block_type="UNetMidBlock1D",
                down_block_types=("DownBlock1DNoSkip", "DownBlock1D", "AttnDownBlock1D"),
                up_block_types=("AttnUpBlock1D", "UpBlock1D", "UpBlock1DNoSkip"),
            ),
            "scheduler": diffusers.IPNDMScheduler,
        },
        "call": {"audio_length_in_s": 1.0},
    },
    "I2VGenXLPipeline": {"parts": {**unet(i2vgen), **eyes(), **text()}},
    "IFPipeline": floyd(),
    "IFImg2ImgPipeline": floyd(),
    "IFInpaintingPipeline": floyd(),
    "IFSuperResolutionPipeline": floyd(6, noise_level=20),
    "IFImg2ImgSuperResolutionPipeline": floyd(6, original_image=picture(), noise_level=20),
    "IFInpaintingSuperResolutionPipeline": floyd(6, original_image=picture(), noise_level=20),
    "Kandinsky3Pipeline": {"parts": unet(kandinsky3), "call": MASKS},
    "Kandinsky3Img2ImgPipeline": {"parts": unet(kandinsky3), "call": MASKS},
    "KandinskyPipeline": KANDINSKY21,
    "KandinskyImg2ImgPipeline": KANDINSKY21,
    "KandinskyInpaintPipeline": {
        "parts": {
            **KANDINSKY21["parts"],
            "unet": lambda: sd(
                addition_embed_type="text_image",
                encoder_hid_dim=WORDS,
                out_channels=8,
                encoder_hid_dim_type="text_image_proj",
                in_channels=9,
            ),
        },
        "call": {**KANDINSKY21["call"], "mask_image": HALF},
    },
    "KandinskyV22Pipeline": KANDINSKY,
    "KandinskyV22Img2ImgPipeline": KANDINSKY,
    "KandinskyV22InpaintPipeline": {
        "parts": unet(kandinsky22, in_channels=9),
        "call": {**IMAGE_EMBEDS, "mask_image": HALF},
    },
    "KandinskyV22ControlnetPipeline": HINTED,
    "KandinskyV22ControlnetImg2ImgPipeline": HINTED,
    "KarrasVePipeline": uncond(scheduler=diffusers.KarrasVeScheduler),
    "LDMPipeline": {
        "parts": {**unet(plain, in_channels=4, out_channels=4), "vqvae": movq},
        "call": {"output_type": "np"},
    },
    "LDMSuperResolutionPipeline": {
        "parts": {**unet(plain, in_channels=6), "vqvae": lambda: movq(latent_channels=3)},
        "call": {"output_type": "np", "image": torch.ones(1, 3, 8, 8)},
    },
    "LatentConsistencyModelPipeline": LCM,
    "LatentConsistencyModelImg2ImgPipeline": LCM,
    "MarigoldDepthPipeline": MARIGOLD,
    "MarigoldNormalsPipeline": MARIGOLD,
    "MarigoldIntrinsicsPipeline": {
        **MARIGOLD,
        "parts": {
            **MARIGOLD["parts"],
            "unet": lambda: sd(in_channels=12, out_channels=8),
            "target_properties": lambda: {"target_names": ["albedo", "shading"]},
        },
    },
    "KolorsImg2ImgPipeline": {
        "encode_prompt": (embeds(1), embeds(-1), torch.ones(1, WORDS), -torch.ones(1, WORDS))
    },
    "PIAPipeline": parts(unet=lambda: motion(in_channels=9)),
    "PaintByExamplePipeline": "its image encoder has a form of its own",
    "RePaintPipeline": {
        "parts": {**unet(plain), "scheduler": diffusers.RePaintScheduler},
        "call": {
            "output_type": "np",
            "jump_length": 2,
            "jump_n_sample": 2,
            "eta": 0.0,
            "num_inference_steps": 6,
            "image": picture(size=32),
            "mask_image": mask(32),
        },
    },
    "ScoreSdeVePipeline": uncond(scheduler=diffusers.ScoreSdeVeScheduler),
    "SemanticStableDiffusionPipeline": {
        "parts": text(),
        "call": clean_words(editing_prompt=["smile"]),
    },
    "StableDiffusionPipelineSafe": {"parts": text(), "call": clean_words()},
    "StableDiffusionAttendAndExcitePipeline": {
        "parts": text(),
        "call": {
            "prompt": "a nurse",
            "token_indices": [2],
            "prompt_embeds": NONE,
            "negative_prompt_embeds": NONE,
            "max_iter_to_alter": 0,
            "attn_res": (4, 4),
        },
    },
    "StableDiffusionControlNetXSPipeline": XS,
    "StableDiffusionXLControlNetXSPipeline": {
        "parts": {**XS["parts"], **unet(sdxl, layers_per_block=2)},
    },
    "StableDiffusionDepth2ImgPipeline": {
        "parts": unet(sd, in_channels=5),
        "call": {"depth_map": torch.rand(1, SIZE, SIZE)},
    },
    "StableDiffusionGLIGENPipeline": {
        "parts": {**text(), **unet(sd, attention_type="gated")},
        "call": {"gligen_phrases": ["a"], "gligen_boxes": [[0, 0, 1, 1]]},
    },
    "StableDiffusionImageVariationPipeline": parts(**eyes()),
    "StableDiffusionInstructPix2PixPipeline": parts(unet=lambda: sd(in_channels=8)),
    "StableDiffusionXLInstructPix2PixPipeline": parts(unet=lambda: sdxl(in_channels=8)),
    "StableDiffusionUpscalePipeline": {
        "parts": unet(sd, in_channels=7, num_class_embeds=1000),
    },
    "StableDiffusionLDM3DPipeline": {
        "parts": {"vae": lambda: vae(in_channels=6, out_channels=6)},
        "call": {"output_type": "np"},
    },
    "StableDiffusionParadigmsPipeline": parts(
        scheduler=lambda: diffusers.DDIMParallelScheduler(**SD, clip_sample=False)
    ),
    "StableDiffusionLatentUpscalePipeline": "its text encoder's states come in a form of its own",
    "StableDiffusionXLControlNetUnionPipeline": UNION,
    "StableDiffusionXLControlNetUnionImg2ImgPipeline": UNION,
    "StableDiffusionXLControlNetUnionInpaintPipeline": UNION,
    "StableVideoDiffusionPipeline": {
        "parts": {
            "unet": spatio_temporal,
            "vae": lambda: diffusers.AutoencoderKLTemporalDecoder(
                block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2
            ),
            **eyes(),
            "scheduler": lambda: EulerDiscreteScheduler(
                **SD,
                prediction_type="v_prediction",
                timestep_type="continuous",
                sigma_min=0.002,
                sigma_max=700.0,
                use_karras_sigmas=True,
            ),
        },
        "call": {"decode_chunk_size": 2},
    },
    "TextToVideoSDPipeline": VIDEO,
    "VideoToVideoSDPipeline": VIDEO,
    "TextToVideoZeroPipeline": {
        "parts": text(),
        "call": clean_words(video_length=2, num_inference_steps=10, t0=6, t1=8),
    },
}


class NotRun(Exception):
    pass


def make(name):
    """A pipeline with tiny random parts, and a function that runs it with equal seeds."""
    kind, special = every_pipeline()[name], SPECIAL.get(name, {})
    if isinstance(special, str):
        raise NotRun(special)
    known = {**known_parts(name), **special.get("parts", {})}
    torch.manual_seed(0)
    parts = {}
    for part, given in inspect.signature(kind.__init__).parameters.items():
        if part in known:
            parts[part] = known[part]()
        elif part != "self" and given.default is inspect.Parameter.empty:
            parts[part] = None
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipe = kind(**parts)
    pipe.set_progress_bar_config(disable=True)
    if "encode_prompt" in special:
        pipe.encode_prompt = lambda **_: special["encode_prompt"]
    method = getattr(kind, special.get("method", "__call__"), lambda: None)
    accepted = inspect.signature(method).parameters
    arguments = {key: value for key, value in known_arguments().items() if key in accepted}
    arguments.update(special.get("call", {}))
    arguments = {key: value for key, value in arguments.items() if value is not NONE}

    def run(**more):
        torch.manual_seed(1)
        drawn = {"generator": torch.Generator().manual_seed(2)} if "generator" in accepted else {}
        return method(pipe, **{**arguments, **drawn, **more})[0]

    return pipe, run


def flat(result):
    """The numbers of a result: tensors, arrays or pictures."""
    import numpy as np

    if torch.is_tensor(result):
        return result
    return torch.as_tensor(np.stack([np.asarray(one) for one in result]))


def why_refused(sentence):
    """In short for the table; the sentence itself is held by its words."""
    for words, short in (
        ("has no part named unet", "name its U-Net"),
        ("has no mid-block", "no mid-block"),
        ("has no alphas_cumprod", "its scheduler tells no progress"),
    ):
        if words in sentence:
            return short
    raise AssertionError(sentence)
