"""A small colour-blind digit reader: it counts what the tiny model drew."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

WEIGHTS = Path(__file__).with_name("reader.safetensors")
SURE = 0.8
"""A picture is readable when the reader gives one digit more than this probability."""


class DigitReader(nn.Module):
    """Three convolutions and one linear layer on the brightest channel of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 48, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
        )
        self.head = nn.Linear(64 * 4 * 4, 10)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits `[N, 10]` of RGB pictures `[N, 3, 16, 16]` in 0..1.

        Taking the maximum over the channels makes red and green digits equal; dividing
        by the brightest pixel makes dim and bright ones equal.
        """
        grey = pictures.amax(dim=1, keepdim=True).clamp(0, 1)
        peak = grey.amax(dim=(2, 3), keepdim=True).clamp_min(0.25)
        return self.head(self.features(grey / peak))


def load_reader() -> DigitReader:
    """The trained reader in evaluation mode."""
    reader = DigitReader()
    reader.load_state_dict(load_file(WEIGHTS))
    return reader.eval()


@torch.inference_mode()
def read(reader: DigitReader, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The digit of each picture, and whether the reader is sure of it."""
    sureness, digit = reader(pictures).softmax(dim=1).max(dim=1)
    return digit, sureness > SURE
