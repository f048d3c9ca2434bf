"""The pictures: every person and digit with and without what misleads, drawn once for all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from demo.faces import JOBS, PLACE, Shares, compose, draw_people, job_of, wears_glasses
from demo.probe_faces import with_hair

from ..digits import colour, load_digits

PEOPLE, DIGITS = 800, 400
SEED = 14


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures `[N, 3, 16, 16]` in 0..1 in pairs: one person or digit without (even places) and
    with (odd places) the attribute. labels: for each question the class of each pair."""

    name: str
    pictures: Tensor
    labels: dict[str, Tensor]

    @cached_property
    def sha256(self) -> str:
        """Over the pictures' bytes."""
        return hashlib.sha256(self.pictures.contiguous().numpy().tobytes()).hexdigest()


def faces() -> Pool:
    """People of four jobs, half of them with glasses, each with short and with long hair."""
    draw = torch.Generator().manual_seed(SEED)
    people = draw_people(Shares(glasses=0.5), PEOPLE, draw)
    jobs = torch.arange(PEOPLE) % len(JOBS)
    own = people[:, PLACE["clothing_colour"]] % 2
    people[:, PLACE["clothing_colour"]] = 2 * jobs + own
    both = people.repeat_interleave(2, dim=0)
    pictures = compose(with_hair(both, torch.arange(2 * PEOPLE) % 2 == 1))
    return Pool("faces", pictures, {"job": job_of(people), "glasses": wears_glasses(people).long()})


def digits() -> Pool:
    """Digits, dealt one after the other from 0 to 9, each in red and in green."""
    known, draw = load_digits(), torch.Generator().manual_seed(SEED)
    each = DIGITS // 10
    chosen = torch.stack([m[torch.randperm(len(m), generator=draw)[:each]] for m in known.of_class])
    numbers = chosen.T.flatten()
    green = torch.arange(2 * DIGITS) % 2
    pictures = colour(known.pixels[numbers].repeat_interleave(2, dim=0), green)
    return Pool("digits", pictures, {"high": (known.labels[numbers] >= 5).long()})
