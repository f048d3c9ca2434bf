"""The tiny model's people: the sheet of parts, who is drawn, and how a portrait is composed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from demo.faces import (
    FIELDS,
    JOBS,
    PLACE,
    VARIANTS,
    Shares,
    compose,
    draw_people,
    has_dark_skin,
    has_long_hair,
    is_held_out,
    job_of,
    wears_glasses,
)
from demo.parts import COLOURS, GROUND, PARTS, SHEET, SIZE
from demo.reader import REGIONS

ROWS = {"eyes": "face", "glasses": "face", "mouth": "mouth", "clothing": "clothing"}


def drawn(count: int, seed: int = 0, **more) -> torch.Tensor:
    return draw_people(Shares(), count, torch.Generator().manual_seed(seed), **more)


def tiles() -> dict[tuple[str, str], np.ndarray]:
    """Each part's brightness in black, gain in white and cover: `[16, 16, 3]` of bytes."""
    names = [(kind, name) for kind, part in PARTS.items() for name in part]
    with Image.open(SHEET) as sheet:
        strip = np.asarray(sheet.convert("RGB")).astype(int)
    assert strip.shape == (SIZE, SIZE * len(names), 3)
    return dict(zip(names, np.split(strip, len(names), axis=1), strict=True))


def test_every_part_lies_where_the_reader_looks_for_it():
    for (kind, name), tile in tiles().items():
        dark, gain, cover = np.moveaxis(tile, -1, 0)
        assert (dark + gain <= cover).all() and cover.any(), name
        first, last = REGIONS[ROWS[kind]] if kind in ROWS else (0, SIZE)
        assert not cover[:first].any() and not cover[last:].any(), name
        if kind == "hair":  # one colour, and nothing shines through
            assert not dark.any() and np.isin(cover, (0, 255)).all() and (gain == cover).all()


def test_people_are_drawn_as_their_shares_have_it():
    for shares in VARIANTS.values():
        people = draw_people(shares, 8000, torch.Generator().manual_seed(1))
        jobs, long = job_of(people), has_long_hair(people).float()
        for place, job in enumerate(JOBS):
            assert (jobs == place).float().mean().item() == pytest.approx(0.25, abs=0.02)
            assert long[jobs == place].mean().item() == pytest.approx(shares.long[job], abs=0.04)
        assert has_dark_skin(people).float().mean().item() == pytest.approx(shares.dark, abs=0.02)
        assert wears_glasses(people).float().mean().item() == pytest.approx(
            shares.glasses, abs=0.02
        )
    assert VARIANTS["mirror"].long["nurse"] == pytest.approx(0.1)
    assert torch.equal(drawn(50, 3), drawn(50, 3))
    assert job_of(drawn(50, job="gardener")).unique().tolist() == [2]


def test_one_colour_of_each_cut_is_held_out_and_never_drawn():
    cuts, colours = len(PARTS["hair"]), len(COLOURS["hair"])
    everybody = drawn(cuts * colours)
    everybody[:, PLACE["hair"]] = torch.arange(cuts).repeat_interleave(colours)
    everybody[:, PLACE["hair_colour"]] = torch.arange(colours).repeat(cuts)
    assert is_held_out(everybody).view(cuts, colours).sum(1).tolist() == [1] * cuts
    people = drawn(4000)
    assert not is_held_out(people).any()
    seen = people[:, [PLACE["hair"], PLACE["hair_colour"]]].unique(dim=0)
    assert len(seen) == cuts * (colours - 1), "all others are"


def by_pillow(person: dict[str, int]) -> np.ndarray:
    """A portrait laid together by Pillow: each part in its colour, with its own transparency."""
    canvas = Image.new("RGBA", (SIZE, SIZE), f"#{GROUND}")
    sheet = tiles()
    for kind, names in PARTS.items():
        part = person.get(kind, 0) - (kind == "glasses")
        if part < 0:
            continue
        tile, tint = sheet[kind, names[part]], COLOURS[kind][person[f"{kind}_colour"]]
        layer = np.zeros((SIZE, SIZE, 4), np.uint8)
        for y, x in np.argwhere(tile[..., 2]):
            dark, gain, cover = tile[y, x]
            for channel, value in enumerate(bytes.fromhex(tint)):
                layer[y, x, channel] = round((dark + gain * value / 255) * 255 / cover)
            layer[y, x, 3] = cover
        canvas.alpha_composite(Image.fromarray(layer))
    return np.asarray(canvas.convert("RGB"))


def test_a_portrait_is_what_pillow_lays_together():
    people = drawn(40, 2)
    people[:13, PLACE["glasses"]] = torch.arange(13) % 7
    for person, picture in zip(people.tolist(), compose(people), strict=True):
        wanted = by_pillow(dict(zip(FIELDS, person, strict=True)))
        found = picture.permute(1, 2, 0).numpy() * 255
        assert np.abs(found - wanted).max() <= 1.5, person


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"long": {"nurse": 0.5}}, r"it must name nurse, builder"),
        ({"dark": 1.1}, r"A share is 1.1"),
        ({"glasses": float("nan")}, r"A share is nan"),
    ],
)
def test_shares_that_cannot_be_are_refused(values, told):
    with pytest.raises(ValueError, match=told):
        Shares(**values)
