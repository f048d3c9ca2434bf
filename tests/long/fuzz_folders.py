"""Folders of the transformers library: what config.json and preprocessor_config.json may claim."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from fuzz_safetensors import use
from hostile import changed, damaged, nested
from safetensors.torch import load_file
from watch import CANARY, Case, Make

CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
NETWORKS = {
    "vit": (
        transformers.ViTConfig(
            **{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
            **{"intermediate_size": 16, "image_size": 16, "patch_size": 8},
        ),
        transformers.ViTImageProcessor(size={"height": 16, "width": 16}),
    ),
    "resnet": (
        transformers.ResNetConfig(
            embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic"
        ),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 28}, crop_pct=0.875),
    ),
}


@contextmanager
def opened(folder: Path) -> Iterator[Make]:
    """The generator."""
    wholes = []
    for name, (config, processor) in NETWORKS.items():
        torch.manual_seed(0)
        whole = folder / f"whole {name}"
        made = transformers.AutoModelForImageClassification.from_config(config)
        made.save_pretrained(whole)
        processor.save_pretrained(whole)
        wholes.append(whole)
    yield lambda draw, place: _case(draw, place, draw.choice(wholes))


def _case(draw: random.Random, place: Path, whole: Path) -> Case:
    folder = place / "net"
    shutil.copytree(whole, folder)
    kind = draw.choice(
        ("config", "config", "processor", "processor", "weights", "files", "code", "beside")
    )
    if kind in ("config", "processor"):
        _change(draw, folder / (CONFIG if kind == "config" else PROCESSOR))
    elif kind == "weights":
        data = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(damaged(draw, data, draw.choice((9, 2000, None))))
    elif kind == "files":
        _swap(draw, folder)
    elif kind == "beside":
        _beside(draw, folder)
    else:
        _code(draw, folder, place)
    return Case(f"folder {whole.name} {kind}", lambda: use(folder))


def _change(draw: random.Random, file: Path) -> None:
    tree = json.loads(file.read_text(encoding="utf-8"))
    text = nested(draw) if draw.random() < 0.05 else json.dumps(changed(draw, tree))
    data = text.encode("utf-8", "surrogatepass")
    file.write_bytes(damaged(draw, data) if draw.random() < 0.1 else data)


def _swap(draw: random.Random, folder: Path) -> None:
    """Files that are missing, folders, pipes, links, or each other."""
    file = folder / draw.choice((CONFIG, PROCESSOR, WEIGHTS))
    file.unlink()
    act = draw.randrange(5)
    if act == 1:
        file.mkdir()
    elif act == 2:
        os.mkfifo(file)
    elif act == 3:
        file.symlink_to(draw.choice((file, folder, Path("/dev/zero"), Path("nowhere"))))
    elif act == 4:
        shutil.copy(folder / draw.choice([one.name for one in folder.iterdir()]), file)


def _beside(draw: random.Random, folder: Path) -> None:
    """Labels, a processor or an index of parts, in files of their own."""
    kind = draw.choice(("labels.json", "labels.txt", "processor_config.json", "index"))
    file = folder / kind
    tree: object = draw.choice((["a", "b"], {"0": "a", "1": "b"}, {"a": 0, "b": 1}))
    if kind == "processor_config.json":
        tree = {"image_processor": json.loads((folder / PROCESSOR).read_text(encoding="utf-8"))}
        (folder / PROCESSOR).unlink()
    elif kind == "index":
        file = folder / f"{WEIGHTS}.index.json"
        names = list(load_file(folder / WEIGHTS))
        (folder / WEIGHTS).rename(folder / "part.safetensors")
        tree = {"weight_map": dict.fromkeys(names, "part.safetensors")}
    file.write_text(json.dumps(tree), encoding="utf-8")
    _change(draw, file)


def _code(draw: random.Random, folder: Path, place: Path) -> None:
    """Code of the folder's own, in every way that the library knows to name it."""
    program = f"open({str(place / CANARY)!r}, 'w').close()\n"
    for name in ("modeling_own.py", "configuration_own.py", "processing_own.py"):
        (folder / name).write_text(program + "class Own: pass\n", encoding="utf-8")
    ours: dict[str, Any] = {
        "auto_map": {
            "AutoConfig": "configuration_own.Own",
            "AutoModelForImageClassification": "modeling_own.Own",
            "AutoImageProcessor": "processing_own.Own",
        },
        "custom_pipelines": {"image-classification": {"impl": "modeling_own.Own"}},
        "trust_remote_code": True,
        "backbone": "own",
        "_attn_implementation": "flash_attention_2",
        "use_pretrained_backbone": True,
        "_name_or_path": str(folder),
        "architectures": ["Own"],
        "model_type": "own",
        "image_processor_type": "Own",
    }
    for name in (CONFIG, PROCESSOR):
        tree = json.loads((folder / name).read_text(encoding="utf-8"))
        keys = draw.sample(list(ours), draw.randrange(1, 5))
        tree |= {key: ours[key] for key in keys}
        (folder / name).write_text(json.dumps(tree), encoding="utf-8")
