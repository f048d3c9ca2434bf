"""The demo's classifiers load without questions and are what they are said to be; their probes."""

from __future__ import annotations

import pytest
import torch

from demo.probe_faces import CLASSES, USUALLY_LONG, probe_faces
from demo.train_classifiers import FILES, FOLDER, group_accuracies
from detour.classifier.load import load_classifier


@pytest.mark.parametrize("classes", FILES)
def test_they_load_without_questions(classes):
    path = FOLDER / FILES[classes]
    classifier = load_classifier(path)
    assert path.stat().st_size <= 2**20
    assert classifier.labels == CLASSES[classes]
    assert classifier.description.architecture == "detour:small_cnn"
    assert classifier.logits(torch.rand(2, 40, 40, 3)).shape == (2, len(CLASSES[classes]))


def test_hair_misleads_the_one_and_not_the_other():
    shortcut = group_accuracies(load_classifier(FOLDER / FILES["nurse_builder"]), "nurse_builder")
    own = [shortcut["nurse", "long hair"], shortcut["builder", "short hair"]]
    others = [shortcut["nurse", "short hair"], shortcut["builder", "long hair"]]
    assert min(own) > 0.95 and max(others) < 0.6 and min(others) < 0.1
    assert min(group_accuracies(load_classifier(FOLDER / FILES["jobs"]), "jobs").values()) > 0.98


def test_balanced_probes_show_everybody_with_both_kinds_of_hair():
    probes = probe_faces(600, 1, "jobs")
    assert probes.pictures.shape == (600, 16, 16, 3)
    assert 0 <= probes.pictures.min() and probes.pictures.max() <= 1
    assert {probes.units.count(unit) for unit in probes.units} == {2}
    assert {probes.classes.count(name) for name in CLASSES["jobs"]} == {150}
    assert probes.attributes == ("short hair", "long hair") * 300
    short, long = probes.pictures[0::2], probes.pictures[1::2]
    same = (short == long).all(-1).flatten(1).float().mean(1)
    assert same.max() < 1 and same.min() > 0.3, "the rest of the person stays"
    assert torch.equal(probes.pictures, probe_faces(600, 1, "jobs").pictures)


def test_a_correlation_ties_the_hair_to_the_job():
    probes = probe_faces(1000, 2, "jobs", correlation=0.9)
    usual = [
        (attribute == "long hair") == USUALLY_LONG[name]
        for name, attribute in zip(probes.classes, probes.attributes, strict=True)
    ]
    assert sum(usual) / 1000 == pytest.approx(0.9, abs=0.04)
    assert len(set(probes.units)) == 1000


def test_headshots_end_above_the_shoulders_and_leave_the_rest():
    whole = probe_faces(400, 3).pictures
    some = probe_faces(400, 3, headshots=0.9).pictures
    assert torch.equal(whole[:, :12], some[:, :12])
    cut = (some[:, 12:] == some[:, :1, :1]).flatten(1).all(1)
    assert cut.float().mean() == pytest.approx(0.9, abs=0.05)
    assert torch.equal(cut[0::2], cut[1::2]), "both pictures of a person"
    assert torch.equal(whole[~cut], some[~cut])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((10, 0, "letters"), "letters"),
        ((10, 0, "jobs", 1.5), "1.5"),
        ((10, 0, "jobs", 0.5, 2.0), "headshots is 2.0"),
        ((9, 0), "count is 9; ask for an even number"),
        ((0, 0), "count is 0"),
        ((0, 0, "jobs", 0.9), "ask for at least one"),
    ],
)
def test_bad_requests_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        probe_faces(*arguments)
