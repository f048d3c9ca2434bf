"""The demo's classifiers load without questions and are what they are said to be."""

from __future__ import annotations

import pytest
import torch
from demo.digits import load_digits
from demo.probe_digits import CLASSES, HELD_OUT, probe_digits, split_digits

from demo.train_classifiers import FILES, FOLDER, group_accuracies
from detour.classifier.load import load_classifier


@pytest.mark.parametrize("classes", FILES)
def test_they_load_without_questions(classes):
    path = FOLDER / FILES[classes]
    classifier = load_classifier(path)
    assert path.stat().st_size <= 2 * 2**20
    assert classifier.labels == CLASSES[classes]
    assert classifier.description.architecture == "detour:small_cnn"
    assert classifier.logits(torch.rand(2, 40, 40, 3)).shape == (2, len(CLASSES[classes]))


def test_colour_misleads_the_one_and_not_the_other():
    shortcut = group_accuracies(load_classifier(FOLDER / FILES["low_high"]), "low_high")
    own = [shortcut["low", "red"], shortcut["high", "green"]]
    others = [shortcut["low", "green"], shortcut["high", "red"]]
    assert min(own) > 0.95 and min(own) - max(others) > 0.1
    reader = group_accuracies(load_classifier(FOLDER / FILES["digits"]), "digits")
    assert min(reader.values()) > 0.9
    assert max(abs(reader[d, "red"] - reader[d, "green"]) for d in CLASSES["digits"]) < 0.03


def test_probes_come_from_digits_that_nothing_was_trained_on():
    digits = load_digits()
    training, held_out = split_digits(digits)
    assert len(held_out) == 10 * HELD_OUT
    assert len(torch.cat([training, held_out]).unique()) == len(digits.labels)
    probes = probe_digits(600, 1)
    assert set(probes.units) <= set(held_out.tolist())


def test_balanced_probes_show_every_digit_in_both_colours():
    probes = probe_digits(600, 1, "digits")
    assert probes.pictures.shape == (600, 16, 16, 3)
    assert 0 <= probes.pictures.min() and probes.pictures.max() <= 1
    assert all(probes.units.count(unit) == 2 for unit in probes.units)
    assert {probes.classes.count(name) for name in CLASSES["digits"]} == {60}
    red = probes.pictures[0::2]
    assert set(probes.attributes[0::2]) == {"red"} and (red.sum((1, 2))[:, 0] > 0).all()
    assert torch.equal(probes.pictures, probe_digits(600, 1, "digits").pictures)


def test_a_correlation_ties_the_colour_to_the_class():
    probes = probe_digits(1000, 2, correlation=0.9)
    pairs = list(zip(probes.classes, probes.attributes, strict=True))
    own = pairs.count(("low", "red")) + pairs.count(("high", "green"))
    assert own / 1000 == pytest.approx(0.9, abs=0.04)
    assert len(set(probes.units)) == 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((10, 0, "letters"), "letters"),
        ((10, 0, "digits", 1.5), "1.5"),
        ((9, 0), "ask for an even number from 2 to 9000 pictures"),
        ((0, 0), "count is 0"),
        ((4502, 0, "digits", 0.9), "4500"),
    ],
)
def test_bad_requests_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        probe_digits(*arguments)
