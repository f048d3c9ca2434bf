"""What a classifier says about pictures, and which are kept."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from detour.classifier.model import ImageClassifier, predict, present
from detour.report.classifier import describe_predictions


def as_tagger(small, threshold: float) -> ImageClassifier:
    """The same network as a tagger."""
    about = replace(small.description, activation="sigmoid", threshold=threshold)
    return ImageClassifier(small.backbone, small.weight, small.bias, about)


LOGITS = torch.tensor([[0.0, 2.0, 1.0], [3.0, 3.0, -1.0], [-4.0, -3.0, -2.0]])


def test_one_class_for_each_picture_the_first_in_a_tie(small):
    found = predict(small, LOGITS, top_k=2)
    assert [one.label for one in found] == ["green", "red", "blue"]
    assert found[0].top[0] == ("green", pytest.approx(math.e**2 / (1 + math.e + math.e**2)))
    assert [len(one.top) for one in found] == [2, 2, 2]
    assert all(one.kept for one in found)
    assert found[0].as_dict()["label"] == "green"


def test_any_number_of_tags(small):
    tagger = as_tagger(small, 0.5)
    assert [one.labels for one in predict(tagger, LOGITS)] == [
        ("green", "blue"),
        ("red", "green"),
        (),
    ]
    assert predict(tagger, LOGITS)[2].label == "(none)"
    assert [one.kept for one in predict(tagger, LOGITS)] == [True, True, False]
    strict = predict(tagger, LOGITS, threshold=0.9)
    assert [one.labels for one in strict] == [(), ("red", "green"), ()]


def test_the_cut_of_a_tagger_is_that_of_the_edits(small):
    from detour.edit.apply import predictions
    from detour.probes.features import Probes

    logits = torch.tensor([[0.0] * 3, [1e-6] * 3, [-1e-6] * 3, [2.0] * 3])
    for threshold in (0.5, 0.499, 0.501, 0.88):
        probes = Probes(
            torch.zeros(4, 1), [0] * 4, [0] * 4, logits=logits, threshold=threshold, tag=1
        )
        wanted = predictions(probes, logits).bool()
        assert torch.equal(present(as_tagger(small, threshold), logits)[:, 1], wanted)
        assert torch.equal(present(as_tagger(small, 0.3), logits, threshold)[:, 1], wanted)


@pytest.mark.parametrize(
    ("threshold", "keep", "kept"),
    [
        (0.0, None, [True, True, True]),
        (0.6, None, [True, False, True]),
        (0.0, 1, [True, False, False]),
        (0.7, 1, [False, False, False]),
        (0.0, 0, [False, True, False]),
    ],
)
def test_filter(small, threshold, keep, kept):
    assert [one.kept for one in predict(small, LOGITS, 1, threshold, keep)] == kept


def test_top_k_beyond_the_classes(small):
    assert len(predict(small, LOGITS, top_k=99)[0].top) == 3
    assert predict(small, LOGITS[:0]) == []


@pytest.mark.parametrize(
    ("logits", "inputs", "message"),
    [
        (LOGITS * math.nan, {}, "NaN"),
        (LOGITS, {"threshold": math.nan}, "threshold is nan"),
        (LOGITS, {"threshold": 1.5}, "threshold is 1.5"),
        (LOGITS, {"top_k": 0}, "top_k is 0"),
    ],
)
def test_bad_values(small, logits, inputs, message):
    with pytest.raises(ValueError, match=message):
        predict(small, logits, **inputs)


def test_the_description_counts_labels_and_lists_pictures(small):
    lines = describe_predictions(predict(small, LOGITS[[0, 0, 1]])).splitlines()
    assert lines[:2] == ["3 of 3 pictures kept", "2 green (67%), 1 red (33%)"]
    assert lines[2].startswith("1: green  green ") and len(lines) == 5
    short = describe_predictions(predict(small, LOGITS), most=1).splitlines()
    assert short[2].startswith("1: ") and short[3:] == ["... and 2 more"]
