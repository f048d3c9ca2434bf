"""The nodes that edit a classifier, on the real host: exact, independent, nothing written to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

LOADED = {
    "file": "nurse_or_builder.safetensors",
    "architecture": "auto",
    "labels": "low, high",
    "activation": "auto",
    "threshold": 0.0,
}
METHODS = ("worst_group", "evidence", "paired")


def test_the_worst_group_rises_and_everything_is_reported(bench, host_folders):
    classifier = bench.classifier()
    before = bench.head(classifier)
    done = bench.neutralize(classifier, edit="auto", max_weights=3)
    edited, stack, report, chart, numbers = done.result
    found = json.loads(numbers)
    assert found["after"]["worst_group_accuracy"] > found["before"]["worst_group_accuracy"] + 0.2
    assert edited.stack is stack
    assert [r["name"] for r in found["ladder"]["rungs"]][:2] == ["unedited", "bias_only"]
    assert "high, mark" in report and "did not choose the edit" in report
    assert chart.ndim == 4 and chart.shape[2] == 960
    assert done.ui["detour_report"] == [report]
    (shown,) = done.ui["detour_chart"]
    assert set(shown) == {"filename", "subfolder", "type"} and shown["type"] == "temp"
    assert (host_folders / "temp" / shown["subfolder"] / shown["filename"]).is_file()
    assert bench.head(classifier) == before and not classifier.stack.edits


@pytest.mark.parametrize("method", METHODS)
def test_degree_0_is_bit_identical_and_every_method_has_a_ladder(bench, method):
    classifier = bench.classifier()
    probes = bench.probes(paired=method == "paired")
    done = bench.neutralize(classifier, method=method, probes=probes, degree=0.0).result
    pictures = bench.pictures()[0]
    assert done[1].edits[-1].cells and done[1].edits[-1].degree == 0
    assert torch.equal(done[0].logits(pictures), classifier.logits(pictures))
    assert json.loads(done[4])["ladder"]["rungs"]
    full = bench.neutralize(classifier, method=method, probes=probes).result
    assert not torch.equal(full[0].logits(pictures), classifier.logits(pictures))


def test_a_search_computes_on_the_hosts_device(bench):
    runtime = bench.classifier().runtime
    with runtime.searching(2**20) as device:
        assert device == runtime.patcher.load_device


def test_two_branches_are_independent(bench):
    classifier = bench.classifier()
    pictures, before = bench.pictures()[0], bench.head(classifier)
    plain = classifier.logits(pictures)
    one = bench.neutralize(classifier).result[0]
    alone = one.logits(pictures)
    other = bench.neutralize(classifier, method="evidence", degree=0.5).result[0]
    assert not torch.equal(alone, other.logits(pictures))
    assert torch.equal(one.logits(pictures), alone)
    assert torch.equal(classifier.logits(pictures), plain)
    assert bench.head(classifier) == bench.head(one) == before


def test_edits_stack_and_undo_exactly(bench):
    classifier = bench.classifier(classes=3)
    probes, pictures = bench.probes(classes=3), bench.pictures(classes=3)[0]
    first = bench.neutralize(classifier, probes=probes, target_class="digit 2").result[0]
    second = bench.run("RemoveClass", classifier=first, probes=probes, class_name="0").result[0]
    assert len(second.stack.edits) == 2
    back = second.with_stack(second.stack.undo())
    assert torch.equal(back.logits(pictures), first.logits(pictures))
    empty = back.with_stack(back.stack.undo())
    assert torch.equal(empty.logits(pictures), classifier.logits(pictures))


def test_degree_of_evidence_multiplies_what_was_found(bench):
    classifier = bench.classifier()
    found = bench.neutralize(classifier, method="evidence").result[1].edits[-1]
    half = bench.neutralize(classifier, method="evidence", degree=0.5).result[1].edits[-1]
    assert half.cells == found.cells and half.degree == 0.5 * found.degree
    by_hand = bench.neutralize(classifier, method="evidence", auto_degree=False)
    assert by_hand.result[1].edits[-1].degree == 1


def test_paired_needs_no_classes(bench):
    classifier = bench.classifier()
    probes = bench.probes(named=False, paired=True)
    done = bench.neutralize(
        classifier, probes=probes, method="paired", edit="one_weight", target_class="high"
    )
    numbers = json.loads(done.result[4])
    assert abs(numbers["gap"]["after"]) < 0.1 * abs(numbers["gap"]["before"])
    assert numbers["after"] is None
    assert "'mark' moves the score" in done.result[2]
    other = bench.neutralize(
        classifier, probes=probes, method="paired", edit="one_weight", attribute="no mark"
    )
    assert "'no mark' moves the score" in other.result[2]


@pytest.mark.parametrize("edit", ["one_weight", "one_weight_bias", "bias_only"])
def test_a_class_is_removed(bench, edit):
    classifier, probes = bench.classifier(classes=4), bench.probes(classes=4)
    done = bench.run(
        "RemoveClass", classifier=classifier, probes=probes, class_name="digit 3", edit=edit
    )
    edited, stack, report, _, numbers = done.result
    found = json.loads(numbers)
    assert found["choose"]["before"] > found["choose"]["after"]
    assert "no privacy unlearning" in report
    assert {cell.row for cell in stack.edits[-1].cells} == {3}
    pictures = bench.pictures(classes=4)[0]
    rate = (edited.logits(pictures).argmax(dim=1) == 3).float().mean()
    assert rate < (classifier.logits(pictures).argmax(dim=1) == 3).float().mean()


def test_groups_are_evaluated_beside_the_unedited_head(bench):
    classifier, probes = bench.classifier(), bench.probes()
    edited = bench.neutralize(classifier).result[0]
    report, _, worst, numbers = bench.run(
        "EvaluateGroups", classifier=edited, probes=probes, part="report"
    ).result
    found = json.loads(numbers)
    assert worst == found["after"]["worst_group_accuracy"]
    assert "->" in report
    assert found["gain"]["verdict"] == "improved" and found["unseen"]
    assert "The worst group is" in report and "only if these probes" not in report
    whole = bench.run("EvaluateGroups", classifier=edited, probes=probes, part="all").result
    assert "That holds only if these probes had no say in the edit." in whole[0]
    assert not json.loads(whole[3])["unseen"]
    plain = bench.run("EvaluateGroups", classifier=classifier, probes=probes, part="report")
    assert plain.result[2] == found["before"]["worst_group_accuracy"] < worst
    beside = bench.run(
        "EvaluateGroups", classifier=classifier, probes=probes, part="report", before=edited
    )
    assert json.loads(beside.result[3])["before"] == found["after"]


BAD = {
    "degree_nan": ({"degree": float("nan")}, "degree is nan"),
    "degree_large": ({"degree": 4.5}, "degree is 4.5"),
    "method": ({"method": "magic"}, "method is 'magic'"),
    "edit": ({"edit": "two"}, "edit is 'two'"),
    "max_weights": ({"max_weights": 0}, "max_weights is 0"),
    "target": ({"target_class": "cat"}, "There is no class 'cat'"),
    "attribute": ({"attribute": "hat"}, "attribute is 'hat'"),
    "k_weights": ({"method": "evidence", "edit": "k_weights_bias"}, "knows auto, one_weight"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(bench, host_folders, case):
    inputs, message = BAD[case]
    with pytest.raises(ValueError, match=message) as refusal:
        bench.neutralize(bench.classifier(), **inputs)
    assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")
    assert not list((host_folders / "temp").iterdir())


def test_other_nodes_refuse_in_one_sentence(bench):
    classifier, probes = bench.classifier(), bench.probes()
    same = {"classifier": classifier, "probes": probes}
    with pytest.raises(ValueError, match="No class to remove was chosen"):
        bench.run("RemoveClass", **same, class_name=" ")
    with pytest.raises(ValueError, match="edit is 'k_weights_bias'"):
        bench.run("RemoveClass", **same, edit="k_weights_bias")
    with pytest.raises(ValueError, match="degree is nan"):
        bench.run("RemoveClass", **same, degree=float("nan"))
    with pytest.raises(ValueError, match="part is 'some'"):
        bench.run("EvaluateGroups", **same, part="some")
    with pytest.raises(ValueError, match="no bias"):
        biasless = bench.classifier(bias=False)
        bench.run(
            "RemoveClass", classifier=biasless, probes=probes, class_name="high", edit="bias_only"
        )


def test_cancel_leaves_nothing_behind(bench, host_folders, lab):
    classifier = bench.classifier()
    before = bench.head(classifier)
    management = lab.comfy.model_management
    management.interrupt_current_processing(True)
    try:
        with pytest.raises(management.InterruptProcessingException):
            bench.neutralize(classifier)
    finally:
        management.interrupt_current_processing(False)
    assert bench.head(classifier) == before and not classifier.stack.edits
    assert not list((host_folders / "temp").iterdir())
    assert bench.neutralize(classifier).result[1].edits


def test_cancel_in_the_middle_of_the_search(bench, lab, monkeypatch):
    management = lab.comfy.model_management
    classifier, probes = bench.classifier(), bench.probes()
    classifier.probes(probes)  # the features are there, what is left is the search
    seen = []
    check = management.throw_exception_if_processing_interrupted

    def later() -> None:
        seen.append(True)
        if len(seen) == 3:
            management.interrupt_current_processing(True)
        check()

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", later)
    with pytest.raises(management.InterruptProcessingException):
        bench.neutralize(classifier, probes=probes)
    assert len(seen) == 3 and not classifier.stack.edits


def test_probes_of_other_classes_help_to_remove_one(bench):
    classifier, probes = bench.classifier(classes=4), bench.probes(classes=4)
    renamed = tuple("zebra" if name == "digit 1" else name for name in probes.classes)
    others = replace(probes, classes=renamed)
    done = bench.run("RemoveClass", classifier=classifier, probes=others, class_name="digit 3")
    found = json.loads(done.result[4])
    assert found["choose"]["before"] > found["choose"]["after"]
    assert [one["name"] for one in found["classes"]] == ["digit 0", "digit 2", "digit 3"]
    assert any("180 of 720 probes are of classes" in note for note in found["notes"])
    with pytest.raises(ValueError, match="There is no class 'zebra'"):
        bench.run("EvaluateGroups", classifier=classifier, probes=others)


def test_a_tagger_is_evaluated_for_the_tag_that_is_named(bench):
    """Both classes of the probes are tags of it."""
    tagger, probes = bench.tagger(), bench.probes()
    with pytest.raises(ValueError, match="name the one to look at as the target class"):
        bench.run("EvaluateGroups", classifier=tagger, probes=probes)
    logits = tagger.logits(torch.stack(probes.sources))
    for index, tag in enumerate(("low", "high")):
        done = bench.run(
            "EvaluateGroups", classifier=tagger, probes=probes, before=tagger, target_class=tag
        ).result
        right = (logits[:, index] > 0) == torch.tensor([name == tag for name in probes.classes])
        marks = torch.tensor([name == "mark" for name in probes.attributes])
        own = torch.tensor([name == tag for name in probes.classes])
        shares = [right[(own == y) & (marks == a)].float().mean() for y in (0, 1) for a in (0, 1)]
        assert done[2] == pytest.approx(float(min(shares)))
        assert f"no {tag}, mark" in done[0]
    with pytest.raises(ValueError, match="There is no class 'tall'"):
        bench.run("EvaluateGroups", classifier=tagger, probes=probes, target_class="tall")
    bare = bench.probes(named=False)
    with pytest.raises(ValueError, match="for a tagger the tag's name or another word"):
        bench.run("EvaluateGroups", classifier=tagger, probes=bare, target_class="high")


def test_probes_without_classes_are_refused_before_the_network_sees_them(bench, monkeypatch):
    def run(*_):
        raise AssertionError("the network ran")

    kind = bench.lab.pack("detour.classifier.model").ImageClassifier
    monkeypatch.setattr(kind, "features", run)
    bare = bench.probes(named=False)
    for classifier in (bench.classifier(), bench.tagger()):
        with pytest.raises(ValueError, match="These probes have no classes"):
            bench.run("EvaluateGroups", classifier=classifier, probes=bare, target_class="1")
        for method in ("worst_group", "evidence"):
            with pytest.raises(
                ValueError, match="Only the methods 'paired' and 'mistakes' work without"
            ):
                bench.neutralize(classifier, probes=bare, method=method, target_class="1")


def test_a_tag_of_a_tagger_is_edited(bench):
    classifier = bench.tagger()
    probes, pictures = bench.probes(), bench.pictures()[0]
    done = bench.neutralize(classifier, probes=probes, target_class="high").result
    assert {cell.row for cell in done[1].edits[-1].cells} == {1}
    assert done[1].edits[-1].class_name == "high" and "no high, " in done[2]
    numbers = json.loads(done[4])
    worst = [numbers[when]["worst_group_accuracy"] for when in ("before", "after")]
    assert worst[1] > worst[0]
    gone = bench.run("RemoveClass", classifier=classifier, probes=probes, class_name="high")
    assert "'high'" in gone.result[2]
    fewer = (gone.result[0].logits(pictures)[:, 1] > 0).sum()
    assert fewer < (classifier.logits(pictures)[:, 1] > 0).sum()


def test_the_hosts_executor_runs_the_whole_loop(bench, host_folders):
    """Load, probe, neutralise, save, apply, measure: one graph in the host's own executor."""
    bench.colour_folder(host_folders / "input" / "colours")
    graph = {
        "load": {"class_type": "DetourLoadClassifier", "inputs": LOADED},
        "probe": {"class_type": "DetourProbeFolder", "inputs": {"folder": "colours"}},
        "edit": {
            "class_type": "DetourNeutralize",
            "inputs": {
                **{"classifier": ["load", 0], "probes": ["probe", 0]},
                **{"method": "evidence", "edit": "one_weight_bias", "max_weights": 1},
                **{"target_class": "", "degree": 1.0},
            },
        },
        "save": {"class_type": "DetourSaveEdit", "inputs": {"edit": ["edit", 1], "filename": "x"}},
        "apply": {
            "class_type": "DetourApplyEdit",
            "inputs": {"classifier": ["load", 0], "file": "none", "degree": 1, "edit": ["edit", 1]},
        },
        "groups": {
            "class_type": "DetourEvaluateGroups",
            "inputs": {"classifier": ["apply", 0], "probes": ["probe", 0], "part": "report"},
        },
        "see": {"class_type": "PreviewImage", "inputs": {"images": ["groups", 1]}},
    }
    ran = bench.execute(graph, ["save", "see"])
    assert [name for name, _ in ran["messages"]][-1] == "execution_success", ran["messages"]
    assert ran["ui"]["edit"]["detour_chart"][0]["type"] == "temp"
    assert "last layer edited" in ran["ui"]["edit"]["detour_report"][0]
    assert "Groups" in ran["ui"]["groups"]["detour_report"][0]
    (file,) = (host_folders / "output" / "detour").glob("*.edit.json")
    assert ran["ui"]["save"]["detour_report"] == [f"Saved {file.name} in output/detour."]


