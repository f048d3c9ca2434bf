"""The figures of the depth study, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations, product
from typing import Any

import torch

from demo.stats import mcnemar

from .measure import share
from .models import HAS
from .stats import ROUNDING
from .ways import BYPASS, PLAIN

MINORITIES = ("glasses", "long hair")
CLEAN, COPY, SHOWS = 1, 2, 4
Row = dict[str, Any]


@dataclass(frozen=True)
class Pictures:
    """What is seen in pictures, each `[N]` of bool: whether clean, whether a training picture in
    every part, and of each minority who belongs to it."""

    clean: torch.Tensor
    copies: torch.Tensor
    shows: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, people: torch.Tensor, clean: torch.Tensor, copies: torch.Tensor) -> Pictures:
        """Of people that were read, `[N, fields]`."""
        return cls(clean, copies, {name: HAS[name](people) for name in MINORITIES})

    @property
    def text(self) -> str:
        """One hexadecimal digit a picture, for a file."""
        digits = CLEAN * self.clean.long() + COPY * self.copies.long()
        for place, name in enumerate(MINORITIES):
            digits += (SHOWS << place) * self.shows[name].long()
        return "".join(f"{digit:x}" for digit in digits.tolist())

    @classmethod
    def read(cls, text: str) -> Pictures:
        """The same again."""
        digits = torch.tensor([int(digit, 16) for digit in text], dtype=torch.long)
        shows = {name: (digits & SHOWS << at).bool() for at, name in enumerate(MINORITIES)}
        return cls((digits & CLEAN).bool(), (digits & COPY).bool(), shows)


@dataclass(frozen=True)
class Model:
    """A trained model. shares: of each minority in its training pictures."""

    depth: int
    seed: int
    steps: int
    parameters: int
    sha256: str
    shares: Mapping[str, float]


Seen = Mapping[tuple[int, int, str], Pictures]
"""What is seen, by seed, depth and way."""


def figures(models: Sequence[Model], seen: Seen, reals: Mapping[int, Pictures]) -> Row:
    """Everything that is kept: a row for each model, minority and way, and what they come to.

    Only of seeds of which every depth was measured in both ways. reals: by seed.
    """
    depths = sorted({model.depth for model in models})
    ways = (PLAIN, BYPASS)
    whole = [s for s in reals if all((s, d, w) in seen for d in depths for w in ways)]
    used = [model for model in models if model.seed in whole]
    rows = [row for name in MINORITIES for row in rows_of(name, used, seen)]
    real = {name: [share(reals[seed].shows[name]) for seed in whole] for name in MINORITIES}
    return {
        "models": [asdict(model) for model in used],
        "rows": rows,
        "means": [mean for name in MINORITIES for mean in means_of(name, rows, real[name])],
        "trends": [trend_of(name, rows, way) for name in MINORITIES for way in ways if whole],
    }


def rows_of(minority: str, models: Sequence[Model], seen: Seen) -> Iterator[Row]:
    """A minority's rows. A plain row is held against the shallowest model of its seed, a bypass
    against the plain row of its model, picture by picture on equal noise."""
    shallowest = min((model.depth for model in models), default=0)
    for model in models:
        for way in (PLAIN, BYPASS):
            pictures = seen[model.seed, model.depth, way]
            other = (model.seed, model.depth if way == BYPASS else shallowest, PLAIN)
            to, back = moved(seen[other], pictures, minority)
            found = share(pictures.shows[minority])
            yield {
                "depth": model.depth,
                "parameters": model.parameters,
                "seed": model.seed,
                "minority": minority,
                "training_share": model.shares[minority],
                "way": way,
                "share": found["share"],
                "low": found["low"],
                "high": found["high"],
                "clean": share(pictures.clean)["share"],
                "copies": share(pictures.copies)["share"],
                "n": len(pictures.clean),
                "to_minority": to,
                "to_majority": back,
                "p": mcnemar(to, back),
            }


def moved(before: Pictures, after: Pictures, minority: str) -> tuple[int, int]:
    """Pictures that went to the minority and away from it."""
    old, new = before.shows[minority], after.shows[minority]
    return int((new & ~old).sum()), int((old & ~new).sum())


def means_of(minority: str, rows: Sequence[Row], reals: Sequence[Row]) -> Iterator[Row]:
    """Over the models of each depth and way: mean, least and greatest share, and sums of the
    pictures that moved; that of real pictures first."""
    if not reals:
        return
    yield {"minority": minority, "way": "real", "models": len(reals)} | spread(
        [each["share"] for each in reals]
    )
    own = [row for row in rows if row["minority"] == minority]
    for depth, way in dict.fromkeys((row["depth"], row["way"]) for row in own):
        of = [row for row in own if (row["depth"], row["way"]) == (depth, way)]
        yield {
            "minority": minority,
            "way": way,
            "models": len(of),
            "depth": depth,
            "parameters": of[0]["parameters"],
            **spread([row["share"] for row in of]),
            "training_share": mean([row["training_share"] for row in of]),
            "clean": mean([row["clean"] for row in of]),
            "copies": mean([row["copies"] for row in of]),
            "to_minority": sum(row["to_minority"] for row in of),
            "to_majority": sum(row["to_majority"] for row in of),
        }


def spread(shares: Sequence[float | None]) -> Row:
    """Mean, least and greatest of the shares that there are."""
    known = [value for value in shares if value is not None]
    return {
        "share": mean(known),
        "least": min(known, default=None),
        "greatest": max(known, default=None),
    }


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that there are."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def trend_of(minority: str, rows: Sequence[Row], way: str) -> Row:
    """How the share goes with depth, over seeds: of the deepest minus that of the shallowest."""
    own = [row for row in rows if (row["minority"], row["way"]) == (minority, way)]
    seeds = dict.fromkeys(row["seed"] for row in own)
    by_seed = [
        [row["share"] for row in sorted(own, key=lambda row: row["depth"]) if row["seed"] == seed]
        for seed in seeds
    ]
    known = [shares for shares in by_seed if None not in shares]
    changes = [shares[-1] - shares[0] for shares in known]
    return {
        "minority": minority,
        "way": way,
        "seeds": len(known),
        "change": mean(changes),
        **{name: spread(changes)[name] for name in ("least", "greatest")},
        "p": trend(known),
    }


def trend(blocks: Sequence[Sequence[float]]) -> float:
    """Two-sided exact p that the order within blocks means nothing, against a rise or a fall: the
    share of all ways to shuffle each block whose slope is as far from 0 as theirs (as Page's test
    of 1963, with the values in the place of their ranks). 1 for no blocks."""
    slopes = [[slope(order) for order in permutations(block)] for block in blocks]
    sums = [abs(math.fsum(chosen)) for chosen in product(*slopes)]
    # Of all ways the first one leaves every block as it is.
    return sum(total >= sums[0] - ROUNDING for total in sums) / len(sums)


def slope(values: Sequence[float]) -> float:
    """How much values rise from place to place, up to a factor."""
    middle = (len(values) - 1) / 2
    return math.fsum((place - middle) * value for place, value in enumerate(values))


HEAD = (
    f"  {'':22} {'share':>6} {'least - greatest':>17} {'clean':>6} {'copies':>6} {'to / from':>10}"
)
LEGEND = """Exploratory. Depth: how often a picture is halved before the mid-block, at equal width
share: of the minority among all pictures, each read as the portrait that is nearest to it; mean
       over the models, least and greatest of them
