"""The example workflows with classifiers, run as the editor would run them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evidence.example_files import write_model, write_photos
from evidence.watermark import add_watermark
from tools.workflows import FOLDER, to_prompt

WORST = re.compile(r"^Worst-group accuracy: ([\d.]+) %(?: -> ([\d.]+) %)?", re.MULTILINE)
LIFT = re.compile(r"by ([+-][\d.]+) before and ([+-][\d.]+) after")
FEW_CROPS = 2
STAND_INS = Path(__file__).with_name("stand_ins")
SHARES = re.compile(r"(\d+) (low|high) \(")


def prompt_of(name: str, object_info: dict[str, Any]) -> dict[str, Any]:
    path = FOLDER / f"{name}.json"
    return to_prompt(json.loads(path.read_text(encoding="utf-8")), object_info)


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


def high_share(report: str) -> float:
    """The share of the pictures that a classifier calls high."""
    counts = {label: int(count) for count, label in SHARES.findall(report.splitlines()[1])}
    return counts.get("high", 0) / sum(counts.values())


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
    assert after > before + 10
    counted = [high_share(text) for title, text in sorted(shown.items()) if title[1:2] == "."]
    as_it_is, edited, truth = counted
    assert abs(edited - truth) < abs(as_it_is - truth)


def test_degree_0_is_the_auditor_as_it_is(server, object_info):
    prompt = prompt_of("Tiny classifier shortcut", object_info)
    for node in prompt.values():
        if node["class_type"] == "DetourNeutralize":
            node["inputs"]["degree"] = 0.0
    shown = reports(server, prompt)
    assert shown["1. The auditor as it is"] == shown["2. The auditor after the edit"]
    before, after = worst(shown["Neutralize Shortcut"])
    assert before == after


def test_a_class_is_removed(server, object_info):
    shown = reports(server, prompt_of("Tiny remove a class", object_info))
    assert "Removal of class '7'" in shown["Remove Class"]
    assert "no privacy unlearning" in shown["Remove Class"]
    counts = shown["No sevens any more"].splitlines()[1]
    sevens = re.search(r"(\d+) 7 \(", counts)
    assert sum(int(n) for n in re.findall(r"(\d+) \d \(", counts)) == 2000
    assert sevens is None or int(sevens[1]) < 10


def test_the_loop_of_who_is_a_nurse_on_the_tiny_model(server, object_info):
    shown = reports(server, prompt_of("Tiny who is who", object_info))
    assert "Held-out accuracy" in shown["Classifier from Probes"]
    (audit,) = worst(shown["The audit"])
    before, after = worst(shown["The audit after the edit"])
    assert audit == before < 20 < 60 < after


def test_who_is_a_nurse_runs_on_stand_ins(start_server):
    """It needs a checkpoint and a CLIP vision model; the tiny model and random weights are wired
    and asked alike."""
    with start_server(packs={"stand_ins": STAND_INS}) as server:
        prompt = prompt_of("Who is a nurse", server.get_json("/object_info"))
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
    for node in prompt.values():
        if node["class_type"] == "DetourDemoDigits":
            node["inputs"]["count"] = 160  # the whole takes minutes on a processor
    shown = reports(server, prompt)
    before, after = worst(shown["Neutralize Shortcut"])
    assert after > before
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
