"""Classifiers in the real host: its memory management, its cancel, independent branches."""

from __future__ import annotations

import json

import pytest
import torch

OWN = "nurse_or_builder.safetensors"

pytestmark = pytest.mark.usefixtures("host_folders")


@pytest.fixture
def classifier(lab):
    """The small classifier that looks at the hair."""
    return lab.run_node("DetourLoadClassifier", file=OWN)[0]


@pytest.fixture
def people(lab):
    """(probes, images) of 200 people, each with both kinds of hair."""
    return lab.run_node("DetourDemoFaces", count=200)[:2]


def edit(lab, classifier, amount: float = 5.0):
    """The classifier with one weight changed, by hand."""
    record = lab.pack("detour.edit.record")
    change = record.Change(1, ((7, amount),))
    made = record.edit_of(change, classifier.unedited_head)
    return classifier.with_stack(classifier.stack.push(made))


def test_loaded_under_the_hosts_management(lab, classifier, people):
    management = lab.comfy.model_management
    management.unload_all_models()
    before = management.loaded_models()
    logits = classifier.logits(people[1])
    assert classifier.runtime.patcher not in before
    assert classifier.runtime.patcher in management.loaded_models()
    assert logits.dtype == torch.float32 and logits.device.type == "cpu"
    assert torch.equal(logits, classifier.unedited.logits(people[1]))
    management.unload_all_models()
    assert classifier.runtime.patcher not in management.loaded_models()
    assert torch.equal(classifier.logits(people[1]), logits)


def test_the_whole_network_is_loaded_and_room_is_asked_for(lab, classifier, people, monkeypatch):
    asked = []
    load = lab.comfy.model_management.load_models_gpu
    monkeypatch.setattr(
        lab.comfy.model_management,
        "load_models_gpu",
        lambda models, **more: asked.append(more) or load(models, **more),
    )
    classifier.logits(people[1])
    ((more,),) = [asked]
    assert more["force_full_load"] is True
    assert 16 * 16 * 32 * 4 < more["memory_required"] < 2**30


def test_branches_of_a_graph_are_independent(lab, classifier, people):
    before = {name: v.clone() for name, v in classifier.unedited.state_dict().items()}
    plain = classifier.logits(people[1])
    edited = edit(lab, classifier)
    changed = edited.logits(people[1])
    assert not torch.equal(changed[:, 1], plain[:, 1])
    assert torch.equal(changed[:, 0], plain[:, 0])
    assert edited.runtime.patcher is classifier.runtime.patcher
    assert torch.equal(classifier.logits(people[1]), plain)
    after = classifier.unedited.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(edited.probes(people[0]).weight, classifier.unedited.weight)


def test_cancel_stops_and_leaves_the_next_run_alone(lab, classifier, people):
    management = lab.comfy.model_management
    wanted = classifier.logits(people[1])
    for work in (
        lambda: classifier.logits(people[1]),
        lambda: classifier.probes(people[0]),
        lambda: lab.run_node("DetourClassifierFromProbes", probes=people[0], classifier=classifier),
    ):
        management.interrupt_current_processing(True)
        with pytest.raises(management.InterruptProcessingException):
            work()
    assert torch.equal(classifier.logits(people[1]), wanted)


def test_probes_compute_their_features_once(lab, classifier, people, monkeypatch):
    first = classifier.probes(people[0])
    backbone = classifier.unedited.backbone
    monkeypatch.setattr(backbone, "forward", lambda _: pytest.fail("computed again"))
    assert torch.equal(classifier.probes(people[0]).features, first.features)
    assert torch.equal(edit(lab, classifier).probes(people[0]).features, first.features)


def test_classify(lab, classifier, people):
    images = people[1][:40]
    labels, scores, kept, report, _ = lab.run_node(
        "DetourClassify", classifier=classifier, images=images, top_k=2, keep_label="builder"
    )
    wanted = classifier.logits(images).argmax(dim=1)
    assert labels.split("\n") == [classifier.labels[i] for i in wanted.tolist()]
    assert torch.equal(kept, images[wanted == 1])
    numbers = json.loads(scores)
    assert len(numbers) == 40 and len(numbers[0]["top"]) == 2
    assert sum(one["score"] for one in numbers[0]["top"]) == pytest.approx(1)
    assert f"{len(kept)} of 40 pictures kept" in report
    assert f"{len(kept)} builder" in report.split("\n")[1]


def test_edits_count_when_pictures_are_classified(lab, classifier, people):
    everything = edit(lab, classifier, 1e6)
    labels = lab.run_node("DetourClassify", classifier=everything, images=people[1])[0]
    assert labels != lab.run_node("DetourClassify", classifier=classifier, images=people[1])[0]


def test_threshold_keeps_sure_pictures_only_and_none_blocks_what_follows(lab, classifier, people):
    from comfy_execution.graph import ExecutionBlocker

    def kept(threshold):
        inputs = {"classifier": classifier, "images": people[1], "threshold": threshold}
        return lab.run_node("DetourClassify", **inputs)[2]

    sure = classifier.unedited.scores(classifier.logits(people[1])).amax(dim=1) >= 0.99
    assert 0 < sure.sum() < len(sure)
    assert torch.equal(kept(0.99), people[1][sure])
    assert isinstance(kept(1.0), ExecutionBlocker)


def test_tagger(lab, people):
    tagger = lab.run_node(
        "DetourLoadClassifier", file=OWN, activation="sigmoid", threshold=0.9, labels="a\nb"
    )[0]
    scores = tagger.logits(people[1]).sigmoid()
    labels = lab.run_node("DetourClassify", classifier=tagger, images=people[1])[0].split("\n")
    for line, score in zip(labels, scores, strict=True):
        tags = [name for name, one in zip("ab", score, strict=True) if one > 0.9]
        assert line == (", ".join(tags) or "(none)")


