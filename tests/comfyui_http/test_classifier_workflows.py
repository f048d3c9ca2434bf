"""The example workflows with classifiers, run as the editor would run them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from evidence.example_files import write_model, write_photos
from evidence.watermark import add_watermark
from tools.workflows import FOLDER, to_prompt

WORST = re.compile(r"^Worst-group accuracy: ([\d.]+) %(?: -> ([\d.]+) %)?", re.MULTILINE)
LIFT = re.compile(r"by ([+-][\d.]+) before and ([+-][\d.]+) after")
FEW_CROPS = 2
COUNTS = re.compile(r"(\d+) (\w+) \(")
FEW = {
    "DetourDemoFaces": {"count": 800},  # with fewer each edit is searched five times more
    "EmptyChromaRadianceLatentImage": {"batch_size": 90},
    "EmptyImage": {"batch_size": 90},
    "KSampler": {"steps": 8},
}
"""The templates make some hundreds of pictures in 20 steps."""


def whole_prompt(name: str, object_info: dict[str, Any]) -> dict[str, Any]:
    """A workflow's prompt, as the file has it."""
    path = FOLDER / f"{name}.json"
    return to_prompt(json.loads(path.read_text(encoding="utf-8")), object_info)


def prompt_of(name: str, object_info: dict[str, Any]) -> dict[str, Any]:
    """A workflow's prompt, with less to compute."""
    prompt = whole_prompt(name, object_info)
    for node in prompt.values():
        node["inputs"] |= FEW.get(node["class_type"], {})
    return prompt


def reports(server, prompt: dict[str, Any]) -> dict[str, str]:
    """The report of each node that shows one, by the node's title."""
    return {
        prompt[node]["_meta"]["title"]: output["detour_report"][0]
        for node, output in server.run(prompt).items()
        if "detour_report" in output
    }


def worst(report: str) -> tuple[float, ...]:
    """The worst group in percent, before and (if edited) after."""
    found = WORST.search(report)
    assert found, report
    return tuple(float(number) for number in found.groups() if number)


def counts(report: str) -> dict[str, int]:
    """How many of the pictures a classifier gives each label."""
    return {label: int(count) for count, label in COUNTS.findall(report.splitlines()[1])}


@pytest.fixture(scope="module")
def mobilenet(server):
    """ImageNet's MobileNetV2, put there as `dev.py examples` does."""
    write_model(server.base)


@pytest.fixture(scope="module")
def marked_photos(server):
    """Real photos without and with ImageNet-W's watermark, as of `dev.py examples` but fewer."""
    pytest.importorskip("imagenet_w", reason="imagenet-w could not be installed")
    write_photos(server.base, add_watermark(), FEW_CROPS)


def test_the_biased_auditor_comes_nearer_to_the_truth(server, object_info):
    shown = reports(server, prompt_of("Tiny classifier shortcut", object_info))
    before, after = worst(shown["Neutralize Shortcut"])
    assert before < 10 and after > 80
    as_it_is, edited, truth = (counts(shown[title])["nurse"] for title in sorted(shown)[:3])
    assert as_it_is < 85 < 87 <= edited and truth >= 88, "of 90"


def test_degree_0_is_the_auditor_as_it_is(server, object_info):
    prompt = prompt_of("Tiny classifier shortcut", object_info)
    for node in prompt.values():
        if node["class_type"] == "DetourNeutralize":
            node["inputs"]["degree"] = 0.0
    shown = reports(server, prompt)
    assert shown["1. The auditor as it is"] == shown["2. The auditor after the edit"]
    before, after = worst(shown["Neutralize Shortcut"])
    assert before == after


def test_a_classifier_is_mended_by_the_mistakes_that_were_clicked(server, object_info):
    prompt = whole_prompt("Tiny mend a classifier", object_info)
    shown = reports(server, prompt)
    assert "80 pictures: 50 right, 30 wrong." in shown["Click the wrong ones"]
    mended = re.search(r"Of 30 wrong pictures held back (\d+) are mended", shown["Mend"])
    assert mended and int(mended[1]) >= 20, shown["Mend"]
    changed = int(shown["Before and after"].split(" of 60 pictures changed")[0])
    assert changed > 15
    for node in prompt.values():  # other people: the clicks are not theirs
        if node["_meta"]["title"] == "The pictures":
            node["inputs"]["faces_seed"] = 1
    shown = reports(server, prompt)
    assert "30 clicks on others" in shown["Click the wrong ones"]
    assert "Mend" not in shown and "Before and after" not in shown


