"""The host's CLIP vision models as backbones of classifiers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..detour.classifier import Description, ImageClassifier, Preprocessing
from .classifier_host import HostedClassifier, managed_classifier


class ClipBackbone(nn.Module):
    """Normalised pictures `[B, 3, H, W]` to the image embeddings `[B, D]` of a CLIP vision model.

    It computes in float32 on the host's device wherever the host keeps the weights, as the
    host's own encoding does.
    """

    input_dtype = torch.float32

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.model = model
        self.device = device

    def forward(self, pictures: Tensor) -> Tensor:
        """The projected embeddings; the mean over the tokens where a model has no single one."""
        pixels = pictures.to(self.device, self.input_dtype)
        found = self.model(pixel_values=pixels, intermediate_output=-2)[2]
        return found.mean(dim=1) if found.ndim == 3 else found


def clip_backbone(clip_vision: Any) -> ClipBackbone:
    """The network of a CLIP_VISION as a backbone."""
    return ClipBackbone(clip_vision.model, clip_vision.patcher.load_device)


def clip_preprocessing(clip_vision: Any) -> Preprocessing:
    """What the host does to pictures before a CLIP vision model sees them."""
    size = int(clip_vision.image_size)
    mean, std = tuple(clip_vision.image_mean), tuple(clip_vision.image_std)
    return Preprocessing(size, size, mean, std, "bicubic")


def unfitted_clip(clip_vision: Any, labels: tuple[str, ...] = ("unfitted",)) -> HostedClassifier:
    """A classifier on a CLIP vision model whose head is still all zeros."""
    backbone, steps = clip_backbone(clip_vision), clip_preprocessing(clip_vision)
    description = Description(labels, preprocessing=steps)
    features = _feature_count(clip_vision.model)
    zeros = torch.zeros(len(labels), features)
    classifier = ImageClassifier(backbone, zeros, zeros[:, 0], description)
    return managed_classifier(classifier, clip_vision.patcher, in_parts=True)


def _feature_count(model: nn.Module) -> int:
    projection = getattr(model, "visual_projection", None)
    if isinstance(projection, nn.Module):
        return int(projection.weight.shape[0])
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
    return int(norms[-1].weight.shape[0])
