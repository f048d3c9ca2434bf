"""`mistakes`: right and wrong pictures in, an edit and its proof out, or a sentence why not."""

from dataclasses import replace

import pytest
import torch

from detour.edit.apply import correct, predictions, stack_logits
from detour.edit.record import new_stack
from detour.judge.mending import mending
from detour.probes.features import Probes
from detour.probes.probe_set import ProbeSet
from detour.report.edit import edit_numbers, edit_picture, edit_text
from detour.search.mistakes import check_labels, prepared
from detour.search.neutralize import neutralize
from detour.search.settings import Search

MISTAKES = Search("mistakes")


def marked(probes, classes=True):
    """The same probes as somebody sees them who only knows what is right and what is wrong."""
    wrong = (predictions(probes, probes.z) != probes.y).long()
    names = ("right", "wrong")
    kept = probes.classes if classes else None
    return replace(probes, attributes=wrong, attribute_names=names, classes=kept)


def as_tag(probes):
    """Row 1 as a tag with a threshold that lies where the two classes met."""
    weight = torch.stack([probes.weight[0], probes.weight[1] - probes.weight[0]])
    bias = probes.bias + torch.tensor([0.0, 0.4])
    return replace(probes, weight=weight, bias=bias, logits=None, threshold=0.6, tag=1)


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("kind", ["softmax", "tag", "three"])
def test_unseen_pictures_are_mended_and_hardly_any_breaks(headed, kind, classes):
    """The shortcut is known: feature 1. Whatever the labels say, other pictures judge."""
    made = [headed(seed, n=180, d=6, c=3 if kind == "three" else 2) for seed in (0, 1)]
    made[1] = replace(made[1], weight=made[0].weight, bias=made[0].bias, logits=None)
    probes, other = map(as_tag, made) if kind == "tag" else made
    done = neutralize(marked(probes, classes), MISTAKES)
    assert done.edit.cells and done.edit.method == "mistakes"
    was, now = correct(other, other.z), correct(other, stack_logits(other, done.stack))
    least = 0.2 if kind == "three" else 0.6  # of three classes the mistakes of two rows stay
    assert (now & ~was).sum() > least * (~was).sum() and (was & ~now).sum() < 0.1 * was.sum()
    told = mending(done.after)
    assert told.mended.hits > told.broken.hits
    random = [mending(one).mended.value for one in done.mended.random]
    assert told.mended.value > sum(random) / len(random)


def test_the_classes_that_right_and_wrong_stand_for(headed):
    two, stack = headed(0), new_stack(headed(0).head)
    probes, search = prepared(marked(two, classes=False), stack, MISTAKES)
    assert torch.equal(probes.y, two.y) and search == MISTAKES
    three = headed(0, c=3)
    seen = predictions(three, three.z)
    probes, search = prepared(marked(three, classes=False), new_stack(three.head), MISTAKES)
    assert search.target_class == 2  # what the shortcut makes of the others
    keep = (seen == three.y) | (seen == 2)
    second = three.z[keep].clone()
    second[:, 2] = -torch.inf
    literal = torch.where((seen == three.y)[keep], seen[keep], second.argmax(1))
    assert torch.equal(probes.y, literal)
    assert torch.equal(torch.as_tensor(probes.features), three.features[keep])
    again = prepared(probes, new_stack(three.head), search)
    assert torch.equal(again[0].y, probes.y) and again[1] == search


def test_labels_of_an_edited_classifier_are_checked_against_it(headed):
    probes = headed(0, n=120, d=4)
    first = neutralize(marked(probes), MISTAKES)
    with pytest.raises(ValueError, match="cannot be so: picture"):
        prepared(marked(probes), first.stack, MISTAKES)


def test_what_the_last_layer_does_not_see_is_left_alone_and_said(headed):
    """Right and wrong by lot within each prediction: no read-out of the features can tell."""
    probes = headed(0, n=120, d=6)
    lot = torch.rand(120, generator=torch.Generator().manual_seed(3)) < 0.4
    by_lot = replace(probes, attributes=lot.long(), classes=None)
    done = neutralize(by_lot, MISTAKES)
    assert not done.edit.cells and not done.mended.apart.told
    assert "the fault lies deeper than the last layer" in edit_text(done)
    assert torch.equal(stack_logits(probes, done.stack), probes.z)
    assert edit_picture(done).width and edit_numbers(done)["mending"]["refused"]


