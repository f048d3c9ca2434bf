"""The hash of a head: an edit belongs to the head that it was made for."""

from __future__ import annotations

import hashlib

from torch import Tensor


def head_hash(weight: Tensor, bias: Tensor | None) -> str:
    """SHA-256 over shape and little-endian float32 of the weight, then of the bias.

    The shape goes in as Python writes it, in ASCII: `(1000, 1280)`, `(1000,)`.
    """
    digest = hashlib.sha256()
    for tensor in (weight,) if bias is None else (weight, bias):
        array = tensor.detach().cpu().float().contiguous().numpy()
        digest.update(repr(tuple(array.shape)).encode("ascii"))
        digest.update(array.astype("<f4").tobytes())
    return digest.hexdigest()
