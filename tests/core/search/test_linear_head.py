"""The linear head: the right minimum, the right strength, honest figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from detour.classifier.load import load_classifier
from detour.classifier.save import save_classifier
from detour.judge.groups import wilson
from detour.probes.features import Probes
from detour.probes.parts import split_parts
from detour.probes.probe_set import batch_probes
from detour.report.probes import describe_head
from detour.search.linear_head import STRENGTHS, fit_linear_head, fit_logistic, unfitted


def problem(n=240, d=6, classes=2, seed=0, noise=1.0, **more) -> Probes:
    """Features of which the first tells the class, on scales that differ by orders."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    a = (torch.arange(n) // classes) % 2
    features = torch.randn(n, d, generator=generator)
    features[:, 0] += 3 * y / noise
    features = features * torch.logspace(-2, 2, d) + 5
    head = {"weight": torch.zeros(classes, d), "bias": torch.zeros(classes)}
    return Probes(features, a, y, **{**head, **more})


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_it_is_the_minimum_that_scikit_learn_finds(classes, strength):
    linear_model = pytest.importorskip("sklearn.linear_model")
    probes = problem(classes=classes)
    features = probes.features.double()
    weight, bias = fit_logistic(features, probes.y, classes, strength)
    spread = features.std(dim=0, correction=0)
    standard = (features - features.mean(dim=0)) / spread
    reference = linear_model.LogisticRegression(
        C=1 / (strength * len(probes)), tol=1e-10, max_iter=5000
    ).fit(standard.numpy(), probes.y.numpy())
    ours = (features @ weight.double().T + bias).log_softmax(dim=1)
    theirs = torch.from_numpy(reference.predict_log_proba(standard.numpy()))
    # Two classes have one row there and two here: half the square of their difference.
    if classes > 2:
        assert torch.allclose(ours, theirs, atol=1e-3)
    else:
        halved = linear_model.LogisticRegression(
            C=2 / (strength * len(probes)), tol=1e-10, max_iter=5000
        ).fit(standard.numpy(), probes.y.numpy())
        theirs = torch.from_numpy(halved.predict_log_proba(standard.numpy()))
        assert torch.allclose(ours, theirs, atol=1e-3)


def test_the_gradient_is_zero_at_the_minimum():
    probes = problem(classes=3)
    features, strength = probes.features.double(), 0.1
    weight, bias = fit_logistic(features, probes.y, 3, strength)
    spread = features.std(dim=0, correction=0)
    standard = (features - features.mean(dim=0)) / spread
    free = (weight.double() * spread).requires_grad_()
    offset = (bias.double() + weight.double() @ features.mean(dim=0)).requires_grad_()
    logits = standard @ free.T + offset
    loss = torch.nn.functional.cross_entropy(logits, probes.y) + strength / 2 * free.square().sum()
    loss.backward()
    assert free.grad.abs().max() < 1e-4
    assert offset.grad.abs().max() < 1e-4


def test_it_runs_where_the_host_has_no_gradients_and_twice_alike():
    probes = problem()
    with torch.inference_mode():
        first = fit_linear_head(replace(probes, features=probes.features.clone()))
    second = fit_linear_head(probes)
    assert torch.equal(first.weight, second.weight) and torch.equal(first.bias, second.bias)
    assert first.share[0] > 0.85
    assert first.strength in STRENGTHS
    assert first.strength == min(first.losses, key=lambda pair: pair[1])[0]


def test_pure_noise_takes_a_strong_penalty_and_is_judged_at_chance():
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(400, 60, generator=generator)
    probes = replace(problem(400, 60), features=noise, logits=None)
    head = fit_linear_head(probes)
    assert head.strength >= 1
    assert head.share[1] < 0.5 < head.share[2]


def test_a_feature_that_never_varies_is_left_out():
    probes = problem()
    features = probes.features.clone()
    features[:, 3] = 7.25
    head = fit_linear_head(replace(probes, features=features, logits=None))
    assert torch.equal(head.weight[:, 3], torch.zeros(2))
    assert torch.isfinite(head.weight).all()


