"""Prompts with wrong inputs of each of our nodes, through the real check and the real executor."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from hostile import NUMBERS, TEXTS, value
from PIL import Image
from watch import OURS, ROOT, Case, Make, Refused, Wrong

from detour.edit.file import load_edits
from tools.long_prompts import Prompt, sampled

WORDS = ("nurse", "builder", "0", "long hair", "curve", "0:1, 1:0", "bypass, fade", "0, 1", "K")
ALLOWED = ("ValueError", "FileNotFoundError", "ImportError")
FACES = {"count": 40, "faces_seed": 0, "classes": "nurse_builder", "correlation": 0.5}
WRITTEN = ("STRING", "COMBO", "FLOAT", "INT", "BOOLEAN", "CURVE")
"""Kinds of inputs whose value may stand in the prompt itself."""
FOLDERS = ("models", "input", "output", "temp")


@contextmanager
def opened(_folder: Path) -> Iterator[Make]:
    """The generator: the host in this process, with the pack in it."""
    path = ROOT / "tests" / "comfyui" / "lab.py"
    sys.path.append(str(path.parent))  # for unet_shapes.py; behind the host's own folder
    spec = importlib.util.spec_from_file_location("detour_test_lab", path)
    assert spec is not None and spec.loader is not None
    lab = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = lab
    spec.loader.exec_module(lab)
    with torch.inference_mode():
        schemas = {
            name: [one for one in node.define_schema().inputs]
            for name, node in lab.pack_nodes().items()
        }
        host = Host(lab)
        yield lambda draw, place: _case(draw, place, host, schemas)


class Host:
    """The real check and executor of prompts, on folders of a case."""

    def __init__(self, lab: ModuleType) -> None:
        lab.load_pack()
        import execution
        import folder_paths

        self.execution, self.folder_paths = execution, folder_paths
        paths, self.endings = folder_paths.folder_names_and_paths["image_classifiers"]
        self.own = paths[-1]

    def place(self, folder: Path) -> None:
        """Let the host work below this folder."""
        for name in FOLDERS:
            (folder / name).mkdir()
            if name != "models":
                setattr(self.folder_paths, f"{name}_directory", str(folder / name))
        found = ([str(folder / "models"), self.own], self.endings)
        self.folder_paths.folder_names_and_paths["image_classifiers"] = found
        self.folder_paths.filename_list_cache.clear()

    def run(self, prompt: Prompt) -> None:
        """Check and execute a prompt. Raises Refused with what a node says."""
        try:
            checked = asyncio.run(self.execution.validate_prompt("case", prompt, None))
        except Exception as error:
            _blame_us(error)
            raise Refused("The host's own check failed.") from error
        if not checked[0]:
            _look_through(checked[3])
            raise Refused("The host refuses it.")
        server = SimpleNamespace(
            client_id=None, last_node_id=None, last_prompt_id=None, sockets_metadata={}
        )
        server.send_sync = lambda *_message, **_more: None
        kept = {"lru": 0, "ram": 0, "ram_inactive": 0}
        runner = self.execution.PromptExecutor(
            server, cache_type=self.execution.CacheType.CLASSIC, cache_args=kept
        )
        try:
            runner.execute(prompt, "run", {}, checked[2])
        except Exception as error:
            _blame_us(error)
            raise Refused("The host's executor failed.") from error
        for kind, told in runner.status_messages:
            if kind == "execution_error":
                _judge(told)


def _judge(told: dict[str, Any]) -> None:
    """Raise Refused for an error that is a sentence of ours, Wrong for every other."""
    said, kind = str(told["exception_message"]).strip(), str(told["exception_type"])
    last = [line for line in told["traceback"] if line.strip().startswith("File")][-1]
    if kind.rpartition(".")[2] not in ALLOWED or not any(f'"{ours}' in last for ours in OURS):
        raise Wrong(f"{told['node_type']}: {kind}: {said[:300]!r} at {last.strip()[:200]}")
    raise Refused(said)


def _blame_us(error: BaseException) -> None:
    """Raise Wrong if our code had a hand in a failure of the host's own."""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(OURS):
            raise Wrong(f"the host failed in {frame}: {error!r}") from error


