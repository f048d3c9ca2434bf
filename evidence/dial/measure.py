"""The columns: what is in pictures, how varied they are, and how like real ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from demo.faces import JOBS, compose, draw_people, is_held_out, job_of
from demo.reader import Reading, read
from demo.train import training_people
from detour.judge.groups import wilson

from .models import HAS, Subject
from .scores import COMPONENTS, Components, frechet, vendi

LEAST = 2 * COMPONENTS
"""Pictures of a group from which a distance is taken; with fewer there is none."""
MOST_FRESH = 5000
FLOOR_SEED = 7_000_001
MEASURE = 2
"""To be raised when a figure comes to mean something else: then nothing that is kept counts."""


@dataclass(frozen=True)
class Seen:
    """Pictures `[N, 3, 16, 16]` with what is read in them, and whether each fits its prompt."""

    pictures: torch.Tensor
    reading: Reading
    prompt: str

    @classmethod
    def of(cls, pictures: torch.Tensor, prompt: str) -> Seen:
        """Of pictures that were drawn for a prompt."""
        return cls(pictures, read(pictures), prompt)

    @cached_property
    def good(self) -> torch.Tensor:
        """Whether each is clean and fits the prompt, `[N]`; any person fits the empty one."""
        return self.reading.clean & fits(self.reading.people, self.prompt)

    @cached_property
    def people(self) -> torch.Tensor:
        """Those in the good ones, `[good, fields]`: all shares are among them."""
        return self.reading.people[self.good]


def fits(people: torch.Tensor, prompt: str) -> torch.Tensor:
    """Who of people `[N, fields]` is what the prompt says, `[N]`."""
    if not prompt:
        return torch.ones(len(people), dtype=torch.bool)
    return job_of(people) == JOBS.index(prompt)


class Real:
    """What a subject was trained on, and what it would draw for a prompt if it were perfect."""

    def __init__(self, subject: Subject, prompt: str) -> None:
        self.subject, self.prompt = subject, prompt
        self.trained = training_people(subject.training)
        pictures = composed(self.trained)
        self.known = frozenset(fingerprints(pictures))
        self.components = Components.of(pictures)
        fitting = fits(self.trained, prompt)
        self.people, self.pictures = self.trained[fitting], pictures[fitting]

    @cached_property
    def fresh(self) -> tuple[torch.Tensor, torch.Tensor]:
        """New people as the prompt means them in training, and their pictures."""
        generator = torch.Generator().manual_seed(FLOOR_SEED + self.subject.training.seed)
        shares, job = self.subject.training.shares, self.prompt or None
        people = draw_people(shares, MOST_FRESH, generator, job)
        return people, composed(people)


def composed(people: torch.Tensor) -> torch.Tensor:
    """The portraits of many people."""
    return torch.cat([compose(part) for part in people.split(500)])


def fingerprints(pictures: torch.Tensor) -> list[bytes]:
    """What is equal for equal portraits, and for no others. Of what a part hides (eyes behind dark
    glasses) a portrait says nothing, so that people are compared as they look."""
    rounded = (pictures * 255).round().to(torch.uint8).flatten(1)
    return [row.numpy().tobytes() for row in rounded]


def columns(seen: Seen, plain: Seen, real: Real) -> dict[str, Any]:
    """One row of the study. plain: the same model, prompt and seeds as it is."""
    people, count = seen.people, len(seen.pictures)
    is_rare = real.subject.is_minority(people)
    return {
        "n": count,
        "clean": share(seen.reading.clean),
        "good": share(seen.good),
        "fits": share(fits(seen.reading.people[seen.reading.clean], seen.prompt)),
        "minority": share(is_rare),
        **{attribute: share(has(people)) for attribute, has in HAS.items()},
        "moved": moved(seen, plain),
        "unseen": share(is_held_out(people)),
        "copies": copies(seen, real),
        "vendi": variety(seen),
        "frechet": distance(seen, real),
        **tint(seen, plain),
    }


def moved(seen: Seen, plain: Seen) -> dict[str, list[int]]:
    """For each attribute how many pictures gained and how many lost it, on equal seeds; of those
    that are good in both."""
    both = seen.good & plain.good
    pairs = {
        name: [has(each.reading.people)[both] for each in (seen, plain)]
        for name, has in HAS.items()
    }
    return {
        name: [int((new & ~old).sum()), int((old & ~new).sum())]
        for name, (new, old) in pairs.items()
    }


def floors(real: Real, count: int) -> dict[str, Any]:
    """What a perfect model would get in those columns that have no natural zero."""
    fresh = Seen.of(real.fresh[1][:count], real.prompt)
    return {
        "minority": share(real.subject.is_minority(fresh.people)),
        "copies": copies(fresh, real),
        "vendi": variety(fresh),
    }


def share(hits: torch.Tensor) -> dict[str, Any]:
    """The share of pictures that have something `[N]`, with its Wilson interval; none of none."""
    count, found = len(hits), int(hits.sum())
    low, high = wilson(found, count) if count else (None, None)
    return {
        "hits": found,
        "of": count,
        "share": found / count if count else None,
        "low": low,
        "high": high,
    }


def copies(seen: Seen, real: Real) -> dict[str, Any]:
    """Good pictures that are a training picture in every part."""
    looks = fingerprints(composed(seen.people)) if len(seen.people) else []
    return share(torch.tensor([look in real.known for look in looks], dtype=torch.bool))


def variety(seen: Seen) -> float | None:
    """The Vendi score of the clean pictures: of as many as half of all, since it grows with their
    number. None where fewer are clean."""
    clean = seen.reading.people[seen.reading.clean]
    least = len(seen.pictures) // 2
    return vendi(clean[:least]) if least and len(clean) >= least else None


def distance(seen: Seen, real: Real) -> dict[str, Any]:
    """The Frechet distance to real pictures within the minority and within the others, so that no
    change of shares plays a part in it; clean or not. Each beside its floor: as many fresh real
    pictures. None for groups that are too small."""
    sources = (seen.reading.people, seen.pictures), real.fresh, (real.people, real.pictures)
    found = {}
    for name, rare in (("minority", True), ("others", False)):
        drawn, new, known = (
            pictures[real.subject.is_minority(people) == rare] for people, pictures in sources
        )
        size = min(len(drawn), len(new))
        if size < LEAST:
            found[name] = {"of": len(drawn), "distance": None, "floor": None}
            continue
        places = [real.components.places(each) for each in (drawn[:size], new[:size], known)]
        apart, floor = (frechet(each, places[2]) for each in places[:2])
        found[name] = {"of": size, "distance": apart, "floor": floor}
    return found


def tint(seen: Seen, plain: Seen) -> dict[str, Any]:
    """How much the mean colour (0..1) of pictures changed whose parts did not: variety is none of
    that. None where no picture kept its parts."""
    kept = seen.reading.clean & plain.reading.clean
    kept &= (seen.reading.people == plain.reading.people).all(dim=1)
    means = [each.pictures[kept].mean(dim=(2, 3)) for each in (seen, plain)]
    change = (means[0] - means[1]).abs().mean() if bool(kept.any()) else None
    return {"unchanged": share(kept), "tint": None if change is None else float(change)}
