"""Predictions of the head and of its edited versions on the cached features."""

from __future__ import annotations

import torch
from torch import Tensor

from .change import Change
from .edit import EditStack, apply_edits, edit_of, new_stack
from .inputs import linear
from .probes import Probes


def edited_logits(probes: Probes, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Logits `[N, C]` with another head, float32; rows that did not change keep theirs.

    Raises ValueError if the probes carry no head to compare with.
    """
    if probes.weight is None:
        raise ValueError("These probes carry logits only. Give them the head (weight, bias).")
    changed = (probes.weight != weight).any(dim=1)
    if bias is not None and probes.bias is not None:
        changed |= probes.bias != bias
    rows = changed.nonzero().flatten()
    if len(rows) == 0:
        return probes.z
    z = probes.z.clone()
    z[:, rows] = linear(probes.features, weight[rows], None if bias is None else bias[rows])
    return z


def changed_logits(probes: Probes, change: Change) -> Tensor:
    """Logits `[N, C]` after a change, its numbers rounded to float32 as the record has them.

    Probes without a head: the cached-feature formula in float64.
    """
    if probes.weight is not None:
        stack = new_stack(probes.weight, probes.bias)
        edit = edit_of(change, probes.weight, probes.bias)
        return edited_logits(probes, *apply_edits(stack.push(edit), probes.weight, probes.bias))
    z = probes.z.to(torch.float64, copy=True)
    everything = torch.arange(len(probes))
    for column, t in change.weights:
        z[:, change.row] -= t * probes.columns(everything, column, column + 1)[:, 0]
    z[:, change.row] += change.shift
    return z


def stack_logits(probes: Probes, stack: EditStack) -> Tensor:
    """Logits `[N, C]` with all edits of a stack; the probes' head must be the unedited one."""
    if probes.weight is None:
        raise ValueError("These probes carry logits only. Give them the head (weight, bias).")
    return edited_logits(probes, *apply_edits(stack, probes.weight, probes.bias))


def predictions(probes: Probes, logits: Tensor) -> Tensor:
    """Predicted classes `[N]`: `argmax` (the lower index wins ties), or tag present 0/1."""
    if probes.cut is not None:
        return (logits[:, probes.tag].double() > probes.cut).long()
    return logits.argmax(dim=1)


def correct(probes: Probes, logits: Tensor) -> Tensor:
    """Which probes are predicted right, `[N]` bool."""
    return predictions(probes, logits) == probes.y
