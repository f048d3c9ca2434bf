"""Folders and files in the shapes of those that artists use, with small networks and random
weights: what their own library makes of them, or one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import transformers
from colours import textured
from PIL import Image
from safetensors.torch import load_file, save_file
from timm_folders import COLOURS, TAGGER, tagger_folder
from timm_folders import make_folder as make_timm_folder
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.functional import to_pil_image
from transformers_families import SIDE, make_folder

from detour.classifier.load import ONE_OUTPUT, load_classifier

HALF = [0.5] * 3
NEW = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": HALF,
    "image_std": HALF,
    "image_processor_type": "ViTImageProcessor",
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"height": SIDE, "width": SIDE},
}
OLD = {
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "ViTFeatureExtractor",
    "image_mean": HALF,
    "image_std": HALF,
    "resample": 2,
    "size": SIDE,
}
BEIT = {"feature_extractor_type": "BeitFeatureExtractor", "do_center_crop": False}


def as_it_is(folder: Path) -> None:
    """One model.safetensors."""


def as_bin(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    torch.save({"state": 1}, folder / "training_args.bin")


def in_parts(folder: Path) -> None:
    network = transformers.AutoModelForImageClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    network.save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").is_file()


def in_parts_of_bin(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {key: f"pytorch_model-{n % 2}.bin" for n, key in enumerate(weights)}
    for name in set(places.values()):
        part = {key: value for key, value in weights.items() if places[key] == name}
        torch.save(part, folder / name)
    index = json.dumps({"metadata": {}, "weight_map": places})
    (folder / "pytorch_model.bin.index.json").write_text(index)


@pytest.mark.parametrize(
    ("family", "labels", "processor", "weights"),
    [
        ("vit", ("normal", "nsfw"), NEW, as_it_is),
        ("vit", ("0-2", "3-9", "10-19"), OLD, in_parts),
        ("beit", ("not_aesthetic", "aesthetic"), {**OLD, **BEIT}, as_bin),
        ("swin", ("artificial", "human"), OLD, in_parts_of_bin),
        (
            "siglip",
            ("real", "fake"),
            {**NEW, "image_processor_type": "SiglipImageProcessor"},
            as_bin,
        ),
    ],
)
@torch.no_grad()
def test_checkers_of_transformers(
    family: str, labels: tuple, processor: dict, weights: Callable, tmp_path: Path
) -> None:
    names = dict(enumerate(labels))
    about = {"id2label": names, "label2id": {v: k for k, v in names.items()}}
    make_folder(tmp_path, family, **about, problem_type="single_label_classification")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    weights(tmp_path)
    classifier = load_classifier(tmp_path)
    assert (classifier.labels, classifier.description.activation) == (labels, "softmax")
    network = transformers.AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    prepare = transformers.AutoImageProcessor.from_pretrained(tmp_path, use_fast=False)
    images = textured(60, 80)
    pixels = prepare(to_pil_image(images[0].permute(2, 0, 1)), return_tensors="pt")["pixel_values"]
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    assert torch.equal(classifier.logits(images), network(pixels).logits)


def test_a_processor_saved_with_that_of_texts(tmp_path: Path) -> None:
    make_folder(tmp_path, "vit")
    wanted = load_classifier(tmp_path).preprocessing
    path = tmp_path / "preprocessor_config.json"
    part = json.loads(path.read_text()) | {"image_mean": [0.1, 0.2, 0.3]}
    path.unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": part}))
    found = load_classifier(tmp_path).preprocessing
    assert found.mean == (0.1, 0.2, 0.3) and found.resize == wanted.resize


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "cat\ndog, big\n\nbird\n"),
        ("class_names.txt", "\ufeffcat\ndog, big\nbird"),
        ("labels.json", '["cat", "dog, big", "bird"]'),
        ("tags.json", '{"bird": 2, "cat": 0, "dog, big": 1}'),
        ("classes.json", '{"2": "bird", "0": "cat", "1": "dog, big"}'),
        ("id2label.json", '{"id2label": {"2": "bird", "0": "cat", "1": "dog, big"}}'),
    ],
)
def test_labels_in_a_file_of_their_own(name: str, text: str, tmp_path: Path) -> None:
    make_folder(tmp_path, "vit", id2label={0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {str(number): f"LABEL_{number}" for number in range(3)}
    (tmp_path / "config.json").write_text(json.dumps(config))
    numbered = load_classifier(tmp_path)
    assert numbered.labels[0] == "LABEL_0"
    assert "what they mean stands where you found" in " ".join(numbered.notes)
    (tmp_path / name).write_text(text, encoding="utf-8")
    classifier = load_classifier(tmp_path)
    assert classifier.labels == ("cat", "dog, big", "bird")
    assert classifier.notes == (f"Its folder names the classes in {name}.",)
    assert load_classifier(tmp_path, labels=("x", "y", "z")).labels == ("x", "y", "z")


ANIMETIMM = [
    {"type": "pad_to_size", "size": [64, 64], "background_color": "white"},
    {"type": "resize", "size": 52, "interpolation": "bicubic", "max_size": None},
    {"type": "center_crop", "size": [48, 48]},
    {"type": "maybe_to_tensor"},
    {"type": "normalize", **COLOURS},
]
ANIMETIMM[0]["interpolation"] = "bilinear"
THRESHOLDS = "id,name,category,best_threshold\n1,a,9,0.3\n2,b,0,0.6\n3,c,4,0.41\n"


def test_a_tagger_with_steps_and_thresholds_of_its_own(tmp_path: Path) -> None:
    """Its authors resize twice, to 64 with a border and then to 52: near to one resize."""
    make_timm_folder(tmp_path, "vit_base_patch16_224", TAGGER, {"input_size": [3, 48, 48]})
    (tmp_path / "selected_tags.csv").write_text(THRESHOLDS)
    (tmp_path / "preprocess.json").write_text(json.dumps({"test": ANIMETIMM}))
    tagger = load_classifier(tmp_path)
    assert tagger.description.threshold == 0.41 and tagger.description.activation == "sigmoid"
    assert not tagger.preprocessing.bgr
    assert "from 0.3 to 0.6; here one counts for all, their median 0.41" in " ".join(tagger.notes)
    assert load_classifier(tmp_path, threshold=0.2).description.threshold == 0.2
    wide = textured(100, 200)
    picture = Image.fromarray((wide[0].numpy() * 255).round().astype(np.uint8))
    square = Image.new("RGB", (64, 64), "white")
    square.paste(picture.resize((64, 32), Image.Resampling.BILINEAR), (0, 16))
    theirs = v2.Compose(
        [
            v2.Resize(52, v2.InterpolationMode.BICUBIC),
            v2.CenterCrop([48, 48]),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(COLOURS["mean"], COLOURS["std"]),
        ]
    )(square)
    ours = tagger.preprocessing(wide)[0]
    assert torch.equal(ours[:, :10], theirs[:, :10])  # the border, without the first row inside
    assert (ours - theirs).abs().mean() < 0.15


def test_from_which_score_on_a_tag_of_wd_counts(tmp_path: Path) -> None:
    tagger_folder(tmp_path)
    assert load_classifier(tmp_path).description.threshold == 0.5
    (tmp_path / "sw_jax_cv_config.json").write_text("{}")
    tagger = load_classifier(tmp_path)
    assert tagger.description.threshold == 0.35 and "from 0.35 on" in " ".join(tagger.notes)


@torch.no_grad()
def test_a_tagger_on_the_network_of_another(tmp_path: Path) -> None:
    """As PixAI's: Sequential(network, head), and nothing beside the weights."""
    network = timm.create_model("vit_base_patch16_224", num_classes=0, **TAGGER).eval()
    head = nn.Linear(32, 5)
    state = {f"0.{key}": value for key, value in network.state_dict().items()}
    state |= {"1.head.0.weight": head.weight, "1.head.0.bias": head.bias}
    torch.save(state, tmp_path / "tagger.pth")
    about = {"architecture": "timm:vit_base_patch16_224", "model_args": TAGGER}
    about |= {"resize": [48, 48], "crop": None, "activation": "sigmoid"}
    (tmp_path / "tagger.json").write_text(json.dumps(about))
    tagger = load_classifier(tmp_path / "tagger.pth")
    pixels = tagger.preprocessing(textured())
    assert torch.equal(tagger.logits(textured()), head(network(pixels)))


