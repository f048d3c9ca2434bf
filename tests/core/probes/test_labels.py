"""Labels by clicks or by text: read, refused with a sentence, and made into probes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from detour.probes.labels import labelled_probes, picture_mark, read_label_names, read_marks

NAMES = ("right", "wrong")
PICTURES = [f"#{letter * 10}" for letter in "abcd"]
GOLDEN = Path(__file__).parents[2] / "golden" / "marks.json"


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text(encoding="utf-8")))
def test_marks_are_read_and_mean_the_same_as_the_page_writes_them(case):
    read = read_marks(case["text"], NAMES, PICTURES)
    assert list(read.labels) == case["labels"] and read.absent == case.get("absent", 0)
    again = read_marks(case.get("written", case["text"]), NAMES, PICTURES)
    assert again == read


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("maybe: 1", "the label 'maybe', and the labels are right, wrong"),
        ("3, 7-9", "'3, 7-9' without a label"),
        ("wrong: x", "'x' behind 'wrong': write them as in 'wrong: 3, 7-9'"),
        ("wrong: #12", "'#12' behind 'wrong'"),
        ("wrong: 5", "'5' behind 'wrong', and there are 4 pictures"),
        ("wrong: 0", "numbered from 1"),
        ("wrong: 3-2", "numbered from 1"),
        ("wrong: 1-999999999", "there are 4 pictures"),
        ("wrong: 1; right: #aaaaaaaaaa", "Picture 1 is marked both 'wrong' and 'right'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(text, told):
    with pytest.raises(ValueError, match=told):
        read_marks(text, NAMES, PICTURES)


@pytest.mark.parametrize(
    ("text", "told"),
    [(" ,", "no labels"), ("a, b, a", "'a' is there twice"), ("a:b", "':' or ';'")],
)
def test_labels_that_cannot_be_are_refused(text, told):
    with pytest.raises(ValueError, match=told):
        read_label_names(text)


def test_a_mark_belongs_to_what_is_in_the_picture():
    picture = torch.rand(5, 7, 3)
    levels = bytes(round(value * 255) for value in picture.double().flatten().tolist())
    literal = hashlib.sha256(b"[5, 7, 3]" + levels).hexdigest()[:10]
    assert picture_mark(picture) == f"#{literal}"
    assert picture_mark(picture.flip(0)) != picture_mark(picture)
    assert picture_mark(picture.transpose(0, 1)) != picture_mark(picture)


def test_pictures_without_a_label_are_left_out():
    pictures = tuple(torch.rand(4, 2, 2, 3))
    made = labelled_probes(pictures, ("wrong", "", "right", "wrong"))
    assert made.sources == (pictures[0], pictures[2], pictures[3])
    assert made.attributes == ("wrong", "right", "wrong") and made.class_names == ()
    both = labelled_probes(pictures, ("cat/wrong", "dog/right", "", "black/cat/right"))
    assert both.classes == ("cat", "dog", "black/cat")
    assert both.attributes == ("wrong", "right", "right")
    with pytest.raises(ValueError, match="No picture has a label yet"):
        labelled_probes(pictures, ("",) * 4)
    with pytest.raises(ValueError, match="1 of 2 probe pictures have no class"):
        labelled_probes(pictures, ("cat/wrong", "right", "", ""))
