"""Files are read safely: nothing in them runs, and what is broken is said."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from detour.classifier.checkpoint import read_checkpoint
from detour.classifier.load import load_classifier
from detour.classifier.model import ImageClassifier
from detour.classifier.networks import SmallCNN


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return SmallCNN(3).state_dict()


class Hostile:
    """A pickle of this creates a file as soon as it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "ckpt", "pkl"])
def test_a_hostile_pickle_does_not_run(
    tmp_path: Path, ending: str, wrapped: bool, archive: bool
) -> None:
    target, file = tmp_path / "ran", tmp_path / f"hostile.{ending}"
    content = {"state_dict": state(), "extra": Hostile(target)} if wrapped else Hostile(target)
    torch.save(content, file, _use_new_zipfile_serialization=archive)
    with pytest.raises(ValueError, match="could run code"):
        load_classifier(file)
    assert not target.exists()
    torch.load(file, weights_only=False)
    assert target.exists(), "the pickle was harmless: this test proves nothing"


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(SmallCNN(3), tmp_path / "module.pth")
    with pytest.raises(ValueError, match="state_dict"):
        load_classifier(tmp_path / "module.pth")


def test_averaged_weights_are_announced(tmp_path: Path) -> None:
    torch.save({"state_dict": state(), "state_dict_ema": state()}, tmp_path / "c.pt")
    assert "averaged weights" in read_checkpoint(tmp_path / "c.pt").notes[0]


def test_a_wrapper_inside_itself_ends(tmp_path: Path) -> None:
    circle: dict = {}
    circle["model"] = circle
    torch.save(circle, tmp_path / "circle.pt")
    with pytest.raises(ValueError, match="no table of named weights"):
        read_checkpoint(tmp_path / "circle.pt")
    torch.save({"n_averaged": torch.tensor(1)}, tmp_path / "nothing.pt")
    with pytest.raises(ValueError, match="is not recognised"):
        load_classifier(tmp_path / "nothing.pt")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_becomes_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = {key: value.to(dtype) for key, value in state().items()}
    save_file(weights, tmp_path / "c.safetensors")
    read = read_checkpoint(tmp_path / "c.safetensors").state
    assert all(torch.equal(read[key].read(key), value.float()) for key, value in weights.items())
    assert load_classifier(tmp_path / "c.safetensors").weight.dtype == torch.float32


@pytest.mark.parametrize("kept", [0, 5, 100, 2000, 5000, -100, -1])
@pytest.mark.parametrize(
    ("save", "ending", "sentence"),
    [
        (save_file, "safetensors", r"cut\.safetensors .*Get it again"),
        (torch.save, "pt", r"cut\.pt (is damaged|was refused)"),
    ],
)
def test_truncated_files(tmp_path: Path, save, ending: str, sentence: str, kept: int) -> None:
    save(state(), tmp_path / "whole")
    (tmp_path / f"cut.{ending}").write_bytes((tmp_path / "whole").read_bytes()[:kept])
    with pytest.raises(ValueError, match=sentence):
        read_checkpoint(tmp_path / f"cut.{ending}")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (struct.pack("<Q", 2**42) + b"{}", "claims a header of 4,398,046,511,104 bytes"),
        (b'{"fc.weight": 1} and more', "claims a header"),
        (struct.pack("<Q", 2) + b"[]", "no JSON object"),
        (struct.pack("<Q", 4) + b"\xff\xfe{}", "no JSON object"),
        (struct.pack("<Q", 9) + b'{"a": {}}', "'a' has no place"),
    ],
)
def test_files_that_are_no_safetensors(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ([0, 4 * 10**12], "claims 4,000,000,000,000 bytes of weights, 4 are there"),
        ([4 * 10**12 - 4, 4 * 10**12], "claims 4,000,000,000,000 bytes of weights, 4 are there"),
        ([0, 4], "claims the shape"),
    ],
)
def test_a_header_that_claims_terabytes(tmp_path: Path, place: list[int], sentence: str) -> None:
    entry = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": place}
    header = json.dumps({"fc.weight": entry}).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"data")
    with pytest.raises(ValueError, match=sentence):
        load_classifier(tmp_path / "x.safetensors")


def test_a_pytorch_file_that_unpacks_to_more_than_it_is(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(1000, 1000)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in plain.namelist():
            bomb.writestr(entry, plain.read(entry))
    with pytest.raises(ValueError, match="unpacks to 4,"):
        read_checkpoint(tmp_path / "bomb.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_weights(tmp_path: Path, value: float) -> None:
    weights = state()
    weights["features.2.weight"][0, 1] = value
    save_file(weights, tmp_path / "c.safetensors")
    torch.save(weights, tmp_path / "c.pt")
    for name in ("c.safetensors", "c.pt"):
        with pytest.raises(ValueError, match=r"9 of the 4608 values of 'features\.2\.weight' are"):
            load_classifier(tmp_path / name)


@pytest.mark.parametrize(
    "weights",
    [
        {"fc.weight": torch.ones(2, 3, dtype=torch.int8)},
        {"fc.weight": torch.ones(2, 3).to(torch.float8_e4m3fn)},
        {"fc.weight": torch.ones(2, 3), "fc.SCB": torch.ones(2)},
        {"fc.qweight": torch.ones(2, 3, dtype=torch.int32)},
    ],
)
def test_quantised_weights(tmp_path: Path, weights: dict) -> None:
    save_file(weights, tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match="quantised or sparse"):
        read_checkpoint(tmp_path / "c.safetensors")


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="check the name"):
        load_classifier(tmp_path / "missing.pth")
    (tmp_path / "x.onnx").touch()
    with pytest.raises(ValueError, match=r"ends in '\.onnx'"):
        load_classifier(tmp_path / "x.onnx")
    for content in ({}, [torch.ones(2)], 3, {"a": 1}, {1: torch.ones(1)}):
        torch.save(content, tmp_path / "x.pt")
        with pytest.raises(ValueError, match="no table of named weights"):
            load_classifier(tmp_path / "x.pt")


def test_reading_leaves_the_file_alone(tmp_path: Path, small: ImageClassifier) -> None:
    torch.save(small.backbone.weights_with_head(small.weight, small.bias), tmp_path / "c.pt")
    before = (tmp_path / "c.pt").read_bytes()
    load_classifier(tmp_path / "c.pt")
    assert (tmp_path / "c.pt").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["c.pt"]
