"""Probes from image batches, as samplers make them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..classifier.preprocess import check_layout
from .probe_set import ProbeSet

ALONE = -1
"""`unit_start` for pictures that belong to no others."""


def batch_probes(images: Tensor, class_name: str, attribute: str, unit_start: int) -> ProbeSet:
    """Probes of one group from an IMAGE batch `[B, H, W, C]` in 0..1.

    class_name: may be empty. unit_start: the unit (seed) of the first picture; the others
    count up from it. -1: each picture stands alone.

    Raises ValueError for what is no image batch, for an empty one and for NaN.
    """
    check_layout(images)
    broken = (~torch.isfinite(images).flatten(1).all(dim=1)).nonzero().flatten().tolist()
    if broken:
        raise ValueError(
            f"Picture {broken[0] + 1} of {len(images)} holds NaN or infinite values: the step that "
            "made it failed; leave it out."
        )
    count = len(images)
    units = range(unit_start, unit_start + count) if unit_start != ALONE else ()
    return ProbeSet(
        tuple(images),
        (attribute.strip(),) * count,
        (class_name.strip(),) * count,
        tuple(str(unit) for unit in units),
    )
