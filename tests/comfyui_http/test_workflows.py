"""The example workflows: known to the real host, and those on the tiny model executed."""

from __future__ import annotations

import io
import json
import urllib.parse
import urllib.request
from typing import Any

import pytest
from PIL import Image

from tools.workflows import FOLDER, NOTES, to_prompt

FILES = sorted(FOLDER.glob("*.json"))
FIRST, SWEEP, SECOND, TRANSFORMER = (
    "Tiny model first steps",
    "Tiny model sweep",
    "Tiny model image to image",
    "Tiny transformer",
)
UNTRIED = ("SD", "With FreeU", "Who is a nurse")
"""How the names of workflows begin that need a checkpoint."""
LARGEST_PICTURE = 100 * 1024


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def find(prompt: dict[str, Any], kind: str, title: str = "") -> str:
    """The id of the one node of this type (and title) in a prompt."""
    (found,) = [
        number
        for number, node in prompt.items()
        if node["class_type"] == kind and title in node["_meta"]["title"]
    ]
    return found


def some(name: str, object_info: dict[str, Any], pictures: int) -> dict[str, Any]:
    """The prompt of a workflow with so many pictures in its batch: each takes its time."""
    prompt = to_prompt(load(name), object_info)
    prompt[find(prompt, "EmptyChromaRadianceLatentImage")]["inputs"]["batch_size"] = pictures
    return prompt


@pytest.fixture(scope="module")
def run(server, pictures_of):
    """Run a prompt; its pictures by title of the node, and the notices for its nodes."""

    def run_one(prompt):
        seen = []
        outputs = server.run(prompt, on_message=seen.append)
        shown = [m["data"]["text"] for m in seen if m["type"] == "detour.notice"]
        pictures = pictures_of(server, outputs)
        titles = {prompt[node]["_meta"]["title"]: picture for node, picture in pictures.items()}
        return titles, "\n".join(shown)

    return run_one


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_has_a_small_picture(path):
    picture = path.with_suffix(".jpg")
    assert picture.is_file(), f"{picture.name} is missing: run `python -m tools.workflow_pictures`."
    assert picture.stat().st_size <= LARGEST_PICTURE
    with Image.open(picture) as image:
        assert image.format == "JPEG" and image.size == (900, 600)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_has_a_note_and_says_if_it_was_not_tried(path):
    (note,) = [node for node in load(path.stem)["nodes"] if node["type"] in NOTES]
    (text,) = note["widgets_values"]
    text = " ".join(text.split())  # its lines are short, for every frontend's letters
    assert "What you should see" in text and "What to try next" in text
    assert ("nobody has tried them here yet" in text) == path.stem.startswith(UNTRIED)


def test_the_host_offers_them_as_templates(server):
    names = server.get_json("/api/workflow_templates")["detour"]
    assert sorted(names) == [path.stem for path in FILES] and len(names) == 16
    place = urllib.parse.quote(f"/api/workflow_templates/detour/{FIRST}.jpg")
    with urllib.request.urlopen(server.url + place) as answer:
        assert Image.open(io.BytesIO(answer.read())).width == 900


def test_first_steps_runs_and_the_fade_changes_pictures(run, object_info):
    """At strength 0 it does not, here on the mirrored twin, which draws other ones."""
    prompt = some(FIRST, object_info, 2)
    pictures, texts = run(prompt)
    without, varied = pictures["Without Detour"], pictures["With Detour"]
    assert without.size == varied.size == (210, 108)
    assert without.tobytes() != varied.tobytes()
    assert pictures["Preview Image"].size == (960, 480)
    assert texts == "strength 1: faded in 6 of 20 evaluations of the prompt"
    prompt[find(prompt, "DetourPromptFade")]["inputs"]["strength"] = 0.0
    prompt[find(prompt, "DetourDemoModel")]["inputs"]["variant"] = "mirror"
    mirrored, _ = run(prompt)
    assert mirrored["Without Detour"].tobytes() == mirrored["With Detour"].tobytes()
    assert mirrored["Without Detour"].tobytes() != without.tobytes()


def test_the_transformer_runs_and_two_of_its_blocks_are_bypassed(run, object_info):
    prompt = some(TRANSFORMER, object_info, 4)
    prompt[find(prompt, "DetourBlockScan")]["inputs"] |= {"steps": 2, "seeds": 1}
    pictures, texts = run(prompt)
    assert pictures["Without Detour"].tobytes() != pictures["With Detour"].tobytes()
    assert "bypassed blocks 3-4 of 8 in 6 of 20 model calls" in texts
    assert "18 predictions: 1 x 2 steps x (8 blocks + 1)" in texts


def test_the_sweep_runs_and_has_a_column_for_each_way_and_strength(run, object_info):
    prompt = some(SWEEP, object_info, 2)
    prompt[find(prompt, "KSampler")]["inputs"]["steps"] = 8
    pictures, _ = run(prompt)
    (sheet,) = pictures.values()
    assert sheet.width == 6 + 7 * 102, "none, and three ways at two strengths"
    cells = [sheet.crop((6 + x * 102, 30, 102 + x * 102, sheet.height)) for x in range(7)]
    assert len({cell.tobytes() for cell in cells}) == 7


def test_image_to_image_by_sigma_is_the_plain_model_and_says_so(run, object_info):
    prompt = some(SECOND, object_info, 2)
    pictures, texts = run(prompt)
    assert "was never reached; use schedule_by = step" in texts
    (by_sigma,) = [n for n in prompt.values() if n["inputs"].get("schedule_by") == "sigma"]
    by_sigma["inputs"]["strength"] = 0.0
    plain, _ = run(prompt)
    title = "Painted over, window by sigma"
    assert pictures[title].size == (210, 108)
    assert pictures[title].tobytes() == plain[title].tobytes()
    assert pictures[title].tobytes() != pictures["Painted over, window by step"].tobytes()
    assert pictures[title].tobytes() != pictures["The start"].tobytes()


def test_no_machine_path_in_any_file():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not [word for word in ("/home/", "/tmp/", ":\\\\", "http") if word in text]