def test_the_report_counts_what_is_mended_and_what_breaks(headed):
    done = neutralize(marked(headed(0, n=120, d=9)), MISTAKES)
    text, told = edit_text(done), mending(done.after)
    wrong, right = told.mended, told.broken
    assert f"Of {wrong.count} wrong pictures held back {wrong.hits} are mended" in text
    assert f"of {right.count} right ones {right.hits} broke" in text
    assert "bias only" in text and "random weight" in text and "points better" not in text
    plain = edit_numbers(done)["mending"]
    assert plain["mended"]["hits"] == wrong.hits and len(plain["random_weights"]) == 8
    assert edit_picture(done).height > 800


def test_a_lowered_guard_lets_more_break_than_there_are_wrong_ones(headed):
    """Ten wrong pictures beside 205 right ones: counted one by one, no edit that mends most of them
    would pass."""
    probes = marked(headed(1, n=300, d=6), classes=False)
    wrong = (probes.a == 1).nonzero().flatten()
    keep = torch.cat([(probes.a == 0).nonzero().flatten(), wrong[:10]])
    few = replace(
        probes, features=probes.features[keep], attributes=probes.attributes[keep], logits=None
    )
    asked = replace(MISTAKES, size="one_weight_bias")
    done = neutralize(few, asked)
    assert not done.edit.cells
    assert done.mended.refused.endswith("or lower the share of right ones to keep.")
    asked = replace(asked, keep_right=0.8)
    done = neutralize(few, asked)
    told = mending(done.after)
    assert told.mended.value > 0.5 and told.broken.hits > told.mended.hits
    assert told.kept.value > 0.8
    assert "at least 80 % of the right pictures stay right" in edit_text(done)
    assert edit_numbers(done)["mending"]["keep"] == 0.8


def labelled(*labels, **more):
    return ProbeSet(tuple(torch.rand(len(labels), 2, 2, 3)), labels, **more)


@pytest.mark.parametrize(
    ("probe_set", "said"),
    [
        (labelled(*["right"] * 9), "All pictures are labelled 'right'"),
        (labelled(*["wrong"] * 9), "All pictures are labelled 'wrong'"),
        (labelled(*["right"] * 2, *["wrong"] * 3), "There are 2 right and 3 wrong"),
        (labelled(*["right"] * 9, *["hat"] * 9), "are called hat"),
        (
            labelled(*["right"] * 9, *["wrong"] * 9, units=("one photo",) * 9 + ("",) * 9),
            "There are 1 right and 9 wrong",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_refused(probe_set, said):
    with pytest.raises(ValueError, match=said):
        check_labels(probe_set)


def small(attributes, classes=None, features=None, **more):
    n = len(attributes)
    features = torch.linspace(-1, 1, n)[:, None] if features is None else features
    return Probes(
        features, attributes, classes, torch.tensor([[0.0], [1.0]]), torch.zeros(2), **more
    )


ALTERNATING = [0, 1] * 10
SIDES = [0] * 10 + [1] * 10  # what the small head predicts


@pytest.mark.parametrize(
    ("probes", "said"),
    [
        (small([0] * 20), "All pictures are labelled 'right'"),
        (small(ALTERNATING, features=torch.ones(20, 1)), "are the same to this classifier"),
        (small(ALTERNATING, SIDES), "10 pictures labelled 'wrong' cannot be so: picture 2 "),
        (small([0] * 10 + [1] * 10), "No right picture is called 'class 1'"),
    ],
    ids=["all right", "both labels", "no mistake", "one class"],
)
def test_what_contradicts_itself_is_refused(probes, said):
    with pytest.raises(ValueError, match=said):
        neutralize(probes, MISTAKES)


def test_more_weights_and_few_mistakes_of_each_class_are_refused(headed):
    with pytest.raises(ValueError, match="knows auto, one_weight and one_weight_bias only"):
        Search("mistakes", size="k_weights_bias")
    probes = marked(headed(0, n=36, d=6, c=3), classes=False)
    with pytest.raises(ValueError, match="called 'class 1': at least 6"):
        neutralize(probes, replace(MISTAKES, target_class=1))
