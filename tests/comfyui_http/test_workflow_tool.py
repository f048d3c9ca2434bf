"""The checks and the conversion of workflows, with a real host's descriptions of its nodes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tools.workflows import (
    FOLDER,
    NOTES,
    Input,
    WorkflowError,
    node_inputs,
    to_prompt,
    to_text,
)

FIRST, REAL, NESTED = "Tiny model first steps", "SD 1.5 A-B on one seed", "Who is a nurse"


FILES = ("ckpt_name", "clip_name", "control_net_name", "file", "image", "lora_name")
"""Combos that list files: what they offer depends on the machine."""
KINDS = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool}


def problems(prompt: Mapping[str, Any], object_info: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a prompt from running on this host, one sentence each.

    Files are not looked for: a checkpoint that is not on this machine is no problem.
    """
    for number, node in prompt.items():
        known = {entry.name: entry for entry in node_inputs(object_info[node["class_type"]])}
        name = f"Node {number} ({node['_meta']['title']})"
        for key, value in node["inputs"].items():
            if key not in known:
                yield f"{name} has an input {key!r}, which the host does not know."
            elif isinstance(value, list):
                outputs = object_info[prompt[value[0]]["class_type"]]["output"]
                kind = outputs[value[1]] if value[1] < len(outputs) else "nothing"
                if "*" not in (kind, known[key].type) and kind not in known[key].type.split(","):
                    yield f"{name}: {kind} goes into the input {key!r}, {known[key].type}."
            elif complaint(known[key], value):
                yield f"{name}: {key} {complaint(known[key], value)}."
        for entry in known.values():
            if entry.required and entry.name not in node["inputs"]:
                yield f"{name}: the input {entry.name!r} is not connected."


def complaint(entry: Input, value: Any) -> str:
    """What is wrong with the value of a widget; "" if nothing."""
    if entry.type == "COMBO":
        known = entry.name in FILES or value in entry.choices
        return "" if known else f"is {value!r}, which is none of its choices"
    kind = KINDS[entry.type]
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        return f"is {value!r}, which is no {entry.type}"
    low, high = entry.options.get("min"), entry.options.get("max")
    if (low is not None and value < low) or (high is not None and value > high):
        return f"is {value!r}, outside of {low} to {high}"
    return ""


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def workflow():
    return copy.deepcopy(load(FIRST))