def _look_through(errors: dict[str, Any]) -> None:
    """What the host's check caught: only its own kinds, nothing that our code raised.

    It walks into circles until it may go no deeper, in whoever's code that happens to be.
    """
    for entry in errors.values():
        for error in entry.get("errors", ()):
            text = json.dumps(error, default=str)
            if "maximum recursion depth" not in text and any(ours in text for ours in OURS):
                raise Wrong(f"our code failed in the host's check: {text[:400]}")


def _case(draw: random.Random, place: Path, host: Host, schemas: dict[str, list]) -> Case:
    host.place(place)
    _write_pictures(place / "input" / "probes")
    name = draw.choice(list(GRAPHS))
    prompt = GRAPHS[name](draw)
    changes = [_change(draw, prompt, schemas) for _ in range(draw.choice((1, 1, 1, 2)))]

    def act() -> None:
        try:
            host.run(prompt)
        finally:
            for file in place.rglob("*.edit.json"):
                load_edits(file)

    return Case(f"{name}: {'; '.join(changes)}"[:300], act, always=True)


def _change(draw: random.Random, prompt: Prompt, schemas: dict[str, list]) -> str:
    """Make one input of one of our nodes another, or take it away."""
    ours = [key for key, node in prompt.items() if node["class_type"] in schemas]
    key = draw.choice(ours)
    node = prompt[key]
    inputs = {one.id: one for one in schemas[node["class_type"]]}
    name = draw.choice(list(inputs))
    if draw.random() < 0.05:
        node["inputs"].pop(name, None)
        return f"{key}.{name} missing"
    one = _value(draw, inputs.get(name), prompt)
    node["inputs"][name] = one
    return f"{key}.{name} = {one!r}"


def _value(draw: random.Random, schema: Any, prompt: Prompt) -> Any:
    """Mostly what the host lets through: the right kind, and a bad value of it."""
    pick, kind = draw.random(), getattr(schema, "io_type", "")
    # The host hands a number on to a socket for a MODEL: no node of anybody expects that.
    if pick < 0.15 or (kind.isupper() and kind not in WRITTEN):
        links = ([draw.choice(list(prompt)), draw.randrange(5)], ["nowhere", 0], ["model"], [1, 2])
        return draw.choice(links)
    if pick < 0.25:
        return value(draw)
    if kind == "STRING":
        return draw.choice((*TEXTS, *WORDS, *WORDS))
    if kind == "COMBO":
        return draw.choice((*(getattr(schema, "options", None) or ()), *TEXTS[:30]))
    if kind in ("FLOAT", "INT"):
        low, high = getattr(schema, "min", None) or 0, getattr(schema, "max", None) or 1
        near = (low, high, (low + high) / 2, draw.uniform(low, min(high, low + 9)))
        number = draw.choice((*near, *near, *NUMBERS))
        whole = kind == "INT" and abs(number) < 1e18 and draw.random() < 0.9
        return int(number) if whole else number
    return draw.choice((True, False, draw.choice(NUMBERS)))


def _write_pictures(folder: Path) -> None:
    for label in ("nurse", "builder"):
        for place, hair in enumerate(("short hair", "long hair")):
            below = folder / label / hair
            below.mkdir(parents=True)
            for number in range(3):
                colour = (80 * place, 40 * number, 90)
                Image.new("RGB", (16, 16), colour).save(below / f"{number}.png")


def _defaults(name: str, **inputs: Any) -> Prompt:
    return {"class_type": f"Detour{name}", "inputs": inputs}


WINDOW = {"shape": "constant", "start_percent": 0.0, "end_percent": 1.0, "schedule_by": "sigma"}


def _sampling(draw: random.Random) -> Prompt:
    """One step of the tiny model behind a way."""
    ways = {
        "bypass": _defaults("MidBlockBypass", strength=1.0, apply_to="both", **WINDOW),
        "relief": _defaults("GuidanceRelief", strength=1.0, **WINDOW),
        "fade": _defaults("PromptFade", strength=1.0, toward="noise", seed=0, **WINDOW),
    }
    name = draw.choice(list(ways))
    return sampled(3, {name: ways[name]}, steps=2)


def _sweeping(draw: random.Random) -> Prompt:
    """A sweep, and its contact sheet."""
    sweep = _defaults("BypassSweep", strengths="0, 1", ways="bypass", apply_to="both", **WINDOW)
    prompt = sampled(3, {"sweep": sweep}, steps=2)
    sheet = {"images": ["decode", 0], "labels": ["sweep", 1], "columns": draw.randrange(3)}
    prompt["sheet"] = _defaults("ContactSheet", **sheet)
    prompt["save"]["inputs"]["images"] = ["sheet", 0]
    return prompt


