"""What is different for single pipelines of diffusers: their parts, their arguments, or why they
are not tried. Not a test file."""

import diffusers
import torch
from diffusers import (
    ControlNetXSAdapter,
    DDPMScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    UNet1DModel,
)
from diffusers_parts import (
    CROSS,
    SD,
    SIZE,
    WORDS,
    Encoded,
    controlnet_union,
    embeds,
    i2vgen,
    image_encoder,
    image_processor,
    kandinsky3,
    kandinsky22,
    mask,
    motion,
    movq,
    picture,
    pixels,
    plain,
    sd,
    sdxl,
    sparse,
    spatio_temporal,
    text_encoder,
    three_d,
    tokenizer,
    vae,
    vocoder,
)

NONE = object()
"""An argument that is usual and not given here."""
NOT_TRIED = {
    "AudioDiffusionPipeline": "its spectrograms need librosa",
    "MusicLDMPipeline": "its text encoder is a model of its own (CLAP)",
    "AudioLDM2Pipeline": "its language model is a model of its own (GPT-2)",
    "BlipDiffusionPipeline": "its text encoder is a model of its own (BLIP-2)",
    "BlipDiffusionControlNetPipeline": "its text encoder is a model of its own (BLIP-2)",
    "CycleDiffusionPipeline": "it is not the same twice with equal seeds",
    "DreamLitePipeline": "its text encoder is a model of its own (Qwen-VL)",
    "DreamLiteMobilePipeline": "its text encoder is a model of its own (Qwen-VL)",
    **dict.fromkeys(
        (
            f"Kandinsky{version}{task}CombinedPipeline"
            for version in ("", "V22")
            for task in ("", "Img2Img", "Inpaint")
        ),
        "its parts are those of the pipelines that it joins",
    ),
    "LDMTextToImagePipeline": "its text encoder is a model of its own (BERT)",
    "LEditsPPPipelineStableDiffusion": "its inversion gives back the picture that it was given",
    "LEditsPPPipelineStableDiffusionXL": "its inversion needs two text encoders",
    "PaintByExamplePipeline": "its image encoder has a form of its own",
    "StableDiffusionGLIGENTextImagePipeline": "its picture encoder is a model of its own",
    "StableDiffusionLatentUpscalePipeline": "its text encoder's states come in a form of its own",
    "StableDiffusionPix2PixZeroPipeline": "its directions come from a captioning model",
    "StableUnCLIPPipeline": "its prior is a model of its own",
    "StableUnCLIPImg2ImgPipeline": "its normaliser is a model of its own",
    "TextToVideoZeroSDXLPipeline": "it needs two text encoders",
    "UniDiffuserPipeline": "its text decoder is a model of its own",
}


def own(*parts, call=(), **more):
    """The parts of a pipeline (tables of what makes each) and what its call gets."""
    made = {name: make for table in parts for name, make in table.items()}
    return {"parts": made, "call": dict(call), **more}


def unet(kind, **more):
    return {"unet": lambda: kind(**more)}


def scheduler(kind, **more):
    return {"scheduler": lambda: kind(**more)}


def floyd(channels=3, **call):
    learned = scheduler(DDPMScheduler, variance_type="learned_range")
    return own(unet(pixels, channels=channels), learned, call={"output_type": "pt", **call})


def uncond(*parts):
    return own(unet(plain), *parts, call={"output_type": "np"})


def kandinsky21(**more):
    words = {"encoder_hid_dim": WORDS, "encoder_hid_dim_type": "text_image_proj"}
    model = unet(sd, addition_embed_type="text_image", out_channels=8, **words, **more)
    return model | {"text_encoder": Encoded, "tokenizer": tokenizer}


