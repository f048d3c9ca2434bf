"""The columns of the dial's study against slow, literal versions, on pictures good and bad."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from demo.faces import PLACE, compose, draw_people, has_long_hair
from demo.parts import COLOURS, LONG
from evidence.dial.measure import Real, Seen, columns, floors
from evidence.dial.models import Subject, plan
from evidence.dial.scores import COMPONENTS

Z = 1.959963984540054
COUNT = 260


@pytest.fixture(scope="module")
def real() -> Real:
    """Training pictures, so few that some of those that are drawn are among them."""
    patch = pytest.MonkeyPatch()
    patch.setattr("demo.train.PEOPLE", 700)
    patch.setattr("evidence.dial.measure.MOST_FRESH", 900)
    try:
        real = Real(next(one for one in plan(1) if one.attribute == "long hair"), "")
        assert len(real.fresh[0]) == 900
        return real
    finally:
        patch.undo()


@pytest.fixture(scope="module")
def pair(real: Real) -> tuple[Seen, Seen]:
    """Pictures with some of everything, and the same without a way: copies, people whom no
    training picture shows, a tint, changed people, and some that are broken."""
    draw = torch.Generator().manual_seed(4)
    people = draw_people(real.subject.training.shares, COUNT, draw)
    people[:60] = real.trained[:60]
    cut = people[60:110, PLACE["hair"]]
    people[60:110, PLACE["hair_colour"]] = 2 * cut % len(COLOURS["hair"])
    plain = compose(people)
    people[200:, PLACE["mouth"]] = (people[200:, PLACE["mouth"]] + 1) % 6
    pictures = (compose(people) + 0.01).clamp(0, 1)
    pictures[::13] = torch.rand(pictures[::13].shape, generator=draw)
    pictures[5::17] += 0.06  # too bright to be clean, the parts are the same
    return Seen.of(pictures, ""), Seen.of(plain, "")


def rows(people: torch.Tensor, keep: torch.Tensor) -> list[list[int]]:
    """Of those that are kept."""
    return [row for row, kept in zip(people.tolist(), keep.tolist(), strict=True) if kept]


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The roots of (p - hits / count)^2 = z^2 p (1 - p) / count."""
    share = hits / count
    a, b, c = 1 + Z**2 / count, -(2 * share + Z**2 / count), share**2
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def vendi(people: Sequence[Sequence[int]]) -> float:
    """exp of the entropy of the eigenvalues of K / n, K by comparing part by part."""
    alike = [
        [sum(a == b for a, b in zip(one, other, strict=True)) / len(one) for other in people]
        for one in people
    ]
    values = torch.linalg.eigvals(torch.tensor(alike, dtype=torch.float64) / len(people)).real
    return math.exp(-sum(float(v) * math.log(float(v)) for v in values if v > 1e-12))


def frechet(first: torch.Tensor, second: torch.Tensor) -> float:
    """|m - n|^2 + tr(A + B - 2 (A B)^1/2), the means and covariances by sums."""
    means, spreads = [], []
    for places in (first, second):
        mean = sum(places) / len(places)
        means.append(mean)
        apart = [place - mean for place in places]
        spreads.append(sum(torch.outer(each, each) for each in apart) / (len(places) - 1))
    root = torch.linalg.eigvals(spreads[0] @ spreads[1]).real.clamp_min(0).sqrt().sum()
    apart = sum((means[0] - means[1]) ** 2)
    return float(apart + spreads[0].trace() + spreads[1].trace() - 2 * root)


