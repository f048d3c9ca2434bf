"""Mending the shipped classifier by its mistakes alone, on the real host."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture
def shipped(bench):
    """The shipped classifier, which takes short-haired nurses for builders."""
    return bench.run("LoadClassifier", file="nurse_or_builder.safetensors").result[0]


def people(bench, classifier, count, seed):
    """(pictures, right, nurses with short hair that are wrong), of people nobody saw before."""
    probes, pictures = bench.run("DemoFaces", count=count, faces_seed=seed).result[:2]
    said = [classifier.labels[i] for i in classifier.logits(pictures).argmax(1).tolist()]
    right = torch.tensor([a == b for a, b in zip(said, probes.classes, strict=True)])
    short = torch.tensor([name == "short hair" for name in probes.attributes])
    nurse = torch.tensor([name == "nurse" for name in probes.classes])
    return pictures, right, ~right & short & nurse


def write(folder, pictures):
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        data = (255 * picture).round().numpy().astype(np.uint8)
        Image.fromarray(data).save(folder / f"{number}.png")


def test_short_haired_nurses_are_mended_and_hardly_anybody_breaks(bench, host_folders, shipped):
    pictures, right, wrong = people(bench, shipped, 160, 3)
    write(host_folders / "input" / "judged" / "right", pictures[right])
    write(host_folders / "input" / "judged" / "wrong", pictures[wrong])
    probes = bench.run("ProbeFolder", folder="judged").result[0]
    before = bench.head(shipped)
    asked = {"classifier": shipped, "probes": probes, "method": "mistakes"}
    edited, _, report, chart, numbers = bench.run("Neutralize", **asked).result
    unseen, was_right, was_wrong = people(bench, shipped, 400, 77)
    assert was_wrong.sum() > 60
    said, now = (one.logits(unseen).argmax(1) for one in (shipped, edited))
    mended, broken = (said != now)[was_wrong].sum(), (said != now)[was_right].sum()
    assert mended > 0.6 * was_wrong.sum() and broken < 0.1 * was_right.sum()
    told = json.loads(numbers)["mending"]
    assert told["mended"]["low"] < mended / was_wrong.sum() < told["mended"]["high"]
    beside = {row["name"]: row["mended"]["share"] for row in told["beside"]}
    assert told["mended"]["share"] > max(beside["bias only"], 0.5) and told["random_weights"]
    assert "wrong pictures held back" in report and "random weight" in report
    assert chart.shape[2] == 960 and bench.head(shipped) == before
    none = bench.run("Neutralize", **asked, degree=0.0).result[0]
    assert torch.equal(none.logits(unseen), shipped.logits(unseen))


def test_classes_of_another_model_and_too_few_pictures_are_refused(bench, host_folders, shipped):
    pictures, right, wrong = people(bench, shipped, 60, 4)
    for label, some in (("right", pictures[right]), ("wrong", pictures[wrong])):
        write(host_folders / "input" / "unknown" / label / "pilot", some)
        write(host_folders / "input" / "few" / label, some[:3])
    for folder, said in (("unknown", "pilot"), ("few", "There are 3 right and 3 wrong pictures")):
        probes = bench.run("ProbeFolder", folder=folder).result[0]
        with pytest.raises(ValueError, match=said):
            bench.run("Neutralize", classifier=shipped, probes=probes, method="mistakes")
