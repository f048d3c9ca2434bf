"""Folders of the transformers library, made here with small networks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers_families import make_folder

from detour.classifier import transformers_folder
from detour.classifier.load import load_classifier
from detour.classifier.save import save_classifier
from detour.classifier.transformers_folder import REGRESSION

Make = Callable[..., Tensor]
PARTS = ("weight", "bias")
LABELS = {0: "cat", 1: "dog", 2: "bird"}
NAMED = {"id2label": LABELS, "label2id": {label: number for number, label in LABELS.items()}}


@pytest.mark.parametrize(
    ("kind", "problem", "activation"),
    [("vit", None, "softmax"), ("resnet", "multi_label_classification", "sigmoid")],
)
@torch.no_grad()
def test_a_folder_becomes_one_file(
    kind: str, problem: str | None, activation: str, tmp_path: Path, pictures: Make
) -> None:
    make_folder(tmp_path / "net", kind, problem_type=problem, **NAMED)
    classifier = load_classifier(tmp_path / "net")
    assert classifier.labels == ("cat", "dog", "bird")
    assert classifier.description.architecture == f"transformers:{kind}"
    assert classifier.description.activation == activation
    images = pictures(2, 40, 40)
    theirs = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "net").eval()
    pixels = classifier.preprocessing(images)
    assert torch.equal(classifier.logits(images), theirs(pixels).logits)
    file = save_classifier(tmp_path / "one.safetensors", classifier)
    again = load_classifier(file)
    assert again.description == classifier.description
    assert torch.equal(again.logits(images), classifier.logits(images))


def test_a_regression_is_no_class_that_is_always_there(tmp_path: Path, pictures: Make) -> None:
    """A scorer of aesthetics: softmax of its one number would be 1 for every picture."""
    make_folder(tmp_path, "vit")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"problem_type": "regression", "id2label": {"0": "aesthetic"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = load_file(tmp_path / "model.safetensors")
    weights |= {f"classifier.{part}": weights[f"classifier.{part}"][:1] for part in PARTS}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    scorer = load_classifier(tmp_path)
    assert scorer.description.activation == "sigmoid" and REGRESSION in scorer.notes
    logits = scorer.logits(pictures(3))
    assert len(scorer.scores(logits).unique()) == 3
    assert torch.equal(scorer.scores(logits), logits.sigmoid())


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        load_classifier(tmp_path)
    make_folder(tmp_path, "vit")
    config = json.loads((tmp_path / "config.json").read_text())

    def refused(changes: dict, sentence: str) -> None:
        (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
        with pytest.raises(ValueError, match=sentence):
            load_classifier(tmp_path)

    refused({"quantization_config": {"load_in_8bit": True}}, "is quantised")
    refused({"model_type": "llama"}, "cannot build an image classifier of the kind 'llama'")
    refused({"model_type": "no_such"}, "kind 'no_such'")
    refused({"hidden_size": 48}, "does not fit transformers:vit")
    refused({"hidden_size": "x"}, "cannot build")
    refused({"hidden_size": 10**12}, "hidden_size is 1000000000000 in the configuration")
    refused({"id2label": {"0": "a", "1": "b"}}, "There are 2 labels")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors"):
        load_classifier(tmp_path)


def test_weights_get_the_names_of_newer_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers 5 renames modules and not files; here as much of it as that takes."""

    class WeightRenaming:
        def __init__(self, old: str, new: str) -> None:
            self.old, self.new = old, new

    def rename(key: str, renamings: list, _converters: list) -> tuple[str, None]:
        for one in renamings:
            key = key.replace(one.old, one.new)
        return key, None

    network = torch.nn.ModuleDict(
        {"layers": torch.nn.Linear(2, 2), "encoder": torch.nn.Linear(2, 2)}
    )
    steps = [WeightRenaming("encoder.layer.", "layers."), WeightRenaming("encoder.", "wrong."), 1]
    for name, held in {
        "conversion_mapping": {"get_model_conversion_mapping": lambda _network: steps},
        "core_model_loading": {"WeightRenaming": WeightRenaming, "rename_source_key": rename},
    }.items():
        module = ModuleType(f"transformers.{name}")
        module.__spec__ = ModuleSpec(module.__name__, None)
        vars(module).update(held)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    state = {"encoder.layer.weight": 1, "encoder.bias": 2, "other": 3}
    named = transformers_folder.own_names(network, state)
    assert named == {"layers.weight": 1, "encoder.bias": 2, "other": 3}


def test_code_in_a_folder_does_not_run(tmp_path: Path) -> None:
    make_folder(tmp_path, "vit")
    target = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(target)!r}, 'w')\n")
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "evil.Config",
        "AutoModelForImageClassification": "evil.Model",
    }
    # Names of kernels and backbones that transformers would fetch from the network.
    config |= {"attn_implementation": "someone/kernel", "_attn_implementation": "someone/kernel"}
    config |= {"use_pretrained_backbone": True, "backbone": "someone/backbone"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    classifier = load_classifier(tmp_path)
    assert classifier.description.architecture == "transformers:vit"
    assert "someone" not in classifier.description.config
    assert not target.exists()
    config["model_type"] = "timm_wrapper"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="load its weights by themselves"):
        load_classifier(tmp_path)


def test_a_network_that_is_built_and_does_not_run(tmp_path: Path) -> None:
    make_folder(tmp_path, "vit")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_act": ["gelu"]}))
    with pytest.raises(ValueError, match="'list' object is not callable"):
        load_classifier(tmp_path)


def test_transformers_that_is_missing_is_named(tmp_path: Path, monkeypatch) -> None:
    make_folder(tmp_path, "vit")
    monkeypatch.setattr(transformers_folder, "LIBRARY", "transformers_that_is_missing")
    with pytest.raises(ValueError, match="pip install transformers"):
        load_classifier(tmp_path)


def test_a_folder_that_names_neither_class_nor_processor(tmp_path: Path, pictures: Make) -> None:
    network, _ = make_folder(tmp_path, "deit")
    (tmp_path / "preprocessor_config.json").unlink()
    config = json.loads((tmp_path / "config.json").read_text())
    del config["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    classifier = load_classifier(tmp_path)
    assert any("no preprocessor_config.json" in note for note in classifier.notes)
    with torch.no_grad():
        theirs = network(classifier.preprocessing(pictures())).logits
    assert torch.equal(classifier.logits(pictures()), theirs)
