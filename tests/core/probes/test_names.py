"""Names of attributes, classes and tags as numbers."""

from __future__ import annotations

import pytest
import torch

from detour.classifier.facts import Description
from detour.probes.names import attribute_order, tag_numbers
from detour.probes.probe_set import batch_probes


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["with", "without"], ("without", "with")),
        (["hat", "no hat"], ("no hat", "hat")),
        (["glasses", "no_glasses"], ("no_glasses", "glasses")),
        (["smoker", "non-smoker"], ("non-smoker", "smoker")),
        (["1", "0"], ("0", "1")),
        (["1", "-1"], ("-1", "1")),
        (["true", "False"], ("False", "true")),
        (["10", "9", "2"], ("2", "9", "10")),
        (["red", "green"], ("green", "red")),
        (["nothing special", "absent"], ("absent", "nothing special")),
        (["a", "none", "b"], ("none", "a", "b")),
        ([*"abcdefghij", *"ABCDEFGHIJ"], tuple("AaBbCcDdEeFfGgHhIiJj")),
    ],
)
def test_absent_comes_first(names, order):
    assert attribute_order(names) == attribute_order(reversed(names)) == order


TAGGER = Description(("safe", "nsfw", "hat"), activation="sigmoid", threshold=0.3)
ONE = Description(("class 0",), activation="sigmoid")


@pytest.mark.parametrize(
    ("names", "description", "tag", "wanted"),
    [
        (["NSFW", "portrait", "landscape"], TAGGER, "", (1, [1, 0, 0])),
        (["hat", "other"], TAGGER, "", (2, [1, 0])),
        (["nsfw", "safe"], TAGGER, "nsfw", (1, [1, 0])),
        (["nsfw", "safe"], TAGGER, "safe", (0, [0, 1])),
        (["1", "0", "1"], TAGGER, "hat", (2, [1, 0, 1])),
        (["no hat", "cap"], TAGGER, "hat", (2, [0, 1])),
        (["yes", "no"], ONE, "", (0, [1, 0])),
    ],
)
def test_tags(names, description, tag, wanted):
    assert tag_numbers(names, description, tag) == wanted


@pytest.mark.parametrize(
    ("names", "description", "tag", "message"),
    [
        (["nsfw", "safe"], TAGGER, "", "Several classes.*nsfw, safe.*target class, or call"),
        (["a", "b"], TAGGER, "", "one of safe, nsfw, hat"),
        (["a", "b"], TAGGER, "hat", "is 'hat'"),
        (["a", "b"], ONE, "", "is 'class 0'"),
        (["nsfw"], TAGGER, "cap", "no class 'cap'"),
    ],
)
def test_open_tags_are_refused(names, description, tag, message):
    with pytest.raises(ValueError, match=message):
        tag_numbers(names, description, tag)


def test_probes_of_a_tagger(make_classifier):
    tagger = make_classifier(("safe", "nsfw"), activation="sigmoid", threshold=0.3)
    images = torch.zeros(2, 4, 4, 3)
    chained = batch_probes(images, "nsfw", "x", 0).chain(batch_probes(images, "cat", "y", 0))
    probes = chained.probes(tagger, tagger.features)
    assert (probes.tag, probes.threshold, probes.n_classes) == (1, 0.3, 2)
    assert probes.y.tolist() == [1, 1, 0, 0]
    assert probes.group_name(2) == "nsfw, x"
    assert probes.group_name(1) == "no nsfw, y"


def test_a_tagger_with_several_tags_needs_a_name_where_the_probes_have_no_classes(make_classifier):
    tagger = make_classifier(("hat", "nsfw"), activation="sigmoid")
    probe_set = batch_probes(torch.rand(4, 8, 8, 3), "", "hat", 0)
    with pytest.raises(ValueError, match="has 2 tags and the probes have no classes"):
        probe_set.probes(tagger, tagger.features)
    assert probe_set.probes(tagger, tagger.features, tag="nsfw").tag == 1


def test_accents_written_in_two_signs_are_the_same_name(make_classifier):
    folder, typed = "Cafe\u0301", "Caf\u00e9"
    classifier = make_classifier((typed, "other"))
    probe_set = batch_probes(torch.rand(4, 8, 8, 3), folder, "hat", 0)
    assert set(probe_set.classes) == {typed}
    assert probe_set.probes(classifier, classifier.features).y.tolist() == [0] * 4
    assert classifier.description.index_of(folder) == 0
