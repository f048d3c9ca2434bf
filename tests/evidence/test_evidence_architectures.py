"""A few networks of each library, from their own files to an edited weight; the table."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

pytest.importorskip("timm", reason="timm comes with dev.py test")

from evidence import architectures, networks
from evidence.architectures import Outcome, judge

MORE = (
    "torchvision:mnasnet0_5",
    "torchvision:regnet_y_400mf",
    "timm:convnext_atto",
    "timm:test_efficientnet",
    "transformers:resnet",
)
USUAL = ("torchvision:shufflenet_v2_x0_5", "timm:test_vit", "transformers:mobilenet_v2")
READ = [*USUAL, *(pytest.param(name, marks=pytest.mark.long) for name in MORE)]
REFUSED = {
    "torchvision:squeezenet1_1": "its head is a convolution",
    "timm:pit_ti_distilled_224": "several layers for its classes (head, head_dist)",
}
QUICK = {network.full_name: network for network in architectures.chosen(quick=True)}


def test_these_are_all() -> None:
    assert {*USUAL, *MORE, *REFUSED} == set(QUICK)


@pytest.mark.parametrize("name", READ)
def test_a_network_is_read_classifies_and_is_edited(name: str) -> None:
    outcome = judge(QUICK[name])
    assert outcome.text == "" and outcome.verdict == "read"
    assert outcome.loaded and outcome.classified and outcome.edited
    assert outcome.found == ("folder" if name.startswith("transformers") else "named")


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_without_one_last_layer_is_refused(name: str) -> None:
    outcome = judge(QUICK[name])
    assert outcome.verdict == "refused" and REFUSED[name] in outcome.text
    assert not outcome.loaded


def test_what_is_too_large_is_said() -> None:
    outcome = judge(QUICK["timm:test_vit"], largest=1000)
    assert (outcome.verdict, outcome.loaded) == ("not run", False)
    assert outcome.text == f"{outcome.parameters:,} parameters"


def test_wrong_logits_are_wrong(monkeypatch) -> None:
    def other(network: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        return network(pixels) + 1

    monkeypatch.setattr(architectures, "logits_of", other)
    outcome = judge(QUICK["timm:test_vit"])
    assert outcome.verdict == "wrong" and outcome.text.startswith("logits differ by")


def test_every_family_is_tried() -> None:
    names = {network.name for network in networks.torchvision_networks()}
    assert {"alexnet", "vit_h_14", "regnet_x_32gf", "googlenet", "maxvit_t"} < names
    kinds = {network.name for network in networks.transformers_networks()}
    assert {"vit", "swin", "beit", "dinov2", "convnextv2"} < kinds


def test_the_command(tmp_path, monkeypatch, capsys) -> None:
    tried = [QUICK["timm:test_vit"], QUICK["torchvision:mnasnet0_5"]]

    def found(network, largest) -> Outcome:
        verdict = "read" if network.library == "timm" else "wrong"
        return Outcome(network.full_name, "", 1000, "named", True, verdict=verdict)

    monkeypatch.setattr(architectures, "chosen", lambda quick: tried)
    monkeypatch.setattr(architectures, "judge", found)
    monkeypatch.setattr("sys.argv", ["evidence", "--json", str(tmp_path / "table.json")])
    assert architectures.main() == 1
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["summary"] == {"timm": "1 read", "torchvision": "1 wrong"}
    assert len(table["networks"]) == 2 and "timm:test_vit" in capsys.readouterr().out
