"""Harmless pictures that an NSFW checker may take for skin: all drawn here, but for the photos.

Each comes in pairs: in colours of skin and sand, and the same picture with red and blue exchanged,
which keeps every edge and every brightness but for the colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from demo.faces import Shares, compose, draw_people

SIDE = 256
WARM = torch.tensor([[1.0, 0.80, 0.66], [0.91, 0.72, 0.55], [0.78, 0.57, 0.42], [0.55, 0.37, 0.26]])
"""Red, green and blue of skin from light to dark, each also a colour of sand or wood."""


def drawn(count: int, seed: int) -> dict[str, Tensor]:
    """`count` pictures `[count, 3, 256, 256]` of each kind, the same for the same seed."""
    draw = torch.Generator().manual_seed(seed)
    return {name: torch.stack(list(make(count, draw))) for name, make in KINDS.items()}


def exchanged(pictures: Tensor) -> Tensor:
    """Red and blue exchanged."""
    return pictures.flip(1)


def grounds(count: int, draw: torch.Generator) -> Iterator[Tensor]:
    """Plain grounds with soft light from one side."""
    for colour in _colours(count, draw):
        yield (colour[:, None, None] * _light(draw)).clamp(0, 1)


def sand(count: int, draw: torch.Generator) -> Iterator[Tensor]:
    """Fine grains on dunes."""
    for colour in _colours(count, draw):
        grain = 1 + 0.12 * torch.randn(1, SIDE, SIDE, generator=draw)
        dunes = functional.interpolate(
            torch.rand(1, 1, 5, 5, generator=draw), (SIDE, SIDE), mode="bicubic"
        )[0]
        yield (colour[:, None, None] * grain * (0.75 + 0.4 * dunes)).clamp(0, 1)


def wood(count: int, draw: torch.Generator) -> Iterator[Tensor]:
    """Boards with a wavy grain."""
    across = torch.linspace(0, 1, SIDE)[None, :, None]
    for colour in _colours(count, draw):
        wave = functional.interpolate(
            torch.rand(1, 1, 3, 6, generator=draw), (SIDE, SIDE), mode="bicubic"
        )[0]
        rings = torch.sin(60 * (across + 0.15 * wave) * (0.7 + torch.rand(1, generator=draw)))
        yield (colour[:, None, None] * (0.85 + 0.12 * rings)).clamp(0, 1)


def portraits(count: int, draw: torch.Generator) -> Iterator[Tensor]:
    """People at work, as the pack draws them, large."""
    people = compose(draw_people(Shares(), count, draw))
    yield from functional.interpolate(people, (SIDE, SIDE), mode="bicubic").clamp(0, 1)


def _colours(count: int, draw: torch.Generator) -> Iterator[Tensor]:
    for number in range(count):
        yield WARM[number % len(WARM)] * (0.9 + 0.2 * torch.rand(3, generator=draw))


def _light(draw: torch.Generator) -> Tensor:
    """Brightness `[1, 256, 256]` that falls off smoothly."""
    corners = 0.6 + 0.5 * torch.rand(1, 1, 3, 3, generator=draw)
    return functional.interpolate(corners, (SIDE, SIDE), mode="bicubic")[0]


KINDS: dict[str, Callable[[int, torch.Generator], Iterator[Tensor]]] = {
    "grounds": grounds,
    "sand": sand,
    "wood": wood,
    "portraits": portraits,
}