def test_bad_values_are_refused(lab, classifier, people):
    def classify(**inputs):
        return lab.run_node(
            "DetourClassify", **{"classifier": classifier, "images": people[1][:3], **inputs}
        )

    broken = people[1][:3].clone()
    broken[1, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"Picture 2 of 3 holds NaN"):
        classify(images=broken)
    with pytest.raises(ValueError, match=r"threshold is nan"):
        classify(threshold=float("nan"))
    with pytest.raises(ValueError, match=r"no class 'medium' among the 2"):
        classify(keep_label="medium")
    with pytest.raises(ValueError, match=r"reach from 0 to 255"):
        classify(images=torch.full((1, 4, 4, 3), 255.0) * torch.eye(4)[None, ..., None])


def test_probes_from_images_chain_and_keep_features(lab, classifier, people):
    images = people[1]

    def group(rows, name, attribute, probes=None, **more):
        return lab.run_node(
            "DetourProbeImages",
            images=images[rows],
            class_name=name,
            attribute=attribute,
            unit_start=7,
            probes=probes,
            **more,
        )[0]

    plain = group(slice(5, 9), "builder", "with", group(slice(0, 4), "nurse", "without"))
    keeping = group(
        slice(5, 9),
        "builder",
        "with",
        group(slice(0, 4), "nurse", "without", classifier=classifier),
        classifier=classifier,
    )
    assert plain.units == keeping.units == ("7", "8", "9", "10") * 2
    one, other = classifier.probes(plain), classifier.probes(keeping)
    assert torch.equal(one.features, other.features)
    assert one.y.tolist() == other.y.tolist() == [0] * 4 + [1] * 4
    assert not any(isinstance(source, torch.Tensor) for source in keeping.sources)
    another = lab.run_node("DetourLoadClassifier", file="jobs.safetensors")[0]
    with pytest.raises(ValueError, match=r"features of another network"):
        another.probes(keeping)


def test_a_classifier_from_probes(lab, classifier, people):
    fitted, report, numbers = lab.run_node(
        "DetourClassifierFromProbes", probes=people[0], classifier=classifier
    )
    assert fitted.labels == ("nurse", "builder")
    assert "Held-out accuracy" in report and "95 % interval" in report
    judged = json.loads(numbers)
    assert judged["fitted"] + judged["held_out"] == 200
    assert judged["held_out"] == pytest.approx(50, abs=4)
    assert fitted.runtime is classifier.runtime
    assert fitted.stack.edits == ()
    assert fitted.stack.sha256 != classifier.stack.sha256
    # Nothing of the old head or its edits goes in.
    again = lab.run_node(
        "DetourClassifierFromProbes", probes=people[0], classifier=edit(lab, classifier)
    )[0]
    assert torch.equal(again.unedited.weight, fitted.unedited.weight)
    with pytest.raises(ValueError, match=r"connect a CLIP vision model, or a classifier"):
        lab.run_node("DetourClassifierFromProbes", probes=people[0])


def test_demo_people(lab):
    probes, images, report, chart = lab.run_node("DetourDemoFaces", count=40, classes="jobs")
    assert images.shape == (40, 16, 16, 3) and chart.ndim == 4
    assert len(probes.counts()) == 8 and len(set(probes.units)) == 20
    assert "40 probe pictures in 8 groups" in report
    assert torch.equal(torch.stack(list(probes.sources)), images)
    with pytest.raises(ValueError, match=r"classes is 'letters'"):
        lab.run_node("DetourDemoFaces", classes="letters")
    with pytest.raises(ValueError, match=r"count is 41"):
        lab.run_node("DetourDemoFaces", count=41)


def test_reports_are_shown_on_the_nodes(lab, classifier, people):
    for node_id, inputs in {
        "DetourLoadClassifier": {"file": OWN, "labels": ""},
        "DetourClassify": {"classifier": classifier, "images": people[1][:2]},
        "DetourProbeImages": {"images": people[1], "class_name": "a", "attribute": "b"},
        "DetourClassifierFromProbes": {"probes": people[0], "classifier": classifier},
    }.items():
        ready = lab.prepared(lab.node(node_id), prompt=None, extra_pnginfo=None)
        output = ready.execute(**inputs)
        (text,) = output.ui["detour_report"]
        assert text in output.result


def sheet(lab, images, **inputs):
    """The contact sheet, called as the host does."""
    return lab.node("DetourContactSheet").execute(images=images, **inputs).result[0]


def test_contact_sheet_outlines_pictures_whose_label_changed(lab, classifier, people):
    said = classifier.logits(people[1]).argmax(dim=1)
    nurses, builders = (people[1][said == c][:2] for c in (0, 1))
    orange = torch.tensor([214, 88, 32]) / 255

    def outlined(picture):
        return int((picture[0] - orange).abs().amax(dim=-1).lt(1e-3).sum())

    columns = [nurses, torch.stack([nurses[0], builders[0]])]
    marked = outlined(sheet(lab, columns, classifier=[classifier]))
    assert marked > 100
    twice = outlined(sheet(lab, [nurses, builders], classifier=[classifier]))
    assert twice == pytest.approx(2 * marked, rel=0.05)
    assert outlined(sheet(lab, [nurses, nurses], classifier=[classifier])) == 0
    assert torch.equal(sheet(lab, columns), sheet(lab, columns, classifier=[None]))
    assert outlined(sheet(lab, columns)) == 0
    single = sheet(lab, [people[1][:8]], classifier=[classifier])
    assert torch.equal(single, sheet(lab, [people[1][:8]]))
