"""Classifiers over HTTP, as a browser would run them: the host's executor, its cache, its files."""

from __future__ import annotations

import copy
import json

OWN = "nurse_or_builder.safetensors"
GRAPH = {
    "people": {
        "class_type": "DetourDemoFaces",
        "inputs": {"count": 200, "faces_seed": 0, "classes": "nurse_builder", "correlation": 0.5},
    },
    "load": {
        "class_type": "DetourLoadClassifier",
        "inputs": {
            "file": OWN,
            "architecture": "auto",
            "labels": "",
            "activation": "auto",
            "threshold": 0.0,
        },
    },
    "fit": {
        "class_type": "DetourClassifierFromProbes",
        "inputs": {"probes": ["people", 0], "classifier": ["load", 0]},
    },
    "save": {
        "class_type": "DetourSaveClassifier",
        "inputs": {"classifier": ["fit", 0], "filename": "refitted"},
    },
    "classify": {
        "class_type": "DetourClassify",
        "inputs": {
            "classifier": ["fit", 0],
            "images": ["people", 1],
            "top_k": 2,
            "threshold": 0.0,
            "keep_label": "builder",
        },
    },
    "kept": {"class_type": "PreviewImage", "inputs": {"images": ["classify", 2]}},
}


def graph(**changes: dict) -> dict:
    """The graph with other inputs of some nodes."""
    prompt = copy.deepcopy(GRAPH)
    for node, inputs in changes.items():
        prompt[node]["inputs"].update(inputs)
    return prompt


def test_fit_classify_save_and_load_again(server):
    outputs = server.run(graph())
    (report,) = outputs["fit"]["detour_report"]
    assert "Held-out accuracy" in report
    (said,) = outputs["classify"]["detour_report"]
    assert said.split("\n")[2].startswith("1: nurse  nurse ")
    assert 80 < len(outputs["kept"]["images"]) < 120
    (saved,) = outputs["save"]["detour_report"]
    assert saved == "Saved as refitted.safetensors, with 0 edits applied."
    listed = server.get_json("/object_info/DetourLoadClassifier")
    assert "refitted.safetensors" in json.dumps(listed)
    again = graph(load={"file": "refitted.safetensors"}, classify={"classifier": ["load", 0]})
    del again["fit"], again["save"]
    (repeated,) = server.run(again)["classify"]["detour_report"]
    assert repeated == said


def test_nothing_runs_on_pictures_that_were_not_kept(server):
    prompt = graph(classify={"threshold": 1.0, "images": ["grey", 0]}, save={"filename": "other"})
    grey = {"width": 16, "height": 16, "batch_size": 3, "color": 0x808080}
    prompt["grey"] = {"class_type": "EmptyImage", "inputs": grey}
    outputs = server.run(prompt)
    assert outputs["classify"]["detour_report"][0].startswith("0 of 3 pictures kept")
    assert "kept" not in outputs