def components(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and principal components, by singular values instead of eigenvalues."""
    flat = pictures.flatten(1).double()
    _, _, axes = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
    return flat.mean(dim=0), axes[:COMPONENTS].T


def is_rare(subject: Subject, row: Sequence[int]) -> bool:
    """Whether somebody is of the minority, by the hair alone."""
    assert subject.attribute == "long hair"
    return (row[PLACE["hair"]] < len(LONG)) == subject.present


def test_shares_are_those_of_good_pictures_with_wilsons_interval(real, pair):
    seen, plain = pair
    found = columns(seen, plain, real)
    good = rows(seen.reading.people, seen.reading.distance <= 0.06)
    assert 0 < len(good) < COUNT == found["n"]
    assert found["clean"]["hits"] == found["good"]["hits"] == found["fits"]["of"] == len(good)
    unseen = sum(row[PLACE["hair_colour"]] == 2 * row[PLACE["hair"]] % 5 for row in good)
    rare = sum(is_rare(real.subject, row) for row in good)
    known = {compose(one[None]).mul(255).round().byte().numpy().tobytes() for one in real.trained}
    copies = 0
    for row in good:
        look = compose(torch.tensor([row])).mul(255).round().byte().numpy().tobytes()
        copies += look in known
    assert copies > 40 and unseen > 40
    for name, hits in (("unseen", unseen), ("minority", rare), ("copies", copies)):
        low, high = wilson(hits, len(good))
        assert found[name]["hits"] == hits and found[name]["of"] == len(good), name
        assert found[name]["share"] == hits / len(good)
        assert (found[name]["low"], found[name]["high"]) == pytest.approx((low, high)), name


def test_variety_is_of_half_of_the_pictures_and_compares_part_by_part(real, pair):
    seen, plain = pair
    clean = rows(seen.reading.people, seen.reading.clean)
    assert columns(seen, plain, real)["vendi"] == pytest.approx(vendi(clean[: COUNT // 2]))


def test_the_distance_within_a_group_and_its_floor_are_of_equally_many(real, pair):
    seen, plain = pair
    found = columns(seen, plain, real)["frechet"]
    mean, axes = components(compose(real.trained))
    for name, rare in (("minority", True), ("others", False)):
        groups = [
            [
                (picture.flatten().double() - mean) @ axes
                for picture, row in zip(pictures, people.tolist(), strict=True)
                if is_rare(real.subject, row) == rare
            ]
            for pictures, people in (
                (seen.pictures, seen.reading.people),
                (real.fresh[1], real.fresh[0]),
                (compose(real.trained), real.trained),
            )
        ]
        size = min(len(groups[0]), len(groups[1]))
        drawn, new, known = groups[0][:size], groups[1][:size], groups[2]
        assert found[name]["of"] == size >= 2 * COMPONENTS
        assert found[name]["distance"] == pytest.approx(frechet(drawn, known), rel=1e-3)
        assert found[name]["floor"] == pytest.approx(frechet(new, known), rel=1e-3)


def test_a_tint_is_of_pictures_that_kept_all_their_parts(real, pair):
    seen, plain = pair
    found = columns(seen, plain, real)
    apart, kept = [], 0
    for place in range(COUNT):
        same = seen.reading.people[place].tolist() == plain.reading.people[place].tolist()
        if same and max(float(each.reading.distance[place]) for each in pair) <= 0.06:
            kept += 1
            for channel in range(3):
                one, other = (float(each.pictures[place, channel].mean()) for each in pair)
                apart.append(abs(one - other))
    assert 100 < kept < 200
    assert found["unchanged"]["hits"] == kept and found["unchanged"]["of"] == COUNT
    assert found["tint"] == pytest.approx(sum(apart) / len(apart), rel=1e-4)


def test_real_pictures_are_read_as_they_were_drawn(real):
    """So that what is known of real people and what is read in drawn ones are the same thing."""
    people, pictures = real.fresh
    seen = Seen.of(pictures[:300], "")
    assert seen.reading.clean.all()
    assert torch.equal(has_long_hair(seen.reading.people), has_long_hair(people[:300]))
    found = floors(real, 300)
    assert found["minority"]["hits"] == sum(
        is_rare(real.subject, row) for row in people[:300].tolist()
    )
    assert found["vendi"] == pytest.approx(vendi(seen.reading.people[:150].tolist()))
