"""Our own small network for 16 x 16 pictures: digits, and everything as simple as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE = 16
FEATURES = 128


class SmallCNN(nn.Module):
    """Three convolutions and a hidden layer of 128 features >= 0, then one linear layer.

    Takes RGB pictures `[B, 3, 16, 16]`, gives logits `[B, classes]`; 0.6 MiB of weights.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * (SIDE // 4) ** 2, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits `[B, classes]` of pictures `[B, 3, 16, 16]`, normalised as in training."""
        if pictures.shape[1:] != torch.Size((3, SIDE, SIDE)):
            raise ValueError(
                f"The small CNN takes pictures [B, 3, {SIDE}, {SIDE}], these are "
                f"{list(pictures.shape)}: resize them to {SIDE} x {SIDE} first."
            )
        return self.head(self.features(pictures))