@pytest.mark.parametrize(("count", "honest"), [(240, False), (720, True)])
def test_a_head_judged_on_what_it_was_fitted_on_is_told(bench, count, honest):
    probes = bench.probes(count)
    backbone = bench.classifier()
    fitted = bench.run("ClassifierFromProbes", classifier=backbone, probes=probes).result[0]

    def unseen(classifier, **inputs):
        given = {"classifier": classifier, "method": "evidence", "max_weights": 1, **inputs}
        return json.loads(bench.run("Neutralize", **given).result[4])["unseen"]

    assert unseen(fitted, probes=probes) == honest
    if honest:  # with few probes each search takes five times as long
        assert not unseen(fitted, probes=probes, split_seed=5)
        assert unseen(fitted, probes=bench.probes(count))  # other pictures
        assert unseen(backbone, probes=probes)
    told = [
        "fitted on some of these very probes"
        in bench.run("EvaluateGroups", classifier=fitted, probes=probes, part=part).result[0]
        for part in ("all", "report")
    ]
    assert told == [True, False]
    beside = {"probes": probes, "part": "all", "before": backbone}
    report = bench.run("EvaluateGroups", classifier=fitted, **beside).result
    assert "No improvement is claimed: probes that had a say in the classifier" in report[0]
    assert json.loads(report[3])["gain"]["verdict"] == "seen"
