"""Classifier and probe files in the host's folders: found, saved, and refused in a sentence."""

from __future__ import annotations

import json
import math
import os
import pickle

import pytest
import torch
from PIL import Image

OWN = "nurse_or_builder.safetensors"


def load(lab, file, **inputs):
    """The loader's output."""
    return lab.run_node("DetourLoadClassifier", file=file, **inputs)


@pytest.fixture
def small(lab):
    """A network of three classes with random weights, and its state dict."""
    torch.manual_seed(0)
    return lab.pack("detour.classifier.networks").SmallCNN(3).eval()


def test_own_classifiers_and_the_users_are_listed(lab, host_folders):
    names = lab.pack("nodes.classifier_host").model_names
    assert names() == ["jobs.safetensors", OWN]
    models = host_folders / "models"
    (models / "mine").mkdir()
    (models / "mine" / "net.pth").write_bytes(b"")
    (models / "notes.txt").write_bytes(b"")
    folder = models / "mine" / "vit"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes(b"{}")
    (file,) = (i for i in lab.node("DetourLoadClassifier").define_schema().inputs if i.id == "file")
    listed = [name.replace(os.sep, "/") for name in names()]
    assert sorted(listed) == ["jobs.safetensors", "mine/net.pth", "mine/vit", OWN]
    assert sorted(file.options) == sorted(names())
    assert file.default == OWN


def test_a_pytorch_file_with_its_json(lab, host_folders, small):
    path = host_folders / "models" / "net.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in small.state_dict().items()}}, path)
    about = {
        "labels": ["a", "b", "c"],
        "resize": [16, 16],
        "crop": None,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "activation": "sigmoid",
    }
    path.with_suffix(".json").write_text(json.dumps(about))
    hosted, report = load(lab, "net.pth")
    assert hosted.labels == ("a", "b", "c")
    assert "3 classes: a, b, c" in report and "sigmoid, threshold 0.5" in report
    images = torch.rand(2, 16, 16, 3)
    wanted = small((images.movedim(-1, 1) - 0.5) / 0.25)
    assert torch.allclose(hosted.logits(images), wanted, atol=1e-5)


def test_saved_edits_applied_and_nothing_overwritten(lab, host_folders):
    hosted = load(lab, OWN)[0]
    record = lab.pack("detour.edit.record")
    made = record.edit_of(record.Change(0, ((3, 1.5),), 0.25), hosted.unedited_head)
    edited = hosted.with_stack(hosted.stack.push(made))
    save = {"classifier": edited, "filename": "mine/fixed"}
    assert lab.run_node("DetourSaveClassifier", **save) == ("mine/fixed.safetensors",)
    assert lab.run_node("DetourSaveClassifier", **save) == ("mine/fixed_00002.safetensors",)
    files = sorted(p.name for p in (host_folders / "models" / "mine").iterdir())
    assert files == ["fixed.safetensors", "fixed_00002.safetensors"]
    again = load(lab, "mine/fixed.safetensors")[0]
    images = torch.rand(5, 16, 16, 3)
    assert torch.equal(again.logits(images), edited.logits(images))
    assert again.stack.edits == () and again.labels == hosted.labels


def test_a_json_of_another_network_does_not_describe_what_is_saved(lab, host_folders):
    (host_folders / "models" / "net.json").write_text(json.dumps({"labels": ["not", "these"]}))
    hosted = load(lab, OWN)[0]
    (name,) = lab.run_node("DetourSaveClassifier", classifier=hosted, filename="net")
    assert name == "net_00002.safetensors" and load(lab, name)[0].labels == hosted.labels


@pytest.mark.parametrize(
    ("filename", "message"),
    [
        ("../out", "leads out of the allowed folders"),
        ("/tmp/out", "is an absolute path"),
        ("C:\\out", "is an absolute path"),
        ("", "names no file"),
        (".", "names no file"),
        ("mine/", "names no file"),
        ("what?", "cannot be used"),
    ],
)
def test_saving_stays_in_the_model_folder(lab, host_folders, filename, message):
    with pytest.raises(ValueError, match=message):
        lab.run_node("DetourSaveClassifier", classifier=load(lab, OWN)[0], filename=filename)
    assert list((host_folders / "models").rglob("*.*")) == []


