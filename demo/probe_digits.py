"""Coloured probe pictures from real digits that no classifier of the demo was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .digits import Digits, colour, load_digits
from .words import DIGITS

HELD_OUT = 450
"""Of each digit so many pictures are kept from training; probes and tests come from them."""
SPLIT_SEED = 0
CLASSES = {"low_high": ("low", "high"), "digits": tuple(str(digit) for digit in range(len(DIGITS)))}
ATTRIBUTES = ("red", "green")


@dataclass(frozen=True)
class ProbeDigits:
    """Pictures `[N, 16, 16, 3]` in 0..1, and for each its class, colour and digit.

    classes: names out of `CLASSES`. attributes: `red` or `green`. units: the number of the
    digit in the sheet; both colours of one digit share it.
    """

    pictures: torch.Tensor
    classes: tuple[str, ...]
    attributes: tuple[str, ...]
    units: tuple[int, ...]


def split_digits(digits: Digits, seed: int = SPLIT_SEED) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of the digits to train on, and of those held out (450 of each), in random order.

    With the default seed: the parts that the classifiers in `demo/classifiers` respect.
    """
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


def probe_digits(
    count: int, seed: int, classes: str = "low_high", correlation: float = 0.5
) -> ProbeDigits:
    """`count` coloured pictures of held-out digits, all ten digits equally often.

    classes: `low_high` or `digits`. correlation: share of the pictures in their group's
    colour (red for 0-4, green for 5-9). At 0.5 every digit comes in both colours, so that
    half as many digits are drawn; otherwise each comes in one. The same seed gives the
    same pictures.

    Raises ValueError for a correlation outside 0..1 and for more pictures than there are.
    """
    if not 0 <= correlation <= 1:
        raise ValueError(f"correlation is {correlation}; it must lie between 0 and 1.")
    digits = load_digits()
    held_out = split_digits(digits)[1].view(HELD_OUT, -1)
    paired = correlation == 0.5
    most = held_out.numel() * (2 if paired else 1)
    if not 1 <= count <= most or (paired and count % 2):
        what = f"an even number from 2 to {most}" if paired else f"1 to {most}"
        raise ValueError(f"count is {count}; ask for {what} pictures.")
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(held_out.shape, generator=generator).argsort(dim=0)
    units = held_out.gather(0, order).flatten()[: count // 2 if paired else count]
    high = digits.labels[units] >= 5
    if paired:
        units = units.repeat_interleave(2)
        green = torch.arange(count) % 2 == 1
    else:
        green = high == (torch.rand(count, generator=generator) < correlation)
    labels = digits.labels[units]
    names = CLASSES[classes] if classes in CLASSES else ()
    return ProbeDigits(
        pictures=colour(digits.pixels[units], green).permute(0, 2, 3, 1).contiguous(),
        classes=tuple(names[index] for index in class_of(labels, classes).tolist()),
        attributes=tuple(ATTRIBUTES[index] for index in green.long().tolist()),
        units=tuple(units.tolist()),
    )
