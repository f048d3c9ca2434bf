"""The host's CLIP vision models as backbones of classifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.clip_model
import torch
from torch import Tensor, nn

from ..detour.classifier.facts import Description
from ..detour.classifier.model import ImageClassifier
from ..detour.classifier.preprocess import Preprocessing
from ..detour.edit.edited import EditedClassifier
from .classifier_host import Managed, managed_classifier

Prepare = Callable[[Tensor], Tensor]


class ClipBackbone(nn.Module):
    """Normalised pictures `[B, 3, H, W]` to the image embeddings `[B, D]` of a CLIP vision model.

    It computes in float32 on the host's device wherever the host keeps the weights, as the
    host's own encoding does. prepare: of a model that sees pictures of any size, what the host
    does to pictures `[B, H, W, 3]` in 0..1; the pictures come as they are then.
    """

    input_dtype = torch.float32

    def __init__(
        self, model: nn.Module, device: torch.device, prepare: Prepare | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.device = device
        self.prepare = prepare

    def forward(self, pictures: Tensor) -> Tensor:
        """The projected embeddings; the mean over the tokens where a model has no single one."""
        pixels = pictures.to(self.device, self.input_dtype)
        if self.prepare is not None:
            pixels = self.prepare(pixels.movedim(1, -1)).float()
        found = self.model(pixel_values=pixels, intermediate_output=-2)[2]
        return found.mean(dim=1) if found.ndim == 3 else found


def clip_backbone(clip_vision: Any) -> ClipBackbone:
    """The network of a CLIP_VISION as a backbone."""
    prepare = _prepare_any_size(clip_vision) if _sees_any_size(clip_vision) else None
    return ClipBackbone(clip_vision.model, clip_vision.patcher.load_device, prepare)


def clip_preprocessing(clip_vision: Any) -> Preprocessing:
    """What the host does to pictures before a CLIP vision model sees them; nothing of it where
    the model sees pictures of any size, which its backbone prepares itself.

    Heads that were saved when colours were not rounded yet carry that in their files.
    """
    if _sees_any_size(clip_vision):
        return Preprocessing(None, None, (0.0,) * 3, (1.0,) * 3)
    size = int(clip_vision.image_size)
    return Preprocessing(
        resize=(size, size),
        crop=size,
        mean=tuple(clip_vision.image_mean),
        std=tuple(clip_vision.image_std),
        interpolation="bicubic",
        arithmetic="rounded",
        resize_fit="cover",
        crop_centring="floor",
    )


def unfitted_clip(clip_vision: Any, labels: tuple[str, ...] = ("unfitted",)) -> EditedClassifier:
    """A classifier on a CLIP vision model whose head is still all zeros."""
    backbone, steps = clip_backbone(clip_vision), clip_preprocessing(clip_vision)
    description = Description(labels, preprocessing=steps)
    features = _feature_count(clip_vision.model)
    zeros = torch.zeros(len(labels), features)
    classifier = ImageClassifier(backbone, zeros, zeros[:, 0], description)
    return managed_classifier(classifier, Managed(clip_vision.patcher, in_parts=True))


def _sees_any_size(clip_vision: Any) -> bool:
    """SigLIP 2 in its flexible form: the host writes -1 for its picture size."""
    return int(clip_vision.image_size) < 1


def _prepare_any_size(clip_vision: Any) -> Prepare:
    """The host's own preparation, with the settings that its encoding gives it."""
    config = clip_vision.config
    preprocess = vars(comfy.clip_model)["siglip2_preprocess"]  # only newer hosts have it

    def prepare(pictures: Tensor) -> Tensor:
        return preprocess(
            pictures,
            size=clip_vision.image_size,
            patch_size=config.get("patch_size", 16),
            num_patches=config.get("num_patches", 256),
            mean=clip_vision.image_mean,
            std=clip_vision.image_std,
        )

    return prepare


def _feature_count(model: nn.Module) -> int:
    """What the projection makes; where there is none (or one that does nothing), what the last
    normalisation leaves."""
    weight = getattr(getattr(model, "visual_projection", None), "weight", None)
    if isinstance(weight, Tensor):
        return int(weight.shape[0])
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
    return int(norms[-1].weight.shape[0])
