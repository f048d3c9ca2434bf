"""Files that are unusual and good; claims, numbers and texts out of all proportion: a short
sentence for each."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from detour.classifier import torch_file
from detour.classifier.checkpoint import read_checkpoint
from detour.classifier.facts import (
    LONGEST_LABEL,
    make_preprocessing,
    metadata_facts,
    parse_json,
    read_facts,
)
from detour.classifier.load import ONE_OUTPUT, load_classifier
from detour.classifier.model import present
from detour.classifier.networks import SmallCNN
from detour.classifier.pickled import read_pickle
from detour.classifier.processors import processor_steps
from detour.report.classifier import describe_classifier

LONGEST = 600
OLD = {"_use_new_zipfile_serialization": False}


def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return SmallCNN(2).state_dict()


def refused(act: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        act()
    assert len(str(caught.value)) <= LONGEST


def test_the_root_of_an_archive_is_called_as_its_file(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "code.pt")
    assert load_classifier(tmp_path / "code.pt").feature_count > 0
    with zipfile.ZipFile(tmp_path / "code.pt", "a") as archive:
        archive.writestr("code/code/x.py", b"")
    refused(lambda: load_classifier(tmp_path / "code.pt"), "is a TorchScript program")


@pytest.mark.parametrize("asked", ["", "softmax"])
def test_a_network_of_one_output_is_no_softmax(tmp_path: Path, asked: str) -> None:
    """The usual NSFW checker: softmax would be sure of every picture."""
    save_file(SmallCNN(1).state_dict(), tmp_path / "a.safetensors")
    found = load_classifier(tmp_path / "a.safetensors", activation=asked, threshold=0.3)
    assert ONE_OUTPUT in found.notes and not any("is not used" in note for note in found.notes)
    pictures = torch.rand(3, 16, 16, 3)
    logits = found.logits(pictures)
    assert torch.equal(found.scores(logits), logits.sigmoid())
    assert present(found, torch.tensor([[-1.0], [0.0]])).tolist() == [[False], [True]]


def test_a_hash_of_a_backbone_beside_a_whole_network_means_nothing(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "a.safetensors")
    told = {"architecture": "detour:small_cnn", "backbone_hash": "f" * 64}
    (tmp_path / "a.json").write_text(json.dumps(told))
    assert not load_classifier(tmp_path / "a.safetensors").description.backbone_hash


def test_labels_are_lines_of_a_length(tmp_path: Path) -> None:
    """A report has a line for each picture, and the browser gets it whole."""
    save_file(weights(), tmp_path / "a.safetensors")
    labels = ["a\n  b", "c" * LONGEST_LABEL]
    (tmp_path / "a.json").write_text(json.dumps({"labels": labels}))
    found = load_classifier(tmp_path / "a.safetensors")
    assert found.labels == ("a b", labels[1])
    assert max(map(len, describe_classifier(found, "a").splitlines())) < 200
    (tmp_path / "a.json").write_text(json.dumps({"labels": ["a", labels[1] + "c"]}))
    refused(lambda: load_classifier(tmp_path / "a.safetensors"), "Label 1 has 1,001 letters")


def test_a_wrapper_without_weights_is_passed_by(tmp_path: Path) -> None:
    own = weights()
    averages = {"decay": 0.9, "shadow_params": [torch.ones(2)], "collected_params": None}
    torch.save({"ema": averages, "net": {"depth": 3}, "model": own}, tmp_path / "a.pt")
    classifier = load_classifier(tmp_path / "a.pt")
    assert torch.equal(classifier.weight, own["head.weight"])
    assert not any("averaged" in note for note in classifier.notes)


@pytest.mark.parametrize("options", [{}, OLD])
def test_tensors_with_attributes_of_a_script(tmp_path: Path, options: dict) -> None:
    own = weights()
    for value in own.values():
        value.origin = "a script's own"  # pyright: ignore[reportAttributeAccessIssue]
    torch.save(own, tmp_path / "a.pt", **options)
    state = read_checkpoint(tmp_path / "a.pt").state
    assert all(torch.equal(state[key].read(key), value) for key, value in own.items())


def test_complex_numbers_beside_the_weights(tmp_path: Path) -> None:
    beside = torch.zeros(2, dtype=torch.complex64)
    torch.save({"state_dict": weights(), "signal": beside}, tmp_path / "a.pt")
    assert load_classifier(tmp_path / "a.pt").feature_count > 0
    torch.save({"signal": beside}, tmp_path / "b.pt")
    refused(lambda: load_classifier(tmp_path / "b.pt"), "b.pt is quantised or sparse")


@pytest.mark.parametrize("options", [{}, OLD])
def test_floats_of_8_bits_become_float32(tmp_path: Path, options: dict) -> None:
    own = {
        key: value.to(torch.float8_e4m3fn) if key.endswith("bias") else value
        for key, value in weights().items()
    }
    if options:
        save_file(own, tmp_path / "a.safetensors")
    else:
        torch.save(own, tmp_path / "a.pt")
    file = next(tmp_path.iterdir())
    classifier = load_classifier(file)
    assert classifier.bias is not None
    assert torch.equal(classifier.bias, own["head.bias"].float())
    assert classifier.logits(torch.rand(1, 20, 20, 3)).shape == (1, 2)


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_arrays_of_both_numpys_beside_the_weights(core: str) -> None:
    assert read_pickle(f"c{core}.numeric\n_frombuffer\n.".encode()).value is not None


SHARED = b"]q\x00" + b"0](h\x00h\x00eq\x00" * 20
"""A list that holds the same list twice, and so on: small here, and a text of megabytes."""


@pytest.mark.parametrize("names", [SHARED + b"U\x01a", b"U\x01a" + SHARED])
def test_names_that_are_no_text(names: bytes) -> None:
    with pytest.raises(ValueError, match="no text"):
        read_pickle(names + b"\x93.")


def archive_with(tmp_path: Path, storage: bytes, shape: bytes = b"K\x01\x85") -> Path:
    """A file of one tensor, whose storage and shape are pickled as they are given."""
    head = b"\x80\x02}q\x07U\x01wctorch._utils\n_rebuild_tensor_v2\n("
    tensor = head + b"(U\x07storage" + storage + b"tQK\x00" + shape + shape + b"\x89}tRs."
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", tensor)
        archive.writestr("a/data/0", bytes(4))
    return tmp_path / "a.pt"


def test_the_archive_of_these_tests_is_read(tmp_path: Path) -> None:
    file = archive_with(tmp_path, b"ctorch\nFloatStorage\nU\x010U\x03cpuK\x01")
    assert read_checkpoint(file).state["w"].read("w").tolist() == [0]


@pytest.mark.parametrize("place", ["kind", "key"])
def test_storages_called_by_what_is_no_name(tmp_path: Path, place: str) -> None:
    kind = SHARED if place == "kind" else b"ctorch\nFloatStorage\n"
    key = SHARED if place == "key" else b"U\x010"
    file = archive_with(tmp_path, kind + key + b"U\x03cpuK\x01")
    refused(lambda: load_classifier(file), "is described wrongly")


def test_a_table_in_place_of_a_shape(tmp_path: Path) -> None:
    file = archive_with(tmp_path, b"ctorch\nFloatStorage\nU\x010U\x03cpuK\x01", b"}")
    assert read_checkpoint(file).state["w"].read("w").shape == ()


def test_one_list_for_many_tables() -> None:
    pairs = b"".join(b"X\x04\x00\x00\x00%04dN\x86" % number for number in range(5000))
    calls = b"h\x00h\x01\x85R" * 5000
    pickle = b"ccollections\nOrderedDict\nq\x00(](" + pairs + b"eq\x01" + calls + b"l."
    with pytest.raises(ValueError, match="same list"):
        read_pickle(pickle)


def test_names_longer_than_any_network_has(tmp_path: Path) -> None:
    inner = {f"{number}.weight": torch.zeros(1) for number in range(50)}
    torch.save({"a" * 2**20: inner}, tmp_path / "a.pt")
    save_file({"loss" * 300 + "!": torch.zeros(1)}, tmp_path / "a.safetensors")
    for name in ("a.pt", "a.safetensors"):
        refused(lambda name=name: load_classifier(tmp_path / name), f"^{name} was refused: '")


@pytest.mark.parametrize("shape", [[2**62] * 9, [10**4000]])
def test_huge_claims_get_short_sentences(tmp_path: Path, shape: list[int]) -> None:
    for entry in (
        {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, shape[0]]},
        {"dtype": "F" * 10**6, "shape": [1], "data_offsets": [0, 4]},
    ):
        header = json.dumps({"w" * 10**5: entry}).encode()
        (tmp_path / "a.sft").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
        refused(lambda: read_checkpoint(tmp_path / "a.sft"), "^a.sft ")


@pytest.mark.parametrize("gap", [0, 8])
def test_a_list_of_records_that_two_ends_tell_differently(tmp_path: Path, gap: int) -> None:
    """Python's zipfile believes the end for large archives, wherever there is one."""
    torch.save(weights(), tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    end = data.rindex(b"PK\x05\x06")
    large = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    between = bytes(gap)
    (tmp_path / "a.pt").write_bytes(data[:end] + large + between + locator + data[end:])
    refused(lambda: read_checkpoint(tmp_path / "a.pt"), "list of its records claims")


def test_a_record_before_the_begin_of_the_file(tmp_path: Path) -> None:
    file = archive_with(tmp_path, b"ctorch\nFloatStorage\nU\x010U\x03cpuK\x01")
    data = bytearray(file.read_bytes())
    place = data.rindex(b"PK\x05\x06") + 16  # where the list of records is said to begin
    (begin,) = struct.unpack_from("<I", data, place)
    struct.pack_into("<I", data, place, begin + 10)
    file.write_bytes(data)
    refused(lambda: read_checkpoint(file), "a record lies before its begin")


def test_the_command_to_convert_holds_no_command_of_the_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.1.2")
    for name, told in (("net-1.pth", "net-1.pth"), ("$(touch x).pt", "weights.pt")):
        with pytest.raises(ValueError) as caught:
            torch_file.read_torch_file(tmp_path / name)
        assert f"torch.load('{told}', weights_only=True)" in str(caught.value)


def test_integers_of_very_many_digits() -> None:
    assert parse_json(f'{{"seed": 1{"0" * 5000}}}', "a.json") == {"seed": math.inf}
    assert parse_json('{"seed": 18446744073709551615}', "a.json") == {"seed": 2**64 - 1}
    facts = metadata_facts({"hash": "1" * 5000, "labels": '["cat", "dog"]'})
    assert facts.labels == ("cat", "dog")


NAN = float("nan")


@pytest.mark.parametrize(
    "values",
    [
        {"pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 5e-324}},
        {"pretrained_cfg": {"crop_mode": "border", "mean": [NAN] * 3}},
        {"pretrained_cfg": {"crop_mode": "border", "mean": [1e308] * 3}},
        {"pretrained_cfg": {"input_size": [3, 10**99, 10**99]}},
        {"pretrained_cfg": {"interpolation": "x" * 10**6}},
        {"input_size": [3, 224, 224], "crop_pct": 5e-324},
        {"input_size": 10**99, "crop_pct": 0.9},
        {"input_size": math.inf, "crop_pct": 0.9},
        {"resize": math.inf},
        {"preprocessing": {"resize_longest": []}},
        {"preprocessing": {"resize_longest": False}},
    ],
)
def test_numbers_out_of_all_proportion(values: dict) -> None:
    refused(lambda: make_preprocessing(read_facts(values).preprocessing), ".")


@pytest.mark.parametrize("suffix", ["", "Fast"])
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 5e-324}),
        ("PoolFormer", {"crop_pct": "x" * 10**6}),
        ("Perceiver", {"crop_size": 0}),
        ("ViT", {"size": 0}),
        ("ViT", {"size": -1}),
        ("CLIP", {"size": {"shortest_edge": True}}),
        ("CLIP", {"resample": "x" * 10**6}),
        ("CLIP", {"image_mean": [NAN] * 3}),
        ("CLIP", {"rescale_factor": "x" * 10**6}),
    ],
)
def test_processors_out_of_all_proportion(kind: str, values: dict, suffix: str) -> None:
    file = {"image_processor_type": f"{kind}ImageProcessor{suffix}", **values}
    refused(lambda: make_preprocessing(processor_steps(file)[0]), ".")