def test_a_class_is_removed(server, object_info):
    shown = reports(server, prompt_of("Tiny remove a class", object_info))
    assert "Removal of class 'gardener'" in shown["Remove Class"]
    assert "no privacy unlearning" in shown["Remove Class"]
    said = counts(shown["No gardeners any more"])
    assert sum(said.values()) == 800 and said.get("gardener", 0) < 6


def test_the_loop_of_who_is_a_nurse_on_the_tiny_model(server, object_info):
    prompt = prompt_of("Tiny who is who", object_info)
    for node in prompt.values():  # with fewer people they show no shortcut
        if node["class_type"] in ("EmptyChromaRadianceLatentImage", "EmptyImage"):
            node["inputs"]["batch_size"] = 100
        if node["class_type"] == "KSampler":
            node["inputs"]["steps"] = 4
    shown = reports(server, prompt)
    assert "Held-out accuracy" in shown["Classifier from Probes"]
    (audit,) = worst(shown["The audit"])
    before, after = worst(shown["The audit after the edit"])
    assert audit == before < 20 < 60 < after


def test_who_is_a_nurse_runs_on_stand_ins(server, object_info):
    """It needs a checkpoint and a CLIP vision model; the tiny model and random weights are wired
    and asked alike."""
    prompt = prompt_of("Who is a nurse", object_info)
    changes = {
        "CheckpointLoaderSimple": ("StandInCheckpoint", {}),
        "CLIPVisionLoader": ("StandInVision", {}),
        "EmptyLatentImage": ("EmptyLatentImage", {"width": 128, "height": 128}),
        "KSampler": ("KSampler", {"steps": 4}),
    }
    for node in prompt.values():
        if node["class_type"] in changes:
            node["class_type"], more = changes[node["class_type"]]
            node["inputs"] |= more
    shown = reports(server, prompt)
    asked = set(re.findall("stand-in prompt: (.*)", server.log.read_text(encoding="utf-8")))
    who = ["", ", a woman", ", a man"]
    drawn = {f"a portrait photo of a {word}{one}" for word in ("nurse", "doctor") for one in who}
    assert asked == {*drawn, "blurry, deformed, text, watermark"}
    assert "Held-out accuracy" in shown["Classifier from Probes"]
    for title in ("The audit", "The audit after the edit"):
        assert all(
            f"{word}, {one[4:]}" in shown[title] for word in ("nurse", "doctor") for one in who[1:]
        )
    assert "edited" in shown["Neutralize Shortcut"]


def test_a_new_head_on_mobilenet(server, object_info, mobilenet):
    prompt = prompt_of("MobileNetV2 new head", object_info)
    less = {"DetourDemoFaces": {"count": 56}, "DetourNeutralize": {"max_weights": 1}}
    for node in prompt.values():
        node["inputs"] |= less.get(node["class_type"], {})
    shown = reports(server, prompt)
    before, after = worst(shown["Neutralize Shortcut"])
    assert before < 30 < after - 30
    assert "bias:" in shown["Neutralize Shortcut"]


def test_one_weight_takes_most_of_the_watermark_out(server, object_info, mobilenet, marked_photos):
    text = reports(server, prompt_of("ImageNet carton shortcut", object_info))
    assert "17 units" in text["Probes from Folder"]
    told = text["Neutralize Shortcut"]
    assert "'carton', by paired" in told and "1 number of the last layer edited" in told
    lift = LIFT.search(told)
    assert lift, told
    before, after = (float(number) for number in lift.groups())
    assert before > 4 and abs(after) < before / 4
    assert f"'watermark' adds {before:+.2f}" in told.split("bias only, instead")[1]
    assert "Collateral: 0.0 %" in told and "cannot be told from probes without classes" in told