TEXT = {"text_encoder": text_encoder, "tokenizer": tokenizer}
EYES = {"image_encoder": image_encoder, "feature_extractor": image_processor}
PROMPT = {"prompt": "a nurse", "negative_prompt": "red"}
"""For pipelines that take a prompt in words only."""
HALF = {"mask_image": (torch.arange(SIZE**2).view(SIZE, SIZE) > 99).float().numpy()}
IMAGE_EMBEDS = {
    "image_embeds": torch.ones(1, WORDS),
    "negative_image_embeds": -torch.ones(1, WORDS),
    "output_type": "pt",
}
MASKS = {
    "attention_mask": torch.ones(1, 4, dtype=torch.bool),
    "negative_attention_mask": torch.ones(1, 4, dtype=torch.bool),
}
HINTED = own(
    unet(kandinsky22, addition_embed_type="image_hint", in_channels=8),
    call={**IMAGE_EMBEDS, "hint": torch.ones(1, 3, 64, 64)},
)
LCM = own(unet(sd, time_cond_proj_dim=8), scheduler(LCMScheduler, **SD))
UNION = own(
    {"controlnet": controlnet_union},
    call={"control_mode": [0], "control_image": [picture(60)]},
)
ADAPTER = {
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
    )
}
MARIGOLD = [unet(sd, in_channels=8, out_channels=4), TEXT, {"prediction_type": lambda: "depth"}]
WHOLE = {"processing_resolution": SIZE, "match_input_resolution": False, "output_type": "np"}
AUDIO = unet(
    sd,
    class_embed_type="simple_projection",
    projection_class_embeddings_input_dim=WORDS,
    class_embeddings_concat=True,
    cross_attention_dim=(8, 16),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
) | {"vae": lambda: vae(in_channels=1, out_channels=1), "vocoder": vocoder}
SOUND = {
    "prompt_embeds": torch.ones(1, WORDS),
    "negative_prompt_embeds": -torch.ones(1, WORDS),
    "audio_length_in_s": 0.01,
    "output_type": "np",
}
WAVES = unet(
    UNet1DModel,
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
)
UNCLIP = own({"decoder": sd, "super_res_first": plain, "super_res_last": plain}, TEXT)
REPAINT = {"jump_length": 2, "jump_n_sample": 2, "eta": 0.0, "num_inference_steps": 6}
NO_PROMPT = {"prompt_embeds": NONE, "negative_prompt_embeds": NONE}

