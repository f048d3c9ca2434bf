"""The archive in a real ComfyUI: it is whole, adds no route, and opens nothing outside its folders
for a prompt that comes from a stranger."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import pytest

from tools.server import PromptFailed
from tools.workflows import to_prompt

ROOT = Path(__file__).resolve().parents[2]
SECRET = "do-not-tell"
LOAD = {
    "class_type": "DetourLoadClassifier",
    "inputs": {
        "file": "nurse_or_builder.safetensors",
        "architecture": "auto",
        "labels": "",
        "activation": "auto",
        "threshold": 0.0,
    },
}
PEOPLE = {
    "class_type": "DetourDemoFaces",
    "inputs": {"count": 100, "faces_seed": 0, "classes": "nurse_builder", "correlation": 0.5},
}
CLASSIFY = {
    "class_type": "DetourClassify",
    "inputs": {
        "classifier": ["from", 0],
        "images": ["people", 1],
        "top_k": 1,
        "threshold": 0.0,
        "keep_label": "",
    },
}
REMOVE = {
    "class_type": "DetourRemoveClass",
    "inputs": {
        "classifier": ["load", 0],
        "probes": ["people", 0],
        "class_name": "builder",
        "degree": 1.0,
        "edit": "bias_only",
    },
}


def asks(kind: str, name: str) -> dict:
    """A prompt in which a stranger chooses the file name of one of our nodes."""
    if kind == "load":
        stranger = {**LOAD, "inputs": {**LOAD["inputs"], "file": name}}
        return {"from": stranger, "people": PEOPLE, "classify": CLASSIFY}
    if kind == "apply":
        inputs = {"classifier": ["load", 0], "file": name, "degree": 1.0}
        stranger = {"class_type": "DetourApplyEdit", "inputs": inputs}
        return {"load": LOAD, "from": stranger, "people": PEOPLE, "classify": CLASSIFY}
    if kind == "probes":
        stranger = {"class_type": "DetourProbeFolder", "inputs": {"folder": name}}
        return {"from": stranger, "seen": shown(["from", 2])}
    if kind == "save edit":
        inputs = {"edit": ["found", 1], "filename": name}
        stranger = {"class_type": "DetourSaveEdit", "inputs": inputs}
        return {"load": LOAD, "people": PEOPLE, "found": REMOVE, "save": stranger}
    inputs = {"classifier": ["load", 0], "filename": name}
    return {"load": LOAD, "save": {"class_type": "DetourSaveClassifier", "inputs": inputs}}


def shown(picture: list) -> dict:
    """The host's node that shows a picture."""
    return {"class_type": "PreviewImage", "inputs": {"images": picture}}


KINDS = ("load", "apply", "probes", "save edit", "save classifier")


@pytest.fixture(scope="module")
def outside(server, tmp_path_factory) -> Path:
    """A folder beside the host's, with what a stranger would like to read, and a link to it from
    each folder that our nodes look in."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "metadata.csv").write_text(f"img_filename,y,place\n{SECRET}.png,0,0\n")
    for name in ("net.safetensors", "net.pth", "net.edit.json", "net.txt"):
        (folder / name).write_text(SECRET)
    for place in ("input", "output", "output/detour", "models/image_classifiers"):
        link = server.base / place / "leads_out"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder, target_is_directory=True)
    return folder


def hostile_names(server, outside: Path) -> list[str]:
    """Names that lead out of the host's folders, in the spellings that have worked somewhere."""
    up = os.path.relpath(outside, server.base / "input")
    return [
        str(outside / "net.safetensors"),
        str(outside),
        f"{up}/net.safetensors",
        f"x/../{up}/net.pth",
        f"./{up}",
        "..",
        "../../../../etc/passwd",
        "..\\..\\windows\\win.ini",
        "C:\\Windows\\win.ini",
        "\\\\server\\share\\net.pth",
        "/etc/passwd",
        "file:///etc/passwd",
        "~/net.safetensors",
        "a\0b",
        "leads_out/new",
        "",
    ]


def served(server, page: str) -> bytes:
    """A file of the pack's page, as the browser gets it."""
    with urllib.request.urlopen(f"{server.url}/extensions/detour/{page}", timeout=30) as answer:
        return answer.read()


def tree(folder: Path) -> dict[str, int]:
    """All files below a folder with their sizes, links not followed."""
    found = {}
    for place, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(place) / name
            found[str(path.relative_to(folder))] = path.lstat().st_size
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_strangers_file_name_stays_inside(kind, server, outside):
    before, accepted = tree(outside), set()
    for name in hostile_names(server, outside):
        try:
            server.run(asks(kind, name))
        except PromptFailed as failure:
            told = failure.exception_message or str(failure)
            assert SECRET not in told and "root:" not in told
            assert "Traceback" not in told and len(told) <= 1200, told
        else:
            accepted.add(name)
    assert tree(outside) == before
    # A tilde is a letter like others: the file is written into a folder of that name.
    assert accepted <= ({"~/net.safetensors"} if kind.startswith("save") else set())
    assert not (Path.home() / "net.safetensors").exists()


@pytest.mark.parametrize("kind", ("probes", "save edit", "save classifier"))
def test_a_link_out_of_pictures_and_of_what_is_written_is_not_followed(kind, server, outside):
    before = tree(outside)
    with pytest.raises(PromptFailed, match=r"leads out|outside|link"):
        server.run(asks(kind, "leads_out/x" if kind != "probes" else "leads_out"))
    assert tree(outside) == before


def test_the_same_prompts_work_with_names_of_their_own(server):
    server.run(asks("load", "nurse_or_builder.safetensors"))
    server.run(asks("save classifier", "mine/of me"))
    outputs = server.run(asks("save edit", "mine/of me"))
    (told,) = outputs["save"]["detour_report"]
    name, folder = told.removeprefix("Saved ").removesuffix(".").split(" in ")
    assert (server.base / folder / name).is_file()


def test_the_archive_is_whole(server):
    listed = server.get_json("/object_info")
    wanted = json.loads((ROOT / "tests" / "golden" / "nodes.json").read_text(encoding="utf-8"))
    assert set(wanted) <= set(listed)
    workflow = ROOT / "example_workflows" / "Tiny model first steps.json"
    prompt = to_prompt(json.loads(workflow.read_text(encoding="utf-8")), listed)
    for node in prompt.values():
        few = {"batch_size": 1, "steps": 2}
        node["inputs"] |= {name: few[name] for name in few if name in node["inputs"]}
    assert server.run(prompt)
    for page in ("results.js", "presets.json", "docs/DetourMidBlockBypass.md"):
        assert served(server, page)


def test_no_route_is_ours(server):
    routes = server.get_json("/lists_routes")
    assert any(route["path"] == "/prompt" for route in routes)
    ours = {route["served"]: route for route in routes if "detour" in route["path"].lower()}
    # The page's files and the templates, which the host serves for every pack.
    assert sorted(Path(folder).name for folder in ours) == ["example_workflows", "js"]
    assert all(route["module"].startswith("aiohttp") for route in ours.values())
    packs = {route["module"] for route in routes if "custom_nodes" in route["module"]}
    assert len(packs) == 1 and "lists_routes" in packs.pop()
