"""The reader finds the nearest of all portraits, exactly, and tells what is none."""

from __future__ import annotations

import itertools

import pytest
import torch

from demo.faces import FIELDS, PLACE, Shares, compose, draw_people
from demo.parts import COLOURS, layers
from demo.reader import _regions, disturbed, read


def people(count: int, seed: int = 0) -> torch.Tensor:
    return draw_people(Shares(), count, torch.Generator().manual_seed(seed))


def test_every_portrait_is_read_back_also_one_that_was_held_out():
    some = people(300)
    some[:150, PLACE["hair_colour"]] = (2 * some[:150, PLACE["hair"]]) % len(COLOURS["hair"])
    found = read(compose(some))
    assert torch.equal(found.people, some)
    assert found.distance.max() == 0 and found.clean.all()
    assert len(read(compose(some[:0])).people) == 0


def test_no_two_candidates_look_alike_under_any_hair():
    for name, region in _regions().items():
        for shown in 1 - layers()["hair"].cover.flatten(1)[:, region.pixels]:
            for drawn in region.drawn:
                seen = (drawn * shown).flatten(1)
                assert torch.nn.functional.pdist(seen).min() > 0.05, name


@pytest.fixture
def fewer_colours(monkeypatch):
    """A catalogue in which every portrait can be drawn within a second."""
    fewer = {"skin": 2, "clothing": 3, "eyes": 2, "glasses": 1, "mouth": 2, "hair": 2}
    for kind, count in fewer.items():
        monkeypatch.setitem(COLOURS, kind, COLOURS[kind][-count:])
    for made in (layers, _regions):
        made.cache_clear()
    yield fewer
    monkeypatch.undo()
    for made in (layers, _regions):
        made.cache_clear()


def literal_distances(pictures: torch.Tensor, colours: dict[str, int]) -> torch.Tensor:
    """The root mean square difference from the nearest portrait, by drawing them all: for each
    head (skin, cut and colour of hair) all clothes, all eyes with all glasses, all mouths, each
    compared in the rows that it changes."""
    heads = every({"skin_colour": colours["skin"], "hair": 20, "hair_colour": colours["hair"]})
    bands = {
        (0, 4): {},
        (4, 9): {"eyes": 4, "eyes_colour": 2, "glasses": 7},
        (9, 12): {"mouth": 6, "mouth_colour": 2},
        (12, 16): {"clothing": 8, "clothing_colour": 3},
    }
    total = torch.zeros(len(pictures), len(heads))
    for (first, last), kinds in bands.items():
        options = (heads[:, None] + every(kinds)).flatten(0, 1)
        drawn = compose(options)[:, :, first:last]
        apart = [(drawn - one[:, first:last]).square().sum((1, 2, 3)) for one in pictures]
        total += torch.stack(apart).view(len(pictures), len(heads), -1).amin(-1)
    return (total.amin(1) / pictures[0].numel()).sqrt()


def every(kinds: dict[str, int]) -> torch.Tensor:
    """Every combination of these fields, the others 0, `[combinations, fields]`."""
    grid = list(itertools.product(*(range(count) for count in kinds.values())))
    made = torch.zeros(len(grid), len(FIELDS), dtype=torch.long)
    for column, name in enumerate(kinds):
        made[:, PLACE[name]] = torch.tensor([one[column] for one in grid])
    return made


def test_the_nearest_portrait_is_the_nearest_of_all(fewer_colours):
    generator = torch.Generator().manual_seed(5)
    some = compose(every({"skin_colour": 2, "hair": 20})[::9])
    blend = (some[:1] + some[1:2]) / 2
    noisy = some[2:] + 0.2 * torch.randn(some[2:].shape, generator=generator)
    far = torch.cat([blend, noisy, torch.rand(2, 3, 16, 16, generator=generator)])
    found = read(far)
    assert torch.allclose(found.distance, literal_distances(far, fewer_colours), atol=1e-5)
    assert found.distance.min() > 0.01


def test_what_is_no_portrait_is_not_clean():
    some = people(200, 7)
    generator = torch.Generator().manual_seed(0)
    for name, pictures in disturbed(compose(some), generator):
        assert read(pictures).clean.float().mean() < 0.06, name


@pytest.mark.parametrize(
    ("pictures", "told"),
    [
        (torch.zeros(2, 16, 16, 3), r"The pictures are \(2, 16, 16, 3\)"),
        (torch.zeros(3, 16, 16), r"The pictures are \(3, 16, 16\)"),
        (torch.full((1, 3, 16, 16), torch.nan), r"NaN or infinity"),
    ],
)
def test_pictures_that_cannot_be_read_are_refused(pictures, told):
    with pytest.raises(ValueError, match=told):
        read(pictures)