SPECIAL = {
    "AudioLDMPipeline": own(AUDIO, TEXT, call=SOUND),
    "StableDiffusionDiffEditPipeline": own(
        scheduler(diffusers.DDIMScheduler, **SD, clip_sample=False),
        {"inverse_scheduler": lambda: diffusers.DDIMInverseScheduler(**SD, clip_sample=False)},
        call={"image": picture(), "inpaint_strength": 1.0},
        method="invert",
    ),
    **dict.fromkeys(("UnCLIPPipeline", "UnCLIPImageVariationPipeline"), UNCLIP),
    **dict.fromkeys(
        (
            f"VersatileDiffusion{task}Pipeline"
            for task in ("", "DualGuided", "ImageVariation", "TextToImage")
        ),
        own({"image_unet": sd}),
    ),
    "AnimateDiffSparseControlNetPipeline": own({"controlnet": sparse}),
    "ConsistencyModelPipeline": uncond(
        scheduler(diffusers.CMStochasticIterativeScheduler, num_train_timesteps=40)
    ),
    "DDIMPipeline": uncond(),
    "DDPMPipeline": uncond(scheduler(DDPMScheduler)),
    "PNDMPipeline": uncond(scheduler(diffusers.PNDMScheduler)),
    "DanceDiffusionPipeline": own(
        WAVES, scheduler(diffusers.IPNDMScheduler), call={"audio_length_in_s": 1.0}
    ),
    "I2VGenXLPipeline": own(unet(i2vgen), EYES, TEXT),
    "IFPipeline": floyd(),
    "IFImg2ImgPipeline": floyd(),
    "IFInpaintingPipeline": floyd(),
    "IFSuperResolutionPipeline": floyd(6, noise_level=20),
    "IFImg2ImgSuperResolutionPipeline": floyd(6, original_image=picture(), noise_level=20),
    "IFInpaintingSuperResolutionPipeline": floyd(6, original_image=picture(), noise_level=20),
    "Kandinsky3Pipeline": own(unet(kandinsky3), call=MASKS),
    "Kandinsky3Img2ImgPipeline": own(unet(kandinsky3), call=MASKS),
    "KandinskyPipeline": own(kandinsky21(), call=PROMPT | IMAGE_EMBEDS),
    "KandinskyImg2ImgPipeline": own(kandinsky21(), call=PROMPT | IMAGE_EMBEDS),
    "KandinskyInpaintPipeline": own(kandinsky21(in_channels=9), call=PROMPT | IMAGE_EMBEDS | HALF),
    "KandinskyV22Pipeline": own(unet(kandinsky22), call=IMAGE_EMBEDS),
    "KandinskyV22Img2ImgPipeline": own(unet(kandinsky22), call=IMAGE_EMBEDS),
    "KandinskyV22InpaintPipeline": own(unet(kandinsky22, in_channels=9), call=IMAGE_EMBEDS | HALF),
    "KandinskyV22ControlnetPipeline": HINTED,
    "KandinskyV22ControlnetImg2ImgPipeline": HINTED,
    "KarrasVePipeline": uncond(scheduler(diffusers.KarrasVeScheduler)),
    "LDMPipeline": own(
        unet(plain, in_channels=4, out_channels=4), {"vqvae": movq}, call={"output_type": "np"}
    ),
    "LDMSuperResolutionPipeline": own(
        unet(plain, in_channels=6),
        {"vqvae": lambda: movq(latent_channels=3)},
        call={"output_type": "np", "image": torch.ones(1, 3, 8, 8)},
    ),
    "LatentConsistencyModelPipeline": LCM,
    "LatentConsistencyModelImg2ImgPipeline": LCM,
    "MarigoldDepthPipeline": own(*MARIGOLD, call=WHOLE),
    "MarigoldNormalsPipeline": own(*MARIGOLD, call=WHOLE),
    "MarigoldIntrinsicsPipeline": own(
        *MARIGOLD,
        unet(sd, in_channels=12, out_channels=8),
        {"target_properties": lambda: {"target_names": ["albedo", "shading"]}},
        call=WHOLE,
    ),
    "KolorsImg2ImgPipeline": own(
        encode_prompt=(embeds(1), embeds(-1), torch.ones(1, WORDS), -torch.ones(1, WORDS))
    ),
    "PIAPipeline": own(unet(motion, in_channels=9)),
    "RePaintPipeline": own(
        unet(plain),
        scheduler(diffusers.RePaintScheduler),
        call={
            "output_type": "np",
            **REPAINT,
            "image": picture(size=32),
            "mask_image": mask(32),
        },
    ),
    "ScoreSdeVePipeline": uncond(scheduler(diffusers.ScoreSdeVeScheduler)),
    "SemanticStableDiffusionPipeline": own(TEXT, call=PROMPT | {"editing_prompt": ["smile"]}),
    "StableDiffusionPipelineSafe": own(TEXT, call=PROMPT),
    "StableDiffusionAttendAndExcitePipeline": own(
        TEXT,
        call={
            "prompt": "a nurse",
            "token_indices": [2],
            **NO_PROMPT,
            "max_iter_to_alter": 0,
            "attn_res": (4, 4),
        },
    ),
    "StableDiffusionControlNetXSPipeline": own(unet(sd, layers_per_block=2), ADAPTER),
    "StableDiffusionXLControlNetXSPipeline": own(unet(sdxl, layers_per_block=2), ADAPTER),
    "StableDiffusionDepth2ImgPipeline": own(
        unet(sd, in_channels=5), call={"depth_map": torch.rand(1, SIZE, SIZE)}
    ),
    "StableDiffusionGLIGENPipeline": own(
        TEXT,
        unet(sd, attention_type="gated"),
        call={"gligen_phrases": ["a"], "gligen_boxes": [[0, 0, 1, 1]]},
    ),
    "StableDiffusionImageVariationPipeline": own(EYES),
    "StableDiffusionInstructPix2PixPipeline": own(unet(sd, in_channels=8)),
    "StableDiffusionXLInstructPix2PixPipeline": own(unet(sdxl, in_channels=8)),
    "StableDiffusionUpscalePipeline": own(unet(sd, in_channels=7, num_class_embeds=1000)),
    "StableDiffusionLDM3DPipeline": own(
        {"vae": lambda: vae(in_channels=6, out_channels=6)}, call={"output_type": "np"}
    ),
    "StableDiffusionParadigmsPipeline": own(
        scheduler(diffusers.DDIMParallelScheduler, **SD, clip_sample=False)
    ),
    **dict.fromkeys(
        (f"StableDiffusionXLControlNetUnion{task}Pipeline" for task in ("", "Img2Img", "Inpaint")),
        UNION,
    ),
    "StableVideoDiffusionPipeline": own(
        unet(spatio_temporal),
        {
            "vae": lambda: diffusers.AutoencoderKLTemporalDecoder(
                block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2
            )
        },
        EYES,
        scheduler(
            EulerDiscreteScheduler,
            **SD,
            prediction_type="v_prediction",
            timestep_type="continuous",
            sigma_min=0.002,
            sigma_max=700.0,
            use_karras_sigmas=True,
        ),
        call={"decode_chunk_size": 2},
    ),
    "TextToVideoSDPipeline": own(unet(three_d)),
    "VideoToVideoSDPipeline": own(unet(three_d)),
    "TextToVideoZeroPipeline": own(
        TEXT,
        call=PROMPT | {"video_length": 2, "num_inference_steps": 10, "t0": 6, "t1": 8},
    ),
}
