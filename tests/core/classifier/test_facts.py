"""Labels and preprocessing come from metadata, side-cars and users, and are checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from detour.classifier.facts import (
    Description,
    Facts,
    encode,
    metadata_facts,
    parse_labels,
    read_facts,
)
from detour.classifier.load import load_classifier
from detour.classifier.model import predict
from detour.classifier.networks import SmallCNN
from detour.classifier.save import save_classifier


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_file(SmallCNN(2).state_dict(), tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def side_car(file: Path, values: object) -> None:
    file.with_suffix(".json").write_text(json.dumps(values), encoding="utf-8")


@pytest.mark.parametrize(
    "labels",
    [
        {"labels": ["chat", "nœud"]},
        {"classes": ["chat", "nœud"]},
        {"id2label": {"1": "nœud", "0": "chat"}},
        {"label_names": "chat, nœud"},
        {"class_names": ["chat", "nœud"], "other": 1},
    ],
)
def test_labels_under_their_usual_names(file: Path, labels: dict) -> None:
    side_car(file, labels)
    assert load_classifier(file).labels == ("chat", "nœud")
    assert load_classifier(file, labels=("a", "b")).labels == ("a", "b")


def test_side_car_wins_over_metadata_and_the_user_over_both(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    metadata = {"labels": '["m0", "m1"]', "activation": "sigmoid", "threshold": "0.25"}
    save_file(SmallCNN(2).state_dict(), path, metadata)
    first = load_classifier(path).description
    assert (first.labels, first.activation, first.threshold) == (("m0", "m1"), "sigmoid", 0.25)
    side_car(path, {"labels": ["s0", "s1"], "mean": [0.5] * 3, "std": [0.5] * 3})
    second = load_classifier(path, threshold=0.75).description
    assert (second.labels, second.activation, second.threshold) == (("s0", "s1"), "sigmoid", 0.75)
    assert not any("threshold" in note for note in load_classifier(path, threshold=0.75).notes)
    assert second.preprocessing.mean == (0.5,) * 3
    assert second.preprocessing.resize == (16, 16), "what is not said stays the network's own"
    assert load_classifier(path, activation="softmax").description.activation == "softmax"


def test_a_threshold_for_softmax_is_said_to_be_unused(small, tmp_path):
    path = save_classifier(tmp_path / "x.safetensors", small)
    assert "threshold" not in json.loads(encode(small.description))
    assert not any("threshold" in note for note in load_classifier(path).notes)
    logits = torch.tensor([[0.2, 0.1, 0.0]])
    asked = load_classifier(path, threshold=0.7)
    assert any("The threshold 0.7 is not used" in note for note in asked.notes)
    assert predict(asked, logits)[0].labels == ("red",)
    for threshold, told in ((0.5, False), (0.8, True)):  # files of earlier versions hold 0.5
        path.with_suffix(".json").write_text(json.dumps({"threshold": threshold}))
        notes = load_classifier(path).notes
        assert any(f"{threshold:g} is not used" in note for note in notes) == told
    tagger = load_classifier(path, threshold=0.7, activation="sigmoid")
    assert not any("threshold" in note for note in tagger.notes)
    assert tagger.description.threshold == 0.7


@pytest.mark.parametrize(
    ("values", "resize", "crop"),
    [
        ({"input_size": 20}, (20, 20), None),
        ({"input_size": [3, 20, 24]}, (20, 24), None),
        ({"input_size": [3, 20, 20], "crop_pct": 0.8}, 25, 20),
        ({"resize_size": 30, "crop_size": [20, 24]}, 30, (20, 24)),
        ({"preprocessing": {"resize": 30, "crop": 20}}, 30, 20),
        ({"pretrained_cfg": {"input_size": [3, 21, 21], "crop_pct": 0.875}}, 24, 21),
    ],
)
def test_sizes_under_their_usual_names(values: dict, resize: object, crop: object) -> None:
    steps = read_facts({**values, "labels": ["a"]}).describe().preprocessing
    assert (steps.resize, steps.crop) == (resize, crop)


def test_our_own_metadata_come_back_whole() -> None:
    description = Description(("a, b", "c"), "timm:x", activation="sigmoid", threshold=0.2)
    assert metadata_facts({"detour": encode(description)}).describe() == description


def test_files_of_earlier_versions_see_pictures_as_they_did() -> None:
    """A library's later fields are not theirs."""
    values = json.loads(encode(Description(("a",), "timm:x")))
    for name in list(values["preprocessing"])[6:]:
        del values["preprocessing"][name]
    library = Facts(preprocessing={"arithmetic": "pillow", "resize_fit": "cover", "bgr": True})
    facts = metadata_facts({"detour": json.dumps(values)}).over(library)
    assert facts.describe() == Description(("a",), "timm:x")


