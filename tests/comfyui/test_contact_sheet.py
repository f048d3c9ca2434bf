"""The contact sheet node: pictures in their places, and bad batches refused in one sentence."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest
import torch


def batch(*greys: float, height: int = 96, width: int = 96) -> torch.Tensor:
    """An IMAGE batch of even grey pictures."""
    return torch.stack([torch.full((height, width, 3), grey) for grey in greys])


def sheet(lab, images: list, **inputs) -> torch.Tensor:
    """The node as the host calls it: every input comes as a list."""
    return lab.node("DetourContactSheet").execute(images=images, **inputs).result[0]


def greys(picture: torch.Tensor) -> list[list[float]]:
    """The greys of the cells in reading order: what is neither paper, letters nor a border."""
    flat = picture[0].mean(dim=-1)
    rows: list[list[float]] = []
    for line in flat:
        cells = Counter(round(value, 2) for value in line.tolist() if 0.2 < value < 0.95)
        found = [value for value, count in cells.items() if count > 90]
        if found and (not rows or rows[-1] != found):
            rows.append(found)
    return rows


def test_a_sweep_has_a_column_for_each_batch_and_a_row_for_each_seed(lab):
    picture = sheet(lab, [batch(0.3, 0.4), batch(0.5, 0.6), batch(0.7, 0.8)])
    assert picture.ndim == 4
    assert picture.dtype == torch.float32
    assert greys(picture) == [[0.3, 0.5, 0.7], [0.4, 0.6, 0.8]]


def test_a_single_batch_is_laid_out_in_columns(lab):
    line = batch(0.3, 0.4, 0.5, 0.6)
    assert greys(sheet(lab, [line])) == [[0.3, 0.4], [0.5, 0.6]]
    assert greys(sheet(lab, [line], columns=[4])) == [[0.3, 0.4, 0.5, 0.6]]
    assert greys(sheet(lab, [line], columns=[3])) == [[0.3, 0.4, 0.5], [0.6]]


def test_labels_stand_above_the_columns(lab):
    images = [batch(0.3), batch(0.5)]
    bare, headed = sheet(lab, images), sheet(lab, images, labels=["strength 0", "strength 1"])
    assert headed.shape[1] > bare.shape[1]
    assert headed.shape[2] == bare.shape[2]
    swapped = sheet(lab, images, labels=["strength 1", "strength 0"])
    assert not torch.equal(headed, swapped)


def test_small_pictures_are_enlarged_and_large_ones_reduced(lab):
    assert sheet(lab, [batch(0.5, height=16, width=16)]).shape[1] > 96
    assert sheet(lab, [batch(0.5, height=1200, width=600)]).shape[1] < 600


def test_the_input_is_not_changed(lab):
    images = [batch(0.3), batch(0.5)]
    before = [image.clone() for image in images]
    sheet(lab, images, labels=["a", "b"])
    assert all(map(torch.equal, images, before))


BAD = {
    "sizes_in_a_sweep": (
        [batch(0.5), batch(0.5, width=128)],
        {},
        "Picture 2 is 128x96, but the first is 96x96",
    ),
    "lengths": ([batch(0.5, 0.5), batch(0.5)], {}, "The image batches hold 1 and 2 pictures"),
    "empty_batch": ([batch(0.5)[:0]], {}, "the image batch is empty"),
    "empty_batches": ([batch(0.5)[:0], batch(0.5)[:0]], {}, "the image batch is empty"),
    "empty_list": ([], {}, "the image batch is empty"),
    "nan": ([batch(0.5, math.nan)], {}, "values that are not numbers"),
    "infinite": ([batch(0.5), batch(math.inf)], {}, "values that are not numbers"),
    "no_batch": ([batch(0.5)[0]], {}, "An image batch has the shape"),
    "two_channels": ([batch(0.5)[..., :2]], {}, "An image batch has the shape"),
    "too_many_labels": (
        [batch(0.5), batch(0.5)],
        {"labels": ["a", "b", "c"]},
        "There are 3 labels for 2 columns of pictures",
    ),
    "too_few_labels": (
        [batch(0.5), batch(0.5), batch(0.5)],
        {"labels": ["a"]},
        "There are 1 labels for 3 columns of pictures",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_batches_are_refused_in_one_sentence(lab, case):
    images, inputs, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)) as refusal:
        sheet(lab, images, **inputs)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_columns_of_several_pictures_say_how_diverse_they_are(lab):
    alike = torch.rand(1, 96, 96, 3).expand(3, -1, -1, -1)
    varied = torch.rand(3, 96, 96, 3)
    one, other = sheet(lab, [alike, alike]), sheet(lab, [alike, varied])
    foot = slice(-46, None)
    assert not torch.equal(one[:, foot, 110:], other[:, foot, 110:])
    assert torch.equal(one[:, foot, :90], other[:, foot, :90])
    single = sheet(lab, [alike[:1], varied[:1]])
    assert single.shape[1] + 2 * 102 < one.shape[1], "a column of one picture has no foot"
