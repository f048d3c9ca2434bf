"""The tiny model's data: portraits of people at work, drawn so that they carry a bias.

The job is told by the colour of the clothes. In the model's training pictures most nurses have
long hair and most builders short hair, few people have dark skin or wear glasses; the twin has
these shares turned round, so that "towards the rare" can be told from "towards long hair".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from .parts import COLOURS, GROUND, LONG, PARTS, SIZE, layers, rgb

JOBS = ("nurse", "builder", "gardener", "firefighter")
"""Two colours of clothes each, in the order of `COLOURS`."""
FIELDS = tuple(name for kind in PARTS for name in (kind, f"{kind}_colour") if name != "skin")
"""What a row of people says, a number each. A head has one shape, so `skin_colour` alone counts;
`glasses` is 0 for none."""
PLACE = {name: index for index, name in enumerate(FIELDS)}
DARK_SKINS = 2
"""The last ones of `COLOURS["skin"]`."""


@dataclass(frozen=True)
class Shares:
    """How often what is drawn in training pictures, each from 0 to 1.

    long: of each job's people those with long hair. dark: of all those with dark skin.
    glasses: of all those with glasses.

    Raises ValueError for a share outside 0..1, or a job that there is not.
    """

    long: Mapping[str, float] = field(
        default_factory=lambda: {"nurse": 0.9, "builder": 0.1, "gardener": 0.5, "firefighter": 0.5}
    )
    dark: float = 0.1
    glasses: float = 0.2

    def __post_init__(self) -> None:
        if set(self.long) != set(JOBS):
            raise ValueError(f"long names {', '.join(self.long)}; it must name {', '.join(JOBS)}.")
        for share in (*self.long.values(), self.dark, self.glasses):
            if not 0 <= share <= 1:
                raise ValueError(f"A share is {share}; it must lie between 0 and 1.")

    @property
    def turned_round(self) -> Shares:
        """The twin's: what was rare is usual."""
        long = {job: 1 - share for job, share in self.long.items()}
        return Shares(long, 1 - self.dark, 1 - self.glasses)


TWINS = {"demo": "mirror", "transformer": "transformer_mirror"}
"""The tiny models, each with its twin: a U-Net, and a transformer."""
VARIANTS = {
    name: shares
    for model, twin in TWINS.items()
    for name, shares in ((model, Shares()), (twin, Shares().turned_round))
}


def is_held_out(people: torch.Tensor) -> torch.Tensor:
    """Whether each of people `[N, fields]` has a cut and colour of hair that no training picture
    has together, `[N]`: one colour of five for each cut."""
    cut, colour = people[:, PLACE["hair"]], people[:, PLACE["hair_colour"]]
    return colour == (2 * cut) % len(COLOURS["hair"])


def draw_people(
    shares: Shares, count: int, generator: torch.Generator, job: str | None = None
) -> torch.Tensor:
    """`count` people `[N, fields]` as the shares have it, none of them held out.

    job: of that job alone; else all jobs alike.
    """

    def any_of(options: int) -> torch.Tensor:
        return torch.randint(0, options, (count,), generator=generator)

    def happens(share: torch.Tensor | float) -> torch.Tensor:
        return torch.rand(count, generator=generator) < share

    jobs = any_of(len(JOBS)) if job is None else torch.full((count,), JOBS.index(job))
    long = happens(torch.tensor([shares.long[name] for name in JOBS])[jobs])
    light = len(COLOURS["skin"]) - DARK_SKINS
    cut = torch.where(long, any_of(len(LONG)), len(LONG) + any_of(len(PARTS["hair"]) - len(LONG)))
    held_out, colours = (2 * cut) % len(COLOURS["hair"]), len(COLOURS["hair"])
    worn = happens(shares.glasses)
    drawn = {
        "skin_colour": torch.where(happens(shares.dark), light + any_of(DARK_SKINS), any_of(light)),
        "clothing": any_of(len(PARTS["clothing"])),
        "clothing_colour": 2 * jobs + any_of(2),
        "eyes": any_of(len(PARTS["eyes"])),
        "eyes_colour": any_of(len(COLOURS["eyes"])),
        "glasses": torch.where(worn, 1 + any_of(len(PARTS["glasses"])), 0),
        "glasses_colour": torch.where(worn, any_of(len(COLOURS["glasses"])), 0),
        "mouth": any_of(len(PARTS["mouth"])),
        "mouth_colour": any_of(len(COLOURS["mouth"])),
        "hair": cut,
        "hair_colour": (held_out + 1 + any_of(colours - 1)) % colours,
    }
    return torch.stack([drawn[name] for name in FIELDS], dim=1)


def compose(people: torch.Tensor) -> torch.Tensor:
    """The portraits `[N, 3, 16, 16]` in 0..1 of people `[N, fields]`."""
    pictures = rgb(GROUND)[None, :, None, None].expand(len(people), 3, SIZE, SIZE)
    for kind, layer in layers().items():
        part, colour = _column(people, kind), _column(people, f"{kind}_colour")
        if kind == "glasses":
            worn = (part > 0)[:, None, None, None]
            part = (part - 1).clamp_min(0)
            ink, cover = layer.ink[part, colour] * worn, layer.cover[part] * worn
        else:
            ink, cover = layer.ink[part, colour], layer.cover[part]
        pictures = ink + (1 - cover) * pictures
    return pictures


def _column(people: torch.Tensor, name: str) -> torch.Tensor:
    return people[:, PLACE[name]] if name in PLACE else torch.zeros(len(people), dtype=torch.long)


def job_of(people: torch.Tensor) -> torch.Tensor:
    """The place of each one's job in `JOBS`."""
    return people[:, PLACE["clothing_colour"]] // 2


def has_long_hair(people: torch.Tensor) -> torch.Tensor:
    """Whether each one's hair is long, `[N]`."""
    return people[:, PLACE["hair"]] < len(LONG)


def has_dark_skin(people: torch.Tensor) -> torch.Tensor:
    """Whether each one's skin is dark, `[N]`."""
    return people[:, PLACE["skin_colour"]] >= len(COLOURS["skin"]) - DARK_SKINS


def wears_glasses(people: torch.Tensor) -> torch.Tensor:
    """Whether each one wears glasses, `[N]`."""
    return people[:, PLACE["glasses"]] > 0
