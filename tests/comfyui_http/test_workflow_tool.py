"""The checks and the conversion of workflows, with a real host's descriptions of its nodes."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tools.make_workflows import FOLDER
from tools.workflow import NOTES, WorkflowError, problems, to_prompt

FIRST, REAL = "Tiny model first steps", "SD 1.5 A-B on one seed"


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def workflow():
    return copy.deepcopy(load(FIRST))


def node_of(workflow: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(node for node in workflow["nodes"] if node["type"] == kind)


def break_type(workflow):
    node_of(workflow, "KSampler")["type"] = "KSamplerOfTomorrow"


def break_link_type(workflow):
    link = node_of(workflow, "VAEDecode")["inputs"][0]["link"]
    entry = next(entry for entry in workflow["links"] if entry[0] == link)
    entry[1], entry[2] = node_of(workflow, "DetourDemoModel")["id"], 0
    node_of(workflow, "DetourDemoModel")["outputs"][0]["links"].append(link)


def break_connection(workflow):
    node_of(workflow, "KSampler")["inputs"][0]["link"] = None


def break_dangling(workflow):
    node_of(workflow, "KSampler")["inputs"][0]["link"] = 999


def break_slot(workflow):
    workflow["links"][0][2] = 17


def break_input_name(workflow):
    node_of(workflow, "VAEDecode")["inputs"][1]["name"] = "vea"


def break_output(workflow):
    node_of(workflow, "VAELoader")["outputs"][0]["type"] = "IMAGE"


def break_count(workflow):
    node_of(workflow, "DetourMidBlockBypass")["widgets_values"].pop()


def break_count_above(workflow):
    node_of(workflow, "DetourMidBlockBypass")["widgets_values"].append("strength 1: bypassed")


def break_choice(workflow):
    node_of(workflow, "DetourMidBlockBypass")["widgets_values"][1] = "zigzag"


def break_range(workflow):
    node_of(workflow, "DetourMidBlockBypass")["widgets_values"][0] = 3.0


def break_kind(workflow):
    node_of(workflow, "DetourMidBlockBypass")["widgets_values"][0] = "much"


def break_id(workflow):
    workflow["nodes"][1]["id"] = workflow["nodes"][0]["id"]


BREAKS = {
    break_type: "the host does not know",
    break_link_type: "joins MODEL to LATENT",
    break_connection: "'model' is not connected",
    break_dangling: "a link that does not exist",
    break_slot: "a slot that does not exist",
    break_input_name: "an input 'vea', which the host does not know",
    break_output: "has the outputs ['IMAGE']",
    break_count: "has 7 widget values; on this host they are 8",
    break_count_above: "has 9 widget values; on this host they are 8",
    break_choice: "'zigzag', which is none of its choices",
    break_range: "outside of -1.0 to 1.0",
    break_kind: "which is no FLOAT",
    break_id: "A node id is used twice",
}


@pytest.mark.parametrize("change", BREAKS, ids=lambda change: change.__name__)
def test_a_broken_workflow_is_reported(change, workflow, object_info):
    change(workflow)
    found = problems(workflow, object_info)
    assert any(BREAKS[change] in problem for problem in found), found


def test_outputs_that_a_newer_host_has_added_are_no_problem(workflow, object_info):
    newer = copy.deepcopy(object_info)
    newer["PreviewImage"]["output"] = [*newer["PreviewImage"]["output"], "IMAGE"]
    assert problems(workflow, newer) == []
    newer["VAEDecode"]["output"] = ["IMAGE", "MASK"]
    assert problems(workflow, newer) == []
    newer["VAEDecode"]["output"] = ["MASK", "IMAGE"]
    assert "has the outputs ['IMAGE']" in problems(workflow, newer)[0]


def test_a_checkpoint_that_is_not_here_is_no_problem(object_info):
    assert object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] == []
    assert problems(load(REAL), object_info) == []


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
    break_count_above(workflow)
    assert to_prompt(workflow, object_info) == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mode": 2}, "is muted"),
        ({"mode": 4}, "is bypassed"),
        ({"type": "Reroute"}, "exists only in the editor"),
        ({"type": "0b7f3c1e-sub"}, "is a subgraph"),
        ({"type": "Nothing"}, "the host does not know"),
        ({"widgets_values": [1.0]}, "has 1 widget values"),
    ],
)
def test_conversion_refuses_with_a_sentence(change, sentence, workflow, object_info):
    workflow["definitions"] = {"subgraphs": [{"id": "0b7f3c1e-sub"}]}
    node_of(workflow, "DetourMidBlockBypass").update(change)
    with pytest.raises(WorkflowError, match=sentence) as caught:
        to_prompt(workflow, object_info)
    assert str(caught.value).count("\n") == 0
    assert any(sentence in problem for problem in problems(workflow, object_info))
