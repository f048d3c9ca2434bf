"""Pictures get their labels: by numbers, by what is in them, with a classifier beside them."""

from __future__ import annotations

import pytest
import torch

OWN = "nurse_or_builder.safetensors"

pytestmark = pytest.mark.usefixtures("host_folders")


@pytest.fixture(scope="module")
def people(lab):
    """40 portraits."""
    return lab.run_node("DetourDemoFaces", count=40)[1]


@pytest.fixture
def label(lab):
    """The node, called as the host calls it: every input is a list."""

    def run(*images, labels="right, wrong", marks="", unmarked="left_out", **more):
        ready = lab.prepared(lab.node("DetourLabelPictures"), prompt=None, extra_pnginfo=None)
        given = {"labels": labels, "marks": marks, "unmarked": unmarked, **more}
        return ready.execute(images=list(images), **{name: [one] for name, one in given.items()})

    return run


def test_numbers_and_clicks_make_probes(label, people):
    facts = label(people).ui["detour_labels"][0]
    clicked = facts["marks"][30]
    done = label(people, marks=f"wrong: 3, 7-9, {clicked}; right: 1")
    probes, report = done.result[:2]
    assert torch.equal(torch.stack(probes.sources), people[[0, 2, 6, 7, 8, 30]])
    assert probes.attributes == ("right", *["wrong"] * 5)
    assert probes.attribute_names == ("right", "wrong") and probes.class_names == ()
    assert report.startswith("40 pictures: 1 right, 5 wrong.\n34 without a label are left out.")
    all_of_them = label(people, marks="wrong: 3", unmarked="first_label").result[0]
    assert all_of_them.attributes.count("right") == 39 and all_of_them.attributes[2] == "wrong"


def test_a_click_follows_its_picture_and_no_other_seed_inherits_it(lab, label, people):
    marks = f"wrong: {label(people).ui['detour_labels'][0]['marks'][3]}"
    moved = label(people.flip(0), marks=marks).result[0]
    assert torch.equal(moved.sources[0], people[3]) and len(moved) == 1
    others = lab.run_node("DetourDemoFaces", count=40, faces_seed=5)[1]
    done = label(others, marks=marks, unmarked="first_label")
    assert type(done.result[0]).__name__ == "ExecutionBlocker"
    assert "The pictures have changed: 1 click on others" in done.result[1]
    assert "No picture has a label yet" in done.result[1]


def test_a_classifier_says_something_below_each_and_sorts(lab, label, people):
    classifier = lab.run_node("DetourLoadClassifier", file=OWN)[0]
    other = torch.rand(2, 24, 30, 3)  # a list of pictures of other sizes
    facts = label(people, other, classifier=classifier).ui["detour_labels"][0]
    scores = torch.softmax(
        torch.cat([classifier.logits(people), classifier.logits(other)]).double(), dim=1
    )
    sure, best = scores.max(dim=1)
    names = [classifier.labels[i] for i in best.tolist()]
    assert facts["order"] == sorted(range(42), key=lambda i: (names[i], float(sure[i].float())))
    assert facts["said"][5] == f"{names[5]} {float(sure[5]):.0%}"


def test_the_kept_probes_before_come_first(label, people):
    first = label(people[:4], labels="nurse/right, nurse/wrong", marks="nurse/right: 1-4").result[0]
    both = label(
        people[4:],
        labels="builder/right\nbuilder/wrong",
        marks="builder/wrong: 1",
        probes=first,
    ).result[0]
    assert both.classes == (*["nurse"] * 4, "builder")
    assert both.attributes == (*["right"] * 4, "wrong")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"marks": "maybe: 1"}, "the label 'maybe'"),
        ({"marks": "wrong: 41"}, "'41' behind 'wrong', and there are 40 pictures"),
        ({"labels": ""}, "There are no labels"),
        ({"unmarked": "guess"}, "unmarked is 'guess'"),
        ({"labels": "a/right, wrong", "marks": "a/right: 1; wrong: 2"}, "have no class"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(label, people, more, told):
    with pytest.raises(ValueError, match=told):
        label(people, **more)


def test_pictures_that_are_none_are_refused(label, people):
    with pytest.raises(ValueError, match="There are no pictures to label"):
        label(people[:0])
    broken = people.clone()
    broken[6, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="Picture 9 of 42 holds NaN"):
        label(people[:2], broken)


def test_classify_names_the_pictures_whose_label_changed(lab, people):
    classifier = lab.run_node("DetourLoadClassifier", file=OWN)[0]
    record = lab.pack("detour.edit.record")
    edit = record.edit_of(record.Change(1, shift=2.0), classifier.unedited_head)
    edited = classifier.with_stack(classifier.stack.push(edit))
    was, now = (one.logits(people).argmax(dim=1) for one in (classifier, edited))
    changed = (was != now).nonzero().flatten().tolist()
    assert 0 < len(changed) < 40
    ready = lab.prepared(lab.node("DetourClassify"), prompt=None, extra_pnginfo=None)
    done = ready.execute(classifier=edited, images=people, before=classifier)
    first, second = done.result[3].splitlines()[:2]
    assert first == f"{len(changed)} of 40 pictures changed their label"
    assert second.startswith(f"  nurse -> builder: {len(changed)} (pictures {changed[0] + 1}")
    assert done.ui["detour_chart"] and done.result[4].shape[0] == 1
    jobs = lab.run_node("DetourLoadClassifier", file="jobs.safetensors")[0]
    with pytest.raises(ValueError, match="has 2 labels and the one before has 4"):
        ready.execute(classifier=edited, images=people, before=jobs)