def node_of(workflow: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(node for node in workflow["nodes"] if node["type"] == kind)


def break_link_type(workflow):
    link = node_of(workflow, "VAEDecode")["inputs"][0]["link"]
    entry = next(entry for entry in workflow["links"] if entry[0] == link)
    entry[1], entry[2] = node_of(workflow, "DetourDemoModel")["id"], 0


def break_connection(workflow):
    node_of(workflow, "KSampler")["inputs"][0]["link"] = None


def break_dangling(workflow):
    node_of(workflow, "KSampler")["inputs"][0]["link"] = 999


def break_slot(workflow):
    workflow["links"][0][2] = 17


def break_input_name(workflow):
    node_of(workflow, "VAEDecode")["inputs"][1]["name"] = "vea"


def break_choice(workflow):
    node_of(workflow, "DetourPromptFade")["widgets_values"][1] = "zigzag"


def break_range(workflow):
    node_of(workflow, "DetourPromptFade")["widgets_values"][0] = 3.0


def break_kind(workflow):
    node_of(workflow, "DetourPromptFade")["widgets_values"][0] = "much"


BREAKS = {
    break_link_type: "MODEL goes into the input 'samples', LATENT",
    break_connection: "'model' is not connected",
    break_dangling: "'model' is not connected",
    break_slot: "nothing goes into the input",
    break_input_name: "an input 'vea', which the host does not know",
    break_choice: "'zigzag', which is none of its choices",
    break_range: "outside of 0.0 to 1.0",
    break_kind: "which is no FLOAT",
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_the_host_knows_everything(path, object_info):
    prompt = to_prompt(load(path.stem), object_info)
    assert list(problems(prompt, object_info)) == []


@pytest.mark.parametrize("change", BREAKS, ids=lambda change: change.__name__)
def test_a_broken_workflow_is_reported(change, workflow, object_info):
    change(workflow)
    found = list(problems(to_prompt(workflow, object_info), object_info))
    assert any(BREAKS[change] in problem for problem in found), found


def test_a_checkpoint_that_is_not_here_is_no_problem(object_info):
    assert object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] == []
    assert list(problems(to_prompt(load(REAL), object_info), object_info)) == []


def test_conversion_keeps_seeds_widgets_and_links(workflow, object_info):
    number = node_of(workflow, "PrimitiveInt")
    number["widgets_values"] = [18446744073709551615 // 4, "randomize"]
    sampler = node_of(workflow, "KSampler")
    sampler["widgets_values"][:2] = [41, "increment"]
    prompt = to_prompt(workflow, object_info)
    assert prompt[str(number["id"])]["inputs"] == {"value": 18446744073709551615 // 4}
    inputs = prompt[str(sampler["id"])]["inputs"]
    assert inputs["seed"] == [str(number["id"]), 0]
    assert (inputs["steps"], inputs["cfg"], inputs["denoise"]) == (20, 3.0, 1.0)
    next(slot for slot in sampler["inputs"] if slot["name"] == "seed")["link"] = None
    assert to_prompt(workflow, object_info)[str(sampler["id"])]["inputs"]["seed"] == 41
    assert not {node["class_type"] for node in prompt.values()} & set(NOTES)


def test_conversion_passes_over_text_that_the_editor_saved(workflow, object_info):
    before = to_prompt(workflow, object_info)
    node_of(workflow, "DetourPromptFade")["widgets_values"].append("strength 1: faded")
    assert to_prompt(workflow, object_info) == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"type": "Nothing"}, "the host does not know 'Nothing'"),
        ({"widgets_values": [1.0]}, "has 1 widget values; on this host they are 8"),
    ],
)
def test_conversion_refuses_with_a_sentence(change, sentence, workflow, object_info):
    node_of(workflow, "DetourPromptFade").update(change)
    with pytest.raises(WorkflowError, match=sentence) as caught:
        to_prompt(workflow, object_info)
    assert str(caught.value).count("\n") == 0


def test_subgraphs_become_the_nodes_in_them(object_info):
    prompt = to_prompt(load(NESTED), object_info)
    kinds = [node["class_type"] for node in prompt.values()]
    assert kinds.count("KSampler") == kinds.count("DetourProbeImages") == 6
    assert {number.count(":") for number in prompt} == {0, 1, 2}
    words = [
        [prompt[node["inputs"][name][0]]["inputs"]["value"] for name in ("class_name", "attribute")]
        for node in prompt.values()
        if node["class_type"] == "DetourProbeImages"
    ]
    groups = [[word, who] for word in ("nurse", "doctor") for who in ("woman", "man")]
    assert sorted(words) == sorted([*groups, ["nurse", "as it comes"], ["doctor", "as it comes"]])


def test_what_varies_between_frontends_is_left_out(workflow):
    before = copy.deepcopy(workflow)
    workflow["extra"] = {"frontendVersion": "1.2.3", "ds": {"scale": 1, "offset": [0, 0]}}
    node = node_of(workflow, "KSampler")
    node["properties"] |= {"cnr_id": "comfy-core", "ver": "0.3.75", "detour_result": {"text": ""}}
    node["inputs"][0]["localized_name"] = "Modell"
    node["widgets_values_named"] = {}
    workflow["links"].reverse()
    assert to_text(workflow, before) == to_text(before, before)


def test_places_and_sizes_are_kept_where_the_editor_drew_them(workflow):
    before = copy.deepcopy(workflow)
    node_of(workflow, "KSampler")["size"] = [270, 347.3125]
    assert to_text(workflow, before, drawn=True) == to_text(before, before)
    assert to_text(workflow, before) != to_text(before, before)