def test_the_rules_of_another_size_do_not_apply() -> None:
    library = Facts(preprocessing={"resize": (30, 40), "resize_fit": "cover", "crop": 30})
    mine = Facts(preprocessing={"resize": (8, 9)})
    assert mine.over(library).preprocessing == {"resize": (8, 9), "crop": 30}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"labels": ["only one"]}, "There are 1 labels, but the classifier has 2 classes"),
        ({"labels": ["a", "b", "c"]}, "There are 3 labels"),
        ({"labels": ["a", 3]}, "Label 1 is 3"),
        ({"labels": ["a", " "]}, "Label 1"),
        ({"labels": 7}, "must be a list"),
        ({"id2label": {"0": "a", "2": "b"}}, "no class 1"),
        ({"activation": "relu"}, "'relu' is unknown"),
        ({"activation": "sigmoid", "threshold": 1.5}, "threshold 1.5"),
        ({"threshold": "high"}, "threshold 'high'"),
        ({"std": [1e-30] * 3}, "at least 0.001"),
        ({"mean": [123.7, 116.3, 103.5]}, "divide each of the three by 255"),
        ({"crop_first": "false"}, "'false' must be true or false"),
        ({"mean": [10**99, 0, 0]}, "divide each of the three by 255"),
        ({"mean": [10**400, 0, 0]}, "three numbers"),
        ({"input_size": "big"}, "'big' must be pixels"),
        ({"resize": 20, "crop": 20}, "resize them to 16 x 16"),
        ({"architecture": "resnet5000"}, "'resnet5000' is unknown"),
        (["a", "b"], "JSON object"),
    ],
)
def test_side_cars_that_do_not_fit(file: Path, values: object, sentence: str) -> None:
    side_car(file, values)
    with pytest.raises(ValueError, match=sentence):
        load_classifier(file)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"", b"[" * 100_000])
def test_side_cars_that_are_no_json(file: Path, content: bytes) -> None:
    file.with_suffix(".json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json"):
        load_classifier(file)


def test_labels_that_a_user_types() -> None:
    assert parse_labels("cat, dog ,bird") == ("cat", "dog", "bird")
    assert parse_labels("crane, a bird\ncrane, a machine\n") == (
        "crane, a bird",
        "crane, a machine",
    )
    assert parse_labels(" ") == ()


def test_classes_are_found_by_label_or_number() -> None:
    description = Description(("Crane", "crane", "dog", "7"))
    assert description.index_of("dog") == description.index_of(" DOG ") == 2
    assert description.index_of("crane") == 1
    assert description.index_of("7") == 3
    assert description.index_of("0") == 0
    with pytest.raises(ValueError, match="Classes 0, 1 are all called 'CRANE'"):
        description.index_of("CRANE")
    for unknown in ("4", "-1", "", "cat", "²"):
        with pytest.raises(ValueError, match="There is no class"):
            description.index_of(unknown)


def test_facts_complete_each_other() -> None:
    mine = Facts(labels=("a",), preprocessing={"crop": 10}, threshold=0.0)
    other = Facts("detour:x", ("b",), {"crop": 20, "resize": 30}, "sigmoid", 0.5)
    merged = mine.over(other)
    assert merged == Facts("detour:x", ("a",), {"crop": 10, "resize": 30}, "sigmoid", 0.0)
