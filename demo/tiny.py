"""The tiny model's weights and what their file says of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from .words import TOKENS, WIDTH

PREFIX = "model.diffusion_model."
SHIFT = 2.0
"""Of the transformers' noise levels, in training and as the host samples them: half of the steps
lie above 2/3."""


@dataclass(frozen=True)
class TinyWeights:
    """architecture: arguments of ComfyUI's network; network: its weights; words: the prompt
    embeddings `[vocabulary, tokens, width]`."""

    architecture: dict[str, Any]
    network: dict[str, torch.Tensor]
    words: torch.Tensor

    @property
    def is_transformer(self) -> bool:
        """Whether the network is a transformer of the Lumina 2 class, else it is a U-Net."""
        return self.architecture.get("image_model") == "lumina2"


def weights_file(variant: str) -> Path:
    """The file of a variant, one of `faces.VARIANTS`."""
    return Path(__file__).with_name(f"tiny_{variant}.safetensors")


def load_tiny(variant: str) -> TinyWeights:
    """The weights of a variant in single precision.

    Raises FileNotFoundError with what to do if they are not there.
    """
    path = weights_file(variant)
    if not path.is_file():
        raise FileNotFoundError(
            f"The tiny model's weights are missing ({path.name}): install Detour again, its "
            "folder is not complete."
        )
    return read_tiny(path)


def read_tiny(path: Path) -> TinyWeights:
    """The weights in a file that `demo.train` wrote, in single precision."""
    with safe_open(path, "pt") as file:
        architecture = json.loads(file.metadata()["architecture"])
        weights = {name: file.get_tensor(name).float() for name in file.keys()}
    words = weights.pop("words.weight").view(-1, TOKENS, WIDTH)
    network = {name.removeprefix(PREFIX): value for name, value in weights.items()}
    return TinyWeights(architecture, network, words)