def linear(inputs: int, outputs: int) -> dict[str, Tensor]:
    return nn.Linear(inputs, outputs).state_dict()


CHECKER = {"concept_embeds": torch.ones(17, 8), "vision_model.x.weight": torch.ones(8, 8)}


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (CHECKER, "safety checker: it compares pictures with stored concepts"),
        (linear(768, 1), "go on the 768 features of another one"),
        (nn.Sequential(nn.Linear(512, 9), nn.ReLU(), nn.Linear(9, 1)).state_dict(), "the 512 feat"),
        ({"head.linear.weight": torch.ones(18166, 4)}, "one half of the last layer switches"),
        ({"cls": torch.ones(1, 1, 4)}, "with transformers' or timm's config"),
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_what_is_no_network_with_one_last_layer(
    weights: dict, sentence: str, folder: bool, tmp_path: Path
) -> None:
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=sentence):
        load_classifier(tmp_path if folder else tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("files", "error", "sentence"),
    [
        ({"model.onnx": "x"}, FileNotFoundError, r"only model\.onnx: ONNX is not read"),
        ({"saved_model.pb": "x"}, FileNotFoundError, "TensorFlow is not read"),
        ({"training_args.bin": "x"}, FileNotFoundError, r"has no model\.safetensors"),
        ({"a.pt": "x", "b.safetensors": "x"}, ValueError, r"several files .*a\.pt, b\.safetensors"),
        ({"a.safetensors": "x"}, ValueError, "has only 1 bytes"),
        (
            {"model.safetensors.index.json": '{"weight_map": {"a": "../b.safetensors"}}'},
            ValueError,
            r"files beside it, not '\.\./b\.safetensors'",
        ),
        ({"model.safetensors.index.json": '{"weight_map": {"a": [1]}}'}, ValueError, r"not \[1\]"),
        ({"model.safetensors.index.json": '{"weight_map": {"a": null}}'}, ValueError, "not None"),
        ({"model.safetensors.index.json": '{"weight_map": []}'}, ValueError, r"not \[\]"),
        (
            {"model.safetensors.index.json": '{"weight_map": {"a": "gone.safetensors"}}'},
            FileNotFoundError,
            "There is no file .*gone",
        ),
    ],
)
def test_folders_without_weights_that_are_read(
    files: dict, error: type[Exception], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(error, match=sentence):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("labels.json", '{"a": {"b": 1}}', "holds no list of labels"),
        ("labels.json", "[1", "cannot be read as JSON"),
        ("labels.txt", "one\ntwo\n", "There are 2 labels"),
        ("preprocess.json", '{"test": [{"type": "rotate"}]}', "must list resize and normalize"),
        ("preprocess.json", "{}", "must list resize and normalize"),
    ],
)
def test_files_beside_a_tagger_that_cannot_be_used(
    name: str, text: str, sentence: str, tmp_path: Path
) -> None:
    tagger_folder(tmp_path)
    if name.startswith("labels"):
        (tmp_path / "selected_tags.csv").unlink()
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=sentence):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": "x"}, "must be pixels"),
        ({"background_color": "no"}, "is no colour"),
        ({"mean": None}, "mean None"),
        ({"interpolation": ["a"]}, "interpolation"),
    ],
)
def test_steps_that_cannot_be_used(changes: dict, sentence: str, tmp_path: Path) -> None:
    tagger_folder(tmp_path)
    steps = [{**step, **{k: v for k, v in changes.items() if k in step}} for step in ANIMETIMM]
    (tmp_path / "preprocess.json").write_text(json.dumps({"test": steps}))
    with pytest.raises(ValueError, match=sentence):
        load_classifier(tmp_path)


def test_code_of_a_tagger_for_its_pictures(tmp_path: Path) -> None:
    make_folder(tmp_path, "vit")
    own = {
        "image_processor_type": "WDTaggerImageProcessor",
        "auto_map": {"AutoImageProcessor": "a.B"},
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**NEW, **own}))
    with pytest.raises(ValueError, match="code of the folder's own, which is never run here"):
        load_classifier(tmp_path)


def test_a_scorer_with_one_output_and_no_problem_type(tmp_path: Path) -> None:
    make_folder(tmp_path, "vit", num_labels=1)
    scorer = load_classifier(tmp_path)
    assert scorer.description.activation == "sigmoid" and ONE_OUTPUT in scorer.notes
