"""Folders of timm: built as their model_args say, prepared as timm itself would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from colours import textured
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config
from timm_folders import COLOURS, TAGGER, VIT, make_folder, tagger_folder
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from detour.classifier.facts import make_preprocessing, read_facts
from detour.classifier.load import load_classifier
from detour.classifier.networks import SmallCNN
from detour.classifier.save import save_classifier
from detour.classifier.timm_config import options, timm_steps


def theirs(cfg: dict, images: Tensor) -> Tensor:
    transform = create_transform(**resolve_data_config(pretrained_cfg=cfg))
    return torch.stack([transform(to_pil_image(image.permute(2, 0, 1))) for image in images])


@pytest.mark.parametrize("shape", [(240, 320), (241, 333), (50, 20)])
@pytest.mark.parametrize("mode", ["center", "squash", "border", None])
@pytest.mark.parametrize(
    "others",
    [
        {"crop_pct": 1.0},
        {"crop_pct": 0.9, "interpolation": "bilinear"},
        {"crop_pct": 1.2, "interpolation": "lanczos"},
        {"input_size": [3, 32, 49], "interpolation": "nearest"},
        {"mean": [0.5], "std": None},
    ],
)
def test_pictures_of_each_crop_mode(mode: str, others: dict, shape: tuple[int, int]) -> None:
    cfg = {"input_size": [3, 48, 48], "crop_mode": mode, **COLOURS, **others}
    images = textured(*shape)
    assert torch.equal(make_preprocessing(timm_steps(cfg)[0])(images), theirs(cfg, images))


@pytest.mark.parametrize(
    ("name", "model_args", "cfg"),
    [
        ("vit_base_patch16_224", TAGGER, {"input_size": [3, 48, 48], "crop_pct": 1.0}),
        (
            "vit_base_patch16_224",
            {**VIT, "global_pool": "avg", "class_token": True},
            {"input_size": [3, 64, 64], "fixed_input_size": True, "crop_mode": "squash"},
        ),
        ("vit_base_patch16_224", {**VIT, "img_size": [32, 48]}, {"input_size": [3, 32, 48]}),
        ("resnet18", {"global_pool": "max"}, {"input_size": [3, 48, 48], "crop_mode": "border"}),
        ("mobilenetv3_small_050", {}, {"input_size": [3, 48, 48], "crop_mode": "squash"}),
    ],
)
@torch.no_grad()
def test_logits_of_timm(name: str, model_args: dict, cfg: dict, tmp_path: Path) -> None:
    cfg = {**COLOURS, **cfg}
    built = {**model_args, "img_size": 64} if cfg.get("fixed_input_size") else model_args
    network = make_folder(tmp_path / "net", name, built, cfg)
    file = json.loads((tmp_path / "net" / "config.json").read_text())
    file["model_args"] = model_args
    (tmp_path / "net" / "config.json").write_text(json.dumps(file))
    classifier = load_classifier(tmp_path / "net", activation="sigmoid")
    assert classifier.description.architecture == f"timm:{name}"
    assert classifier.labels == ("a", "b", "c")
    images = textured()
    # The same memory layout as ours: convolutions round by it.
    pixels = theirs(cfg, images).contiguous(memory_format=torch.channels_last)
    assert torch.equal(classifier.logits(images), network(pixels))
    saved = save_classifier(tmp_path / "one.safetensors", classifier)
    again = load_classifier(saved)
    assert again.description == classifier.description
    assert torch.equal(again.logits(images), classifier.logits(images))


@torch.no_grad()
def test_the_wrapper_of_transformers(tmp_path: Path) -> None:
    cfg = {"input_size": [3, 48, 48], "crop_mode": "squash", **COLOURS}
    config = transformers.TimmWrapperConfig(
        "vit_base_patch16_224", model_args=TAGGER, num_labels=3, pretrained_cfg=cfg
    )
    torch.manual_seed(0)
    network = transformers.TimmWrapperForImageClassification(config).eval()
    for value in network.parameters():
        value.add_(torch.randn_like(value), alpha=0.1)
    network.save_pretrained(tmp_path)
    images = textured()
    pixels = theirs(cfg, images).contiguous(memory_format=torch.channels_last)
    assert torch.equal(load_classifier(tmp_path).logits(images), network(pixels).logits)


def test_the_older_flat_form(tmp_path: Path) -> None:
    cfg = {"input_size": [3, 48, 48], "crop_pct": 0.9, "interpolation": "bilinear", **COLOURS}
    make_folder(tmp_path, "mobilenetv3_small_050", {}, {})
    file = {"architecture": "mobilenetv3_small_050", "label_names": ["a", "b", "c"], **cfg}
    (tmp_path / "config.json").write_text(json.dumps(file))
    classifier = load_classifier(tmp_path)
    assert torch.equal(classifier.preprocessing(textured()), theirs(cfg, textured()))
    assert classifier.labels == ("a", "b", "c")


@pytest.mark.parametrize("of_wd", [True, False])
@torch.no_grad()
def test_a_tagger_needs_no_more_than_its_folder(of_wd: bool, tmp_path: Path) -> None:
    """Compared with what its authors do: a white square around it, and for WD blue before red."""
    network, cfg = tagger_folder(tmp_path)
    if of_wd:
        (tmp_path / "sw_jax_cv_config.json").write_text("{}")
    tagger = load_classifier(tmp_path)
    assert tagger.labels == ("general", "1girl", "a (b, c)")
    assert tagger.description.activation == "sigmoid"
    assert ("blue, green, red" in " ".join(tagger.notes)) == of_wd
    images = textured(120, 120)
    pixels = theirs(cfg, images)
    pixels = (pixels.flip(1) if of_wd else pixels).contiguous(memory_format=torch.channels_last)
    assert torch.equal(tagger.logits(images), network(pixels))
    wide = textured(60, 120)
    square = torch.ones(1, 120, 120, 3)
    square[:, 30:90] = wide
    near = theirs(cfg, square)
    got = tagger.preprocessing(wide)
    assert torch.equal(got[..., :12, :], torch.ones(1, 3, 12, 48))
    assert (got - (near.flip(1) if of_wd else near))[..., 14:34, :].abs().max() < 0.03
    again = load_classifier(save_classifier(tmp_path / "one.safetensors", tagger))
    assert again.description == tagger.description


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (b"tag_id,title\n1,a\n", "no column 'name'"),
        (b"", "no column 'name'"),
        (b"tag_id,name\n1\n", "Line 2 of selected_tags.csv has no name"),
        (b"tag_id,name\n1,a\n", "1 labels|1 label"),
        (b"\xff\xfe\x00", "no table in UTF-8"),
    ],
)
def test_tables_of_tags_that_cannot_be_used(table: bytes, sentence: str, tmp_path: Path) -> None:
    tagger_folder(tmp_path)
    (tmp_path / "selected_tags.csv").write_bytes(table)
    with pytest.raises(ValueError, match=sentence):
        load_classifier(tmp_path)


def test_what_is_assumed_is_said(tmp_path: Path) -> None:
    make_folder(tmp_path, "mobilenetv3_small_050", {}, {"input_size": [3, 48, 48]})
    notes = " ".join(load_classifier(tmp_path).notes)
    assert "pretrained_cfg does not say crop_pct, interpolation, mean, std" in notes


def test_an_architecture_that_is_named_leaves_its_options_alone(tmp_path: Path) -> None:
    make_folder(tmp_path, "vit_base_patch16_224", TAGGER, {"input_size": [3, 48, 48]})
    load_classifier(tmp_path, architecture="timm:vit_base_patch16_224")
    with pytest.raises(ValueError, match="does not fit timm:vit_tiny_patch16_224"):
        load_classifier(tmp_path, architecture="timm:vit_tiny_patch16_224")


@pytest.mark.parametrize(
    "argument",
    [
        {"checkpoint_path": "/etc/passwd"},
        {"pretrained": True},
        {"pretrained_cfg": {"file": "x"}},
        {"pretrained_cfg_overlay": {"url": "x"}},
        {"cache_dir": "/tmp"},
        {"features_only": True},
        {"act_layer": "a b; import os"},
        {"act_layer": {"name": "gelu"}},
        {"depth": 10**9},
        {"depth": float("nan")},
        {"img_size": [[1, 2], [3, 4]]},
        {"drop": list(range(99))},
        {"a" * 9000: 1},
        {"in_chans": 4},
    ],
)
def test_arguments_that_no_file_may_give(argument: dict) -> None:
    with pytest.raises(ValueError, match=r"model_args has|channels") as refusal:
        read_facts({"architecture": "resnet18", "model_args": argument})
    assert len(str(refusal.value)) <= 600
    with pytest.raises(ValueError, match=r"model_args has|channels"):
        options(json.dumps({"model_args": argument}))


def test_a_tag_of_no_weights_of_timm(tmp_path: Path) -> None:
    """As people call what they tuned."""
    save_file(SmallCNN(2).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"'timm:resnet18\.mine' is unknown"):
        load_classifier(tmp_path / "a.safetensors", architecture="timm:resnet18.mine")


def test_arguments_that_timm_does_not_know(tmp_path: Path) -> None:
    make_folder(tmp_path, "mobilenetv3_small_050", {}, {})
    file = json.loads((tmp_path / "config.json").read_text())
    file["model_args"] = {"no_such": 3, "pretrained": False, "drop_rate": None}
    (tmp_path / "config.json").write_text(json.dumps(file))
    with pytest.raises(ValueError, match=r"cannot build mobilenetv3_small_050 .*no_such"):
        load_classifier(tmp_path)
    with pytest.raises(ValueError, match="holds no model_args"):
        options("[]")


@pytest.mark.parametrize(
    ("cfg", "sentence"),
    [
        ({"crop_mode": "zoom"}, "crop_mode 'zoom'"),
        ({"interpolation": "magic"}, "interpolation 'magic'"),
        ({"crop_pct": -1}, "crop_pct -1"),
        ({"input_size": 224}, "input_size 224"),
        ({"input_size": [1, 28, 28]}, "1 channels"),
        ({"mean": ["a"]}, "mean .* three numbers"),
    ],
)
def test_entries_that_cannot_be_used(cfg: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        timm_steps(cfg)
