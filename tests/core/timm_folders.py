"""Folders as timm saves them, with small networks and random weights. Not a test file."""

from __future__ import annotations

import json
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

VIT = {"embed_dim": 32, "depth": 2, "num_heads": 2}
COLOURS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
TAGGER = {  # the shape of the WD v3 taggers
    "act_layer": "gelu_tanh",
    "class_token": False,
    "fc_norm": False,
    "global_pool": "avg",
    "img_size": 48,
    **VIT,
}


def make_folder(folder: Path, name: str, model_args: dict, cfg: dict) -> torch.nn.Module:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=3, **model_args).eval()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value), alpha=0.1)
    folder.mkdir(exist_ok=True)
    save_file(network.state_dict(), folder / "model.safetensors")
    config = {"architecture": name, "num_classes": 3, "label_names": ["a", "b", "c"]}
    config |= {"pretrained_cfg": cfg} | ({"model_args": model_args} if model_args else {})
    (folder / "config.json").write_text(json.dumps(config))
    return network


TAGS = 'tag_id,name,category,count\n9,general,9,5\n1,1girl,0,9\n2,"a (b, c)",4,3\n'


def tagger_folder(folder: Path) -> tuple[torch.nn.Module, dict]:
    """As those on the hub: no labels in config.json, a table of tags beside it."""
    cfg = {"input_size": [3, 48, 48], "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3}
    network = make_folder(folder, "vit_base_patch16_224", TAGGER, cfg)
    file = json.loads((folder / "config.json").read_text())
    del file["label_names"]
    (folder / "config.json").write_text(json.dumps(file))
    (folder / "selected_tags.csv").write_text(TAGS)
    return network, cfg