def _plotting(_draw: random.Random) -> Prompt:
    """The picture of a schedule."""
    shown = {"class_type": "PreviewImage", "inputs": {"images": ["plot", 0]}}
    return {"plot": _defaults("PlotSchedule", strength=1.0, **WINDOW), "shown": shown}


def _judging(draw: random.Random) -> Prompt:
    """A classifier, people, and what can be done with both."""
    both = {"classifier": ["load", 0], "probes": ["faces", 0]}
    nodes = {
        "classify": _defaults(
            "Classify",
            **{"classifier": ["load", 0], "images": ["faces", 1]},
            **{"top_k": 2, "threshold": 0.0, "keep_label": ""},
        ),
        "neutralize": _defaults(
            "Neutralize",
            **{**both, "method": "worst_group", "edit": "one_weight", "target_class": ""},
            **{"degree": 1.0, "max_weights": 1},
        ),
        "remove": _defaults(
            "RemoveClass", **both, class_name="builder", degree=1.0, edit="one_weight"
        ),
        "evaluate": _defaults("EvaluateGroups", **both, part="all"),
        "fit": _defaults("ClassifierFromProbes", **both),
    }
    name = draw.choice(list(nodes))
    return {**_sources(), name: nodes[name]}


def _saving(draw: random.Random) -> Prompt:
    """An edit found, saved and applied; a classifier saved."""
    given = {"classifier": ["load", 0], "probes": ["faces", 0], "class_name": "builder"}
    prompt = _sources()
    prompt["remove"] = _defaults("RemoveClass", **given, degree=1.0, edit="one_weight")
    applied = {"classifier": ["load", 0], "file": "none", "degree": 1.0, "edit": ["remove", 1]}
    prompt["apply"] = _defaults("ApplyEdit", **applied)
    prompt["edit"] = _defaults("SaveEdit", edit=["remove", 1], filename="a")
    if draw.random() < 0.5:
        prompt["keep"] = _defaults("SaveClassifier", classifier=["apply", 0], filename="a")
    else:
        prompt["look"] = _defaults(
            "EvaluateGroups", classifier=["apply", 0], probes=["faces", 0], part="all"
        )
    return prompt


def _probing(draw: random.Random) -> Prompt:
    """Probes of a folder and of images, chained."""
    named = {"class_name": "nurse", "attribute": "long hair", "unit_start": 0}
    prompt = _sources()
    prompt["folder"] = _defaults("ProbeFolder", folder="probes")
    prompt["images"] = _defaults("ProbeImages", images=["faces", 1], **named, probes=["folder", 0])
    if draw.random() < 0.5:
        prompt["images"]["inputs"]["classifier"] = ["load", 0]
    prompt["evaluate"] = _defaults(
        "EvaluateGroups", classifier=["load", 0], probes=["images", 0], part="all"
    )
    return prompt


def _labelling(_draw: random.Random) -> Prompt:
    """Pictures with labels, and what they make of a classifier."""
    marks = {
        "labels": "right, wrong",
        "marks": "wrong: 1, 3-6; right: 8-20",
        "unmarked": "left_out",
    }
    prompt = _sources()
    prompt["label"] = _defaults("LabelPictures", images=["faces", 1], **marks)
    prompt["mend"] = _defaults(
        "Neutralize",
        **{"classifier": ["load", 0], "probes": ["label", 0], "method": "mistakes"},
        **{"edit": "one_weight", "target_class": "", "degree": 1.0, "max_weights": 1},
    )
    return prompt


def _sources() -> Prompt:
    meaning = {"architecture": "auto", "labels": "", "activation": "auto", "threshold": 0.0}
    load = _defaults("LoadClassifier", file="nurse_or_builder.safetensors", **meaning)
    return {"load": load, "faces": _defaults("DemoFaces", **FACES)}


GRAPHS = {
    graph.__name__.strip("_"): graph
    for graph in (_sampling, _sweeping, _plotting, _judging, _saving, _probing, _labelling)
}
"""The workflows in which something is made wrong, by their name; each node of ours is in one."""