def test_units_stay_together_and_the_held_out_part_is_that_of_the_edits():
    units = torch.arange(240) // 4
    probes = problem(units=units)
    parts = split_parts(probes)
    head = fit_linear_head(probes)
    assert (head.fitted, head.held_out) == (len(parts.fitting), len(parts.report))
    assert not set(units[parts.fitting].tolist()) & set(units[parts.report].tolist())
    # A label that is another one in the report part changes the figures, never the head.
    flipped = probes.y.clone()
    flipped[parts.report] = 1 - flipped[parts.report]
    other = fit_linear_head(replace(probes, classes=flipped, split=part_numbers(parts)))
    assert torch.equal(
        other.weight, fit_linear_head(replace(probes, split=part_numbers(parts))).weight
    )
    assert other.share[0] < 0.2


def part_numbers(parts) -> torch.Tensor:
    """The parts as a split."""
    split = torch.zeros(len(parts.fitting) + len(parts.report), dtype=torch.long)
    split[parts.validate], split[parts.report] = 1, 2
    return split


def test_small_groups_are_told_what_the_interval_can_tell():
    head = fit_linear_head(problem(60))
    apart, note = head.notes
    assert "fewer than 50 pictures" in note and "lies between" in note
    assert apart.startswith("Choose edits of it on other pictures")
    parts = split_parts(problem(60))
    (note,) = fit_linear_head(replace(problem(60), split=part_numbers(parts))).notes
    assert "fewer than 50 pictures" in note
    assert fit_linear_head(problem(800)).notes == ()


def test_the_interval_of_the_total_goes_by_unit():
    crops = replace(problem(800), units=[number // 10 for number in range(800)])
    head = fit_linear_head(crops)
    share, low, high = head.share
    units = head.held_out // 10
    assert (low, high) == pytest.approx(wilson(share * units, units))


def test_report_and_numbers():
    head = fit_linear_head(problem(class_names=("cat", "dog"), attribute_names=("in", "out")))
    text = describe_head(head, ("cat", "dog"))
    assert f"Fitted on {head.fitted} pictures, judged on {head.held_out} others." in text
    assert "dog, out" in text and "95 % interval" in text
    assert "it was fitted on it looks better" in text
    numbers = head.as_dict()
    assert numbers["accuracy"]["low"] < numbers["accuracy"]["share"] < numbers["accuracy"]["high"]
    assert len(numbers["cross_validation"]) == len(STRENGTHS)
    assert len(numbers["groups"]) == 4


def test_too_few_pictures_are_refused():
    with pytest.raises(ValueError, match="too few to fit on some and judge on others"):
        fit_linear_head(problem(2))


def test_progress_counts_and_can_stop():
    told = []
    fit_linear_head(problem(), progress=lambda *done: told.append(done))
    assert told == [(number, 5 * len(STRENGTHS)) for number in range(5 * len(STRENGTHS))]

    class Stop(Exception):
        pass

    def stop(_done, _all):
        raise Stop

    with pytest.raises(Stop):
        fit_linear_head(problem(), progress=stop)


def test_from_pictures_to_a_file_and_back(tmp_path, make_classifier):
    """The whole way: probes, an unfitted classifier, a head, a saved classifier."""
    from detour.classifier.facts import Description
    from detour.classifier.heads import split_head
    from detour.classifier.model import ImageClassifier
    from detour.classifier.networks import SmallCNN
    from detour.classifier.preprocess import Preprocessing

    torch.manual_seed(0)
    steps = Preprocessing((16, 16), None, mean=(0.0,) * 3, std=(1.0,) * 3)
    backbone, weight, bias = split_head(SmallCNN(3).eval(), torch.rand(1, 3, 16, 16))
    about = Description(("a", "b", "c"), "detour:small_cnn", preprocessing=steps)
    pictures = torch.rand(80, 16, 16, 3, generator=torch.Generator().manual_seed(1))
    pictures[:40, ..., 0] *= 0.3
    probes = batch_probes(pictures[:40], "dull", "x", 0).chain(
        batch_probes(pictures[40:], "bright", "x", 0)
    )
    empty = unfitted(ImageClassifier(backbone, weight, bias, about), probes.class_names)
    assert empty.labels == ("dull", "bright")
    head = fit_linear_head(probes.probes(empty, empty.features))
    fitted = empty.with_head(head.weight, head.bias)
    assert head.share[0] > 0.8
    again = load_classifier(save_classifier(tmp_path / "fitted.safetensors", fitted))
    assert again.labels == fitted.labels
    assert torch.equal(again.logits(pictures), fitted.logits(pictures))


def test_one_class_is_refused(classifier):
    with pytest.raises(ValueError, match="at least two classes, and the probes show 1"):
        unfitted(classifier, ("only",))
