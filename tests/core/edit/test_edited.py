"""A classifier with its edits computes where its host says, and only when it has to."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from detour.edit.edited import EditedClassifier, unedited_stack
from detour.edit.record import Change, edit_of
from detour.probes.parts import FIT_SEED
from detour.probes.probe_set import batch_probes


class Noting:
    """A host that notes what it is asked for; `stop_at` pictures the user has enough."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.said: list = []
        self.stop_at = stop_at

    @contextmanager
    def ready(self, classifier):
        self.said.append("ready")
        try:
            yield
        finally:
            self.said.append("done")

    def counted(self, what, total):
        def show(done, _):
            if done == self.stop_at:
                raise KeyError("stopped")
            self.said.append((what, done, total))

        return show


def hosted(classifier, host=None) -> EditedClassifier:
    return EditedClassifier(classifier, unedited_stack(classifier), host or Noting())


def edited(held: EditedClassifier) -> EditedClassifier:
    return held.with_stack(held.stack.push(edit_of(Change(0, ((0, 5.0),)), held.unedited_head)))


def test_a_batch_and_pictures_one_by_one_give_the_same_logits(classifier):
    batch = torch.rand(5, 6, 7, 3)
    for held in (hosted(classifier), edited(hosted(classifier))):
        logits = held.logits(batch)
        assert torch.equal(logits, held.edited().logits(batch))
        assert torch.equal(held.logits(list(batch)), logits)
        assert held.runtime.said[:2] == ["ready", ("Classifying", 5, 5)]
        assert held.runtime.said.count("ready") == held.runtime.said.count("done")


def test_the_backbone_is_made_ready_only_for_pictures_that_it_has_not_seen(classifier, four_groups):
    first = hosted(classifier)
    seen = first.probes(four_groups)
    assert "ready" in first.runtime.said and torch.equal(seen.weight, classifier.weight)
    again = replace(edited(first), runtime=Noting())
    assert torch.equal(again.probes(four_groups).features, seen.features)
    assert torch.equal(again.probes(again.kept(four_groups)).features, seen.features)
    assert again.runtime.said == []


def test_a_stop_lets_go_of_the_backbone(classifier, four_groups):
    for act in (
        lambda one: one.probes(four_groups),
        lambda one: one.logits(torch.rand(8, 4, 4, 3)),
    ):
        held = hosted(classifier, Noting(stop_at=8))
        with pytest.raises(KeyError, match="stopped"):
            act(held)
        assert [one for one in held.runtime.said if isinstance(one, str)] == ["ready", "done"]
        assert four_groups._computed == {}


def test_the_backbone_is_hashed_once(classifier, four_groups, monkeypatch):
    held = hosted(classifier)
    first = held.backbone_hash()
    assert first == classifier.backbone_hash()
    monkeypatch.setattr(type(classifier), "backbone_hash", lambda _: pytest.fail("hashed again"))
    assert edited(held).backbone_hash() == first
    assert held.probes(four_groups).backbone == first


def test_what_a_head_learned_from_is_remembered(classifier, four_groups):
    held = hosted(classifier)
    assert not held.learned_from(four_groups, FIT_SEED, whole=True)
    fitted = held.with_classifier(classifier, four_groups)
    assert fitted.learned_from(four_groups, FIT_SEED, whole=True)
    assert fitted.learned_from(four_groups, FIT_SEED + 1, whole=False)
    assert not fitted.learned_from(four_groups, FIT_SEED, whole=False)
    # With others beside them they are split otherwise.
    more = four_groups.chain(batch_probes(torch.rand(4, 4, 4, 3), "red", "green", 90))
    assert fitted.learned_from(more, FIT_SEED, whole=False)
    assert edited(fitted).fitted_on is four_groups