class Hostile:
    """Pickled, it writes a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_hostile_pickle_is_refused_and_does_not_run(lab, host_folders):
    mark = host_folders / "it_ran"
    torch.save({"fc.weight": Hostile(str(mark))}, host_folders / "models" / "evil.pt")
    (host_folders / "models" / "plain.pth").write_bytes(pickle.dumps(Hostile(str(mark))))
    for file in ("evil.pt", "plain.pth"):
        with pytest.raises(ValueError) as refusal:
            load(lab, file)
        assert file in str(refusal.value) and str(refusal.value).endswith(".")
    assert not mark.exists()


def test_wrong_files_are_refused_in_a_sentence(lab, host_folders, small):
    models = host_folders / "models"
    whole = (lab.pack("nodes.classifier_host").OWN_CLASSIFIERS / OWN).read_bytes()
    (models / "short.safetensors").write_bytes(whole[: len(whole) // 2])
    (models / "huge.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    state = {name: value.clone() for name, value in small.state_dict().items()}
    state[[name for name in state if name.endswith("weight")][-1]][0] = math.nan
    torch.save(state, models / "nan.pth")
    for file, inputs, message in (
        ("short.safetensors", {}, "short.safetensors"),
        ("huge.safetensors", {}, "huge.safetensors"),
        ("nan.pth", {}, "NaN"),
        ("gone.pth", {}, "was not found"),
        ("../x.pth", {}, "leads out"),
        ("", {}, "empty"),
        (OWN, {"labels": "a, b, c"}, "3 labels, but the classifier has 2 classes"),
        (OWN, {"architecture": "resnet18"}, "does not fit torchvision:resnet18"),
        (OWN, {"architecture": "resnet9000"}, "resnet9000"),
        (OWN, {"threshold": math.nan}, "threshold nan"),
        (OWN, {"activation": "relu"}, "activation 'relu' is unknown"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message) as refusal:
            load(lab, file, **inputs)
        assert "\n" not in str(refusal.value), file


def test_the_host_notices_changed_files(lab, host_folders, small):
    from comfy_execution.caching import to_hashable

    loader = lab.node("DetourLoadClassifier")
    path = host_folders / "models" / "net.pth"
    torch.save(small.state_dict(), path)
    first = loader.fingerprint_inputs(file="net.pth")
    assert first == loader.fingerprint_inputs(file="net.pth", labels="a")
    path.with_suffix(".json").write_text("{}")
    second = loader.fingerprint_inputs(file="net.pth")
    os.utime(path, (1, 1))
    assert len({first, second, loader.fingerprint_inputs(file="net.pth")}) == 3
    assert loader.fingerprint_inputs(file="gone.pth") == ""
    linked = [to_hashable([loader.fingerprint_inputs(file=None)]) for _ in range(2)]
    assert linked[0] != linked[1]  # the host runs it again, whatever comes through the link
    assert loader.validate_inputs(file="newer than the list.pth") is True


def test_probes_from_a_folder_below_input_or_output(lab, host_folders):
    for place, colour in (("input", "red"), ("output", "blue")):
        for attribute in ("with", "without"):
            for name in ("1", "2"):
                path = host_folders / place / f"set_{place}" / colour / attribute / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), colour).save(path)
    node = lab.node("DetourProbeFolder")
    for place in ("input", "output"):
        probes, report, chart = lab.run_node("DetourProbeFolder", folder=f"set_{place}")
        assert len(probes) == 4 and len(set(probes.units)) == 2
        assert "4 probe pictures in 2 groups" in report and chart.ndim == 4
    state = node.fingerprint_inputs(folder="set_input")
    assert state == node.fingerprint_inputs(folder="set_input")
    (host_folders / "input" / "set_input" / "red" / "with" / "1.png").unlink()
    assert node.fingerprint_inputs(folder="set_input") != state


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("gone", "was not found"),
        ("..", "leads out"),
        ("/etc", "is an absolute path"),
        ("", "empty"),
        (".", "holds neither metadata.csv nor pictures"),
    ],
)
def test_probe_folders_that_cannot_be_used(lab, host_folders, folder, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        lab.run_node("DetourProbeFolder", folder=folder)
