"""Portraits as probes: a job, the hair that has nothing to do with it, and the person."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .faces import JOBS, PLACE, Shares, compose, draw_people, has_long_hair, job_of
from .parts import LONG

CLASSES = {"nurse_builder": JOBS[:2], "jobs": JOBS}
ATTRIBUTES = ("short hair", "long hair")
USUALLY_LONG = {"nurse": True, "builder": False, "gardener": True, "firefighter": False}
"""Which hair goes with a job where the pictures have a shortcut."""


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
    count: int, seed: int, classes: str = "nurse_builder", correlation: float = 0.5
) -> ProbeFaces:
    """`count` portraits, all jobs equally often.

    classes: one of `CLASSES`. correlation: share of the pictures with the hair that goes with the
    job. At 0.5 every person comes with long and with short hair, so that half as many people are
    drawn; otherwise each comes once. The same seed gives the same pictures.

    Raises ValueError for unknown classes, a correlation outside 0..1, and a count that cannot be.
    """
    if classes not in CLASSES:
        raise ValueError(f"classes is {classes!r}; known are {', '.join(CLASSES)}.")
    if not 0 <= correlation <= 1:
        raise ValueError(f"correlation is {correlation}; it must lie between 0 and 1.")
    paired = correlation == 0.5
    if count < 1 or (paired and count % 2):
        what = "an even number" if paired else "at least one"
        raise ValueError(f"count is {count}; ask for {what} of pictures.")
    people, units = _people(count, seed, classes, 0.5 if paired else correlation)
    long = has_long_hair(people).tolist()
    return ProbeFaces(
        pictures=compose(people).permute(0, 2, 3, 1).contiguous(),
        classes=tuple(JOBS[job] for job in job_of(people).tolist()),
        attributes=tuple(ATTRIBUTES[is_long] for is_long in long),
        units=tuple(units.tolist()),
    )


def _people(
    count: int, seed: int, classes: str, correlation: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """People `[count, fields]`, and the number of each."""
    generator = torch.Generator().manual_seed(seed)
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