clean: pictures that differ little from that portrait
copies: pictures whose portrait is a training picture in every part
to / from: pictures that went to the minority and away from it on equal noise, of all models;
           of a depth against the shallowest model of its seed, of a bypass against none"""


def report(found: Row, tell: Callable[[str], None]) -> None:
    """The table, what its columns mean, and what may be said."""
    tell(LEGEND)
    for minority, count in found["misread"].items():
        of = f"{found['misread_of']:,} new portraits with the noise of these pictures on them"
        tell(f"misread: {minority}: {count} of {of}")
    for minority in MINORITIES:
        own = [each for each in found["means"] if each["minority"] == minority]
        if not own:
            tell("No seed has models of all depths that are measured.")
            return
        tell("")
        tell(f"{minority}; {percent(own[-1]['training_share'])} in training; {models(own)}")
        tell(HEAD)
        for each in own:
            tell(line(each))
        for trended in found["trends"]:
            if trended["minority"] == minority:
                tell(sentence(trended))


def models(means: Sequence[Row]) -> str:
    """Of how many models the means are."""
    depths = len({each["depth"] for each in means if "depth" in each})
    return f"{depths} depths of {means[-1]['models']} models each"


def line(each: Row) -> str:
    """One line of the table."""
    name = "real pictures"
    if each["way"] == PLAIN:
        name = f"depth {each['depth']}, {each['parameters'] / 1e6:.2f} M"
    elif each["way"] == BYPASS:
        name = "  bypass 1, 0 to 0.3"
    between = f"{percent(each['least'])} - {percent(each['greatest'])}"
    shown = f"  {name:22} {percent(each['share']):>6} {between:>17}"
    if "clean" not in each:
        return shown
    to = f"{each['to_minority']} / {each['to_majority']}"
    return f"{shown} {percent(each['clean']):>6} {percent(each['copies']):>6} {to:>10}"


def sentence(trended: Row) -> str:
    """What may be said of the depths: of these models alone, and as a lead."""
    if trended["change"] is None:
        return "  Not measured."
    with_bypass = " with the bypass" if trended["way"] == BYPASS else ""
    change, least, greatest = (f"{100 * trended[n]:+.1f}" for n in ("change", "least", "greatest"))
    return (
        f"  From the shallowest to the deepest{with_bypass}: {change} points "
        f"({least} to {greatest} over {trended['seeds']} seeds), trend p = {trended['p']:.2g}."
    )


def percent(value: float | None) -> str:
    """For a table."""
    return "-" if value is None else f"{100 * value:.1f}%"
