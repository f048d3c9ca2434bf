"""Reads pictures of the tiny model: the portrait that can be composed and is nearest to each.

The renderer is the judge. Every portrait that `faces.compose` can draw is a candidate, and the
nearest one by squared difference is found exactly: what the parts cover decides which pixels they
have a say in, and in those the parts are independent of one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch

from .faces import FIELDS, PLACE, compose
from .parts import COLOURS, GROUND, PARTS, SIZE, Layer, layers, rgb

CLEAN = 0.06
"""The greatest root mean square difference from its nearest portrait, on a scale of 0..1, at which
a picture is clean. Ours."""
REGIONS = {"clothing": (12, 16), "face": (4, 9), "mouth": (9, 12)}
"""The rows in which parts lie that do not overlap those of another region; hair lies over all."""
CHUNK = 256


@dataclass(frozen=True)
class Reading:
    """For each picture the people `[N, fields]` of the nearest portrait, and its root mean square
    difference from it, `[N]`."""

    people: torch.Tensor
    distance: torch.Tensor

    @property
    def clean(self) -> torch.Tensor:
        """Whether each picture shows a person and no blend, half or blur, `[N]`."""
        return self.distance <= CLEAN


@dataclass(frozen=True)
class _Region:
    """One region's candidates on each skin.

    pixels: their places in the flat picture. drawn: `[skins, options, 3, pixels]`. fields: for
    each option the fields that it sets, `[options, names]`.
    """

    pixels: torch.Tensor
    drawn: torch.Tensor
    names: tuple[str, ...]
    fields: torch.Tensor


@torch.inference_mode()
def read(pictures: torch.Tensor) -> Reading:
    """The nearest portrait of each of `[N, 3, 16, 16]` in 0..1, exactly.

    Raises ValueError for pictures of another shape, or with numbers that are not finite.
    """
    if pictures.ndim != 4 or pictures.shape[1:] != (3, SIZE, SIZE):
        raise ValueError(
            f"The pictures are {tuple(pictures.shape)}; the tiny model's are "
            f"[N, 3, {SIZE}, {SIZE}]."
        )
    if not bool(torch.isfinite(pictures).all()):
        raise ValueError("The pictures hold NaN or infinity, so that nothing can be read in them.")
    found = [_nearest(part) for part in pictures.float().cpu().split(CHUNK)]
    people = torch.cat(found) if found else torch.empty(0, len(FIELDS), dtype=torch.long)
    difference = compose(people) - pictures.float().cpu()
    return Reading(people, difference.square().mean(dim=(1, 2, 3)).sqrt())


def _nearest(pictures: torch.Tensor) -> torch.Tensor:
    """The people `[N, fields]` of the nearest portraits."""
    flat = pictures.flatten(2)
    shown = 1 - layers()["hair"].cover.flatten(1)  # [cuts, pixels]
    total, best = _cost_of_rest(flat, shown), {}
    for name, region in _regions().items():
        costs = _costs(flat[:, :, region.pixels], region.drawn, shown[:, region.pixels])
        least, best[name] = costs.min(dim=-1)
        total = total + least
    of_hair = _cost_of_hair(flat, 1 - shown)
    total = total[..., None] + of_hair[:, None]  # [N, skins, cuts, colours]
    cuts, colours = total.shape[2:]
    chosen = total.flatten(1).argmin(dim=1)
    skin, cut, colour = chosen // (cuts * colours), chosen // colours % cuts, chosen % colours
    people = torch.zeros(len(pictures), len(FIELDS), dtype=torch.long)
    people[:, PLACE["skin_colour"]], people[:, PLACE["hair"]] = skin, cut
    people[:, PLACE["hair_colour"]] = colour
    rows = torch.arange(len(pictures))
    for name, region in _regions().items():
        option = best[name][rows, skin, cut]
        for column, field in enumerate(region.names):
            people[:, PLACE[field]] = region.fields[option, column]
    return people


def _costs(flat: torch.Tensor, drawn: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """Squared differences over what the hair leaves to see, `[N, skins, cuts, options]`.

    flat `[N, 3, pixels]`, drawn `[skins, options, 3, pixels]`, shown `[cuts, pixels]`.
    """
    own = torch.einsum("ncp,hp->nh", flat.square(), shown)
    theirs = torch.einsum("socp,hp->sho", drawn.square(), shown)
    seen = (flat[:, None] * shown[None, :, None]).flatten(2)  # [N, cuts, 3 * pixels]
    both = torch.einsum("nhp,sop->nsho", seen, drawn.flatten(2))
    return own[:, None, :, None] - 2 * both + theirs


def _cost_of_hair(flat: torch.Tensor, covered: torch.Tensor) -> torch.Tensor:
    """Squared differences of each colour of hair inside of each cut, `[N, cuts, colours]`."""
    tints = torch.stack([rgb(name) for name in COLOURS["hair"]])
    apart = (flat[:, None] - tints[None, :, :, None]).square().sum(dim=2)  # [N, colours, pixels]
    return torch.einsum("nkp,hp->nhk", apart, covered)


def _cost_of_rest(flat: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """Squared differences where only head and ground can be, `[N, skins, cuts]`."""
    rest = torch.ones(SIZE * SIZE, dtype=torch.bool)
    for region in _regions().values():
        rest[region.pixels] = False
    apart = (flat[:, None, :, rest] - _heads()[None, :, :, rest]).square().sum(dim=2)
    return torch.einsum("nsp,hp->nsh", apart, shown[:, rest])


def _heads() -> torch.Tensor:
    """Head and shoulders on the ground in each colour of skin, `[skins, 3, pixels]`."""
    layer = layers()["skin"]
    ground = rgb(GROUND)[:, None, None]
    return (layer.ink[0] + (1 - layer.cover[0]) * ground).flatten(2)


@cache
def _regions() -> dict[str, _Region]:
    """The regions with their candidates."""
    made = {}
    for name, kinds in (
        ("clothing", ["clothing"]),
        ("face", ["eyes", "glasses"]),
        ("mouth", ["mouth"]),
    ):
        first, last = REGIONS[name]
        pixels = torch.arange(first * SIZE, last * SIZE)
        drawn, fields = _heads()[:, None, :, pixels], torch.zeros(1, 0, dtype=torch.long)
        for kind in kinds:
            inks, covers, own = _options(kind, layers()[kind], pixels)
            drawn = inks + (1 - covers) * drawn[:, :, None]  # [skins, so far, options, 3, pixels]
            drawn = drawn.flatten(1, 2)
            before = fields.repeat_interleave(len(own), dim=0)
            fields = torch.cat([before, own.repeat(len(fields), 1)], dim=1)
        names = tuple(field for kind in kinds for field in (kind, f"{kind}_colour"))
        made[name] = _Region(pixels, drawn, names, fields)
    return made


def _options(
    kind: str, layer: Layer, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ink `[options, 3, pixels]`, cover and the fields (part, colour) of all of a kind's parts."""
    colours = len(COLOURS[kind])
    inks = layer.ink.flatten(0, 1).flatten(2)[..., pixels]
    covers = layer.cover.repeat_interleave(colours, dim=0).flatten(2)[..., pixels]
    first = 1 if kind == "glasses" else 0
    fields = torch.tensor([(first + p, c) for p in range(len(PARTS[kind])) for c in range(colours)])
    if kind == "glasses":  # none
        inks, covers = (torch.cat([torch.zeros_like(x[:1]), x]) for x in (inks, covers))
        fields = torch.cat([torch.zeros(1, 2, dtype=torch.long), fields])
    return inks, covers, fields


def disturbed(
    pictures: torch.Tensor, generator: torch.Generator
) -> Iterator[tuple[str, torch.Tensor]]:
    """What is no portrait, made from portraits `[N, 3, 16, 16]`: name and pictures."""
    other = pictures[torch.randperm(len(pictures), generator=generator)]
    half = SIZE // 2
    yield "blends of two people", (pictures + other) / 2
    yield "halves of two people", torch.cat([pictures[..., :half], other[..., half:]], dim=-1)
    noise = torch.randn(pictures.shape, generator=generator)
    yield "noise", (pictures + 0.15 * noise).clamp(0, 1)
    yield "blur", torch.nn.functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
