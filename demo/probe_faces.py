"""Portraits as probes: a job, the hair that has nothing to do with it, and the person."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .faces import JOBS, PLACE, Shares, compose, draw_people, has_long_hair, job_of
from .parts import LONG, SIZE

CLASSES = {"nurse_builder": JOBS[:2], "jobs": JOBS}
ATTRIBUTES = ("short hair", "long hair")
USUALLY_LONG = {"nurse": True, "builder": False, "gardener": True, "firefighter": False}
"""Which hair goes with a job where the pictures have a shortcut."""
SHOULDERS = 12
"""The first row of the clothes."""


@dataclass(frozen=True)
class ProbeFaces:
    """Pictures `[N, 16, 16, 3]` in 0..1, and for each its class, hair and person.

    classes: names out of `CLASSES`. attributes: out of `ATTRIBUTES`. units: a person's number;
    the pictures of one person differ in the hair alone.
    """

    pictures: torch.Tensor
    classes: tuple[str, ...]
    attributes: tuple[str, ...]
    units: tuple[int, ...]


def probe_faces(
    count: int,
    seed: int,
    classes: str = "nurse_builder",
    correlation: float = 0.5,
    headshots: float = 0.0,
) -> ProbeFaces:
    """`count` portraits, all jobs equally often.

    classes: one of `CLASSES`. correlation: share of the pictures with the hair that goes with the
    job. At 0.5 every person comes with long and with short hair, so that half as many people are
    drawn; otherwise each comes once. headshots: share of the people whose pictures end above the
    shoulders, so that only the hair can tell the job. The same seed gives the same pictures.

    Raises ValueError for unknown classes, a share outside 0..1, and a count that cannot be.
    """
    if classes not in CLASSES:
        raise ValueError(f"classes is {classes!r}; known are {', '.join(CLASSES)}.")
    for name, share in (("correlation", correlation), ("headshots", headshots)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is {share}; it must lie between 0 and 1.")
    paired = correlation == 0.5
    if count < 1 or (paired and count % 2):
        what = "an even number" if paired else "at least one"
        raise ValueError(f"count is {count}; ask for {what} of pictures.")
    generator = torch.Generator().manual_seed(seed)
    people, units = _people(count, generator, classes, correlation)
    long = has_long_hair(people).tolist()
    cut = (torch.rand(count, generator=generator) < headshots)[units]
    return ProbeFaces(
        pictures=above_shoulders(compose(people), cut).permute(0, 2, 3, 1).contiguous(),
        classes=tuple(JOBS[job] for job in job_of(people).tolist()),
        attributes=tuple(ATTRIBUTES[is_long] for is_long in long),
        units=tuple(units.tolist()),
    )


def _people(
    count: int, generator: torch.Generator, classes: str, correlation: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """People `[count, fields]`, and the number of each."""
    paired = correlation == 0.5
    drawn = count // 2 if paired else count
    jobs = torch.arange(drawn) % len(CLASSES[classes])
    people = draw_people(Shares(), drawn, generator)
    own_colour = people[:, PLACE["clothing_colour"]] % 2
    people[:, PLACE["clothing_colour"]] = 2 * jobs + own_colour
    units = torch.arange(drawn)
    if paired:
        people, units = people.repeat_interleave(2, dim=0), units.repeat_interleave(2)
        return with_hair(people, torch.arange(count) % 2 == 1), units
    usual = torch.tensor([USUALLY_LONG[job] for job in JOBS])[jobs]
    agrees = torch.rand(count, generator=generator) < correlation
    return with_hair(people, usual == agrees), units


def with_hair(people: torch.Tensor, long: torch.Tensor) -> torch.Tensor:
    """The same people with long hair where `long [N]`, else with short hair."""
    changed = people.clone()
    cut = people[:, PLACE["hair"]] % len(LONG)
    changed[:, PLACE["hair"]] = torch.where(long, cut, cut + len(LONG))
    return changed


def above_shoulders(pictures: torch.Tensor, cut: torch.Tensor) -> torch.Tensor:
    """Pictures `[N, 3, 16, 16]` without the clothes where `cut [N]`: the ground in their place."""
    below = torch.arange(SIZE)[:, None] >= SHOULDERS
    return torch.where(cut[:, None, None, None] & below, pictures[:, :, :1, :1], pictures)
