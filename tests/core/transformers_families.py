"""Every kind of image classifier of transformers, small, with its image processor. Not a test
file."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

SIDE = 32
_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": SIDE,
    "patch_size": 8,
}
_TOWER = {"vision_config": _VIT}
_SWIN = {
    "image_size": SIDE,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [1, 1],
    "num_heads": [2, 2],
    "window_size": 2,
}
_PYRAMID = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
_HEADS = {"num_attention_heads": [1, 1, 2, 2]}
_TWO_STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8}
_CONVNEXT = {**_TWO_STAGES, "num_stages": 2}
FAMILIES: dict[str, dict[str, object]] = {  # small networks, otherwise as the library makes them
    **dict.fromkeys(("beit", "data2vec-vision", "deit", "dinov2", "dinov2_with_registers"), _VIT),
    **dict.fromkeys(("ijepa", "vit", "vit_msn"), _VIT),
    **dict.fromkeys(("clip", "metaclip_2", "siglip"), _TOWER),
    **dict.fromkeys(("donut-swin", "swin", "swinv2"), _SWIN),
    **dict.fromkeys(("convnext", "convnextv2"), _CONVNEXT),
    "bit": {**_TWO_STAGES, "num_groups": 2},
    "cvt": {"embed_dim": [16, 32, 48], "num_heads": [1, 2, 3], "depth": [1, 2, 3]},
    "efficientformer": {
        "depths": [1, 1, 1, 1],
        "hidden_sizes": [8, 16, 16, 32],
        "dim": 32,
        "num_hidden_layers": 1,
        "key_dim": 8,
        "num_attention_heads": 2,
        "resolution": 1,
    },
    "efficientnet": {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128},
    "focalnet": {
        "image_size": SIDE,
        "patch_size": 2,
        "embed_dim": 16,
        "depths": [1, 1],
        "focal_levels": [1, 1],
        "focal_windows": [1, 1],
    },
    "hgnet_v2": {
        "stem_channels": [3, 8, 16],
        "stage_in_channels": [16, 16],
        "stage_mid_channels": [8, 8],
        "stage_out_channels": [16, 32],
        "stage_num_blocks": [1, 1],
        "stage_downsample": [False, True],
        "stage_light_block": [False, False],
        "stage_kernel_size": [3, 3],
        "stage_numb_of_layers": [1, 1],
        **_TWO_STAGES,
        "hidden_sizes": [16, 32],
    },
    "hiera": {
        "image_size": [SIDE, SIDE],
        "embed_dim": 16,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
    },
    "levit": {
        "image_size": SIDE,
        "hidden_sizes": [16, 24, 32],
        "num_attention_heads": [1, 1, 2],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
    "mobilenet_v1": {"depth_multiplier": 0.25},
    "mobilenet_v2": {"depth_multiplier": 0.25},
    "mobilevit": {
        "hidden_sizes": [16, 24, 32],
        "neck_hidden_sizes": [8, 8, 8, 16, 16, 16, 32],
    },
    "mobilevitv2": {"width_multiplier": 0.25},
    "perceiver": {
        "num_latents": 8,
        "d_latents": 16,
        "d_model": 16,
        "num_self_attends_per_block": 1,
        "num_self_attention_heads": 2,
        "num_cross_attention_heads": 2,
        "image_size": SIDE,
    },
    "poolformer": _PYRAMID,
    "pvt": {**_PYRAMID, **_HEADS, "image_size": SIDE},
    "pvt_v2": {**_PYRAMID, **_HEADS, "image_size": SIDE},
    "regnet": {**_TWO_STAGES, "groups_width": 4},
    "resnet": {**_TWO_STAGES, "layer_type": "basic"},
    "segformer": {**_PYRAMID, **_HEADS, "decoder_hidden_size": 16},
    "swiftformer": {"depths": [1, 1, 1, 1], "embed_dims": [8, 8, 16, 16]},
    "textnet": {
        "stem_out_channels": 8,
        "hidden_sizes": [8] * 5,
        "conv_layer_kernel_sizes": [[[3, 3]]] * 4,
        "conv_layer_strides": [[2]] * 4,
    },
    "van": {**_PYRAMID, "image_size": SIDE},
}
OTHERS = {  # cannot be run at all, and the sentence that says so
    "dinat": "'dinat' .*natten",
    "nat": "'nat' .*natten",
    "imagegpt": "do_color_quantize turns colours into tokens",
    "siglip2": "varying number of patches",
    "shieldgemma2": "a language model judges",
    "vit_hybrid": "'vit_hybrid'",  # transformers 4.57 fails in its own initialising
    "timm_wrapper": "load its weights by themselves",  # with a name: test_timm.py
}
UNEDITABLE = {  # run, but no single linear layer makes the logits
    "perceiver": "does not make the logits by itself",
    "swiftformer": "head",
}
CLASSES = {
    "hgnet_v2": ("RTDetrImageProcessor", "RTDetrImageProcessorFast"),
    "dinov2_with_registers": IMAGE_PROCESSOR_MAPPING_NAMES["dinov2"],
    **{k: v for k, v in IMAGE_PROCESSOR_MAPPING_NAMES.items() if k in FAMILIES and v},
}
SLOW = sorted({names[0] for names in CLASSES.values()})
FAST = sorted(
    {names[1] for names in CLASSES.values() if names[1]} | {"DINOv3ViTImageProcessorFast"}
)
Processor = transformers.BaseImageProcessor


def small_processor(name: str, side: int = SIDE, **changes) -> Processor:
    """A class of processors that gives the networks above pictures of `side` pixels."""
    kind = getattr(transformers, name)
    base = name.removesuffix("Fast").removesuffix("ImageProcessor")
    crops = getattr(kind(), "do_center_crop", None)
    larger = side + 5 if crops and base not in ("Levit", "Perceiver", "PoolFormer") else side
    shorter = "shortest_edge" in (kind().size or {})
    size = {"shortest_edge": larger} if shorter else {"height": larger, "width": larger}
    cropped = side + 5 if base == "Perceiver" else side
    values = {"size": size, "crop_size": {"height": cropped, "width": cropped}}
    known = {"crop_size", "do_resize", "do_center_crop", *kind().to_dict()}
    idle = {key: False for key in ("do_pad", "do_thumbnail")}
    values = {key: value for key, value in {**idle, **values}.items() if key in known}
    return kind(**{**values, **changes})


def make_folder(
    folder: Path, family: str, **config: object
) -> tuple[transformers.PreTrainedModel, Processor]:
    """Write a network of a family with random weights, and its processor."""
    torch.manual_seed(0)
    name = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES[family]
    name = name if isinstance(name, str) else name[0]
    made = {"num_labels": 3, "architectures": [name], **FAMILIES[family], **config}
    network = transformers.AutoModelForImageClassification.from_config(
        transformers.AutoConfig.for_model(family, **made)
    )
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value), alpha=0.1)
    network.save_pretrained(folder)
    processor = small_processor(CLASSES[family][0], 64 if family == "mobilevitv2" else SIDE)
    processor.save_pretrained(folder)
    return network.eval(), processor
