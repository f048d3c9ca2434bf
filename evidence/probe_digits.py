"""The digits' parts, to train on and held out, and their classes."""

from __future__ import annotations

import torch

from .digits import Digits

HELD_OUT = 450
"""Of each digit so many pictures are kept from training; probes and tests come from them."""
CLASSES = {"low_high": ("low", "high"), "digits": tuple(str(digit) for digit in range(10))}
ATTRIBUTES = ("red", "green")


def split_digits(digits: Digits, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of the digits to train on, and of those held out (450 of each), in random order."""
    generator = torch.Generator().manual_seed(seed)
    kept, held_out = [], []
    for members in digits.of_class:
        mixed = members[torch.randperm(len(members), generator=generator)]
        held_out.append(mixed[:HELD_OUT])
        kept.append(mixed[HELD_OUT:])
    training = torch.cat(kept)
    # Dealt digit by digit, so that any stretch of the held-out ones has all ten alike.
    return training[torch.randperm(len(training), generator=generator)], torch.stack(
        held_out, dim=1
    ).flatten()


def class_of(labels: torch.Tensor, classes: str) -> torch.Tensor:
    """The class of digits `[N]`: low (0-4) or high (5-9) as 0 and 1, or the digit itself."""
    if classes not in CLASSES:
        raise ValueError(f"classes is {classes!r}; known are {', '.join(CLASSES)}.")
    return (labels >= 5).long() if classes == "low_high" else labels
