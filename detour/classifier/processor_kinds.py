"""The classes of image processors in the transformers library: their defaults and switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .preprocess import IMAGENET_MEAN, IMAGENET_STD

_HALF = (0.5, 0.5, 0.5)
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_STANDARD = (_HALF, _HALF)
_IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)
NO_COLOURS = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
RESAMPLE = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""In the order of Pillow's numbers."""


@dataclass(frozen=True)
class Kind:
    """A class of processors: its defaults, and what it knows beside the usual.

    size: the default size. square: a size that is one number means both sides. crop, crops: the
    default crop_size and do_center_crop; a crop of None: a slow one knows no crop. colours: the
    default mean and std. extras: the switches that it alone looks at, with their defaults.
    """

    size: int | tuple[int, int]
    square: bool = True
    crop: int | None = None
    crops: bool = False
    resample: int = 2
    colours: tuple[tuple[float, ...], tuple[float, ...]] = _STANDARD
    normalises: bool = True
    extras: Mapping[str, object] = field(default_factory=dict)


def _shorter(size: int, crop: int | None, resample: int, colours: tuple, **extras) -> Kind:
    return Kind(size, False, crop, crop is not None, resample, colours, extras=extras)


KINDS = {
    "Beit": Kind(256, True, 224, True, 3),
    "Bit": _shorter(224, 224, 3, _CLIP),
    "CLIP": _shorter(224, 224, 3, _CLIP, use_square_size=False),
    "ConvNext": _shorter(384, None, 2, _STANDARD, crop_pct=224 / 256),
    "DINOv3ViT": Kind(224, colours=_IMAGENET),
    "DeiT": Kind(256, True, 224, True, 3),
    "Donut": Kind(
        (2560, 1920), extras={"do_thumbnail": True, "do_align_long_axis": False, "do_pad": True}
    ),
    "EfficientFormer": Kind(224, True, 224, True, 3, _IMAGENET),
    "EfficientNet": Kind(
        346, True, 289, False, 0, extras={"rescale_offset": False, "include_top": True}
    ),
    "Levit": _shorter(224, 224, 3, _IMAGENET),
    "MobileNetV1": _shorter(256, 224, 2, _STANDARD),
    "MobileNetV2": _shorter(256, 224, 2, _STANDARD),
    "MobileViT": Kind(
        224, False, 256, True, 2, NO_COLOURS, False, extras={"do_flip_channel_order": True}
    ),
    "Perceiver": Kind(224, True, 256, True, 3, _IMAGENET),
    "PoolFormer": _shorter(224, 224, 3, _IMAGENET, crop_pct=0.9),
    "Pvt": Kind(224, colours=_IMAGENET),
    "RTDetr": Kind((640, 640), False, colours=_IMAGENET, normalises=False),
    "Segformer": Kind(512, colours=_IMAGENET),
    "Siglip": Kind(224, resample=3),
    "TextNet": Kind(640, False, 224, False, 2, _IMAGENET, extras={"size_divisor": 32}),
    "ViT": Kind(224),
    "ViTHybrid": _shorter(224, 224, 3, _CLIP),
}
FAST_DIFFERS = {"Beit": Kind(224, True, 224, False, 3), "Siglip": Kind(224, False, resample=3)}
REFUSED = {
    "Gemma3": "a language model judges the pictures",
    "ImageGPT": "do_color_quantize turns colours into tokens",
    "Siglip2": "it cuts pictures into a varying number of patches",
}
SWITCHES = {  # those that some class knows, and that do nothing to a picture in the others
    *("do_center_crop", "do_convert_annotations", "do_convert_rgb", "do_flip_channel_order"),
    *("do_normalize", "do_pad", "do_reduce_labels", "do_rescale", "do_resize", "do_thumbnail"),
    *("do_align_long_axis", "do_color_quantize", "include_top", "rescale_offset", "crop_pct"),
    *("size_divisor", "use_square_size"),
}
ALWAYS = {"do_normalize", "do_rescale", "do_resize", "do_convert_rgb", "do_reduce_labels"}

OF_NETWORKS = {  # where the file names no class: that of the network
    **dict.fromkeys(("beit", "data2vec-vision"), "Beit"),
    **dict.fromkeys(("bit", "dinov2", "dinov2_with_registers", "focalnet", "hiera"), "Bit"),
    **dict.fromkeys(("clip", "metaclip_2"), "CLIP"),
    **dict.fromkeys(("convnext", "convnextv2", "cvt", "regnet", "resnet", "van"), "ConvNext"),
    **dict.fromkeys(("mobilevit", "mobilevitv2"), "MobileViT"),
    **dict.fromkeys(("pvt", "pvt_v2"), "Pvt"),
    **dict.fromkeys(("dinat", "ijepa", "nat", "swiftformer", "swin", "swinv2", "vit"), "ViT"),
    "vit_msn": "ViT",
    "deit": "DeiT",
    "dinov3_vit": "DINOv3ViTFast",
    "donut-swin": "Donut",
    "efficientformer": "EfficientFormer",
    "efficientnet": "EfficientNet",
    "imagegpt": "ImageGPT",
    "levit": "Levit",
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "perceiver": "Perceiver",
    "poolformer": "PoolFormer",
    "segformer": "Segformer",
    "shieldgemma2": "Gemma3",
    "siglip": "Siglip",
    "siglip2": "Siglip2",
    "textnet": "TextNet",
    "vit_hybrid": "ViTHybrid",
}
