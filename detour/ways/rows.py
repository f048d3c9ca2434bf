"""Model calls with a part of their rows: hosts batch the halves of guidance into one call."""

from __future__ import annotations

from typing import Any

import torch


def pick(value: Any, rows: int, kept: list[int], chunks: int) -> Any:
    """An argument of a model call with the kept chunks of its rows alone.

    Tensors with `rows` rows, or several for each of them (frames), at any depth of lists and
    dicts; all else as it is. Nothing is written to.
    """
    if isinstance(value, torch.Tensor):
        if value.ndim == 0 or value.shape[0] % rows:
            return value
        parts = value.chunk(chunks)
        return torch.cat([parts[chunk] for chunk in kept])
    if isinstance(value, dict):
        return {key: pick(entry, rows, kept, chunks) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(pick(entry, rows, kept, chunks) for entry in value)
    return value
