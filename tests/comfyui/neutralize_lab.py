"""A classifier that looks at single pixels, so that a test knows its shortcut, and its probes.

Not a test file: the tests of the edit nodes load it beside `lab`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from PIL import Image
from torch import nn

SIDE = 2
FEATURES = 3 * SIDE * SIDE


@dataclass(frozen=True)
class Bench:
    """The host's lab with what the edit nodes need."""

    lab: ModuleType

    def classifier(self, seed: int = 0, classes: int = 2, bias: bool = True) -> Any:
        """A hosted classifier: pixel 0 carries the class, pixel 1 the shortcut."""
        model = self.lab.pack("detour.classifier.model")
        draw = torch.Generator().manual_seed(seed)
        weight = 0.05 * torch.randn(classes, FEATURES, generator=draw)
        weight[-1, 0] += 4.0
        weight[-1, 1] += 3.0
        shift = torch.zeros(classes) if bias else None
        if shift is not None:
            shift[-1] = -3.0
        looks = self.lab.pack("detour.classifier.preprocess").Preprocessing(
            resize=None, crop=None, mean=(0, 0, 0), std=(1, 1, 1)
        )
        names = ("low", "high") if classes == 2 else tuple(f"digit {i}" for i in range(classes))
        about = self.lab.pack("detour.classifier.facts").Description(names, "", looks)
        own = model.ImageClassifier(nn.Flatten(), weight, shift, about)
        return self.lab.pack("nodes.classifier_host").host_classifier(own)

    def tagger(self, seed: int = 0) -> Any:
        """The same network with a sigmoid for each class: tags that may both be present."""
        model = self.lab.pack("detour.classifier.model")
        plain = self.classifier(seed).unedited
        about = replace(plain.description, activation="sigmoid", threshold=0.5)
        own = model.ImageClassifier(plain.backbone, plain.weight, plain.bias, about)
        return self.lab.pack("nodes.classifier_host").host_classifier(own)

    def pictures(self, count: int = 720, classes: int = 2, seed: int = 1) -> Any:
        """(pictures, class numbers, marks): every class with and without the mark."""
        draw = torch.Generator().manual_seed(seed)
        pictures = 0.4 * torch.rand(count, SIDE, SIDE, 3, generator=draw)
        numbers = torch.arange(count) % classes
        marks = (torch.arange(count) // classes) % 2
        pictures[:, 0, 0, 0] += 0.4 * numbers / (classes - 1)
        pictures[:, 0, 1, 0] += 0.5 * marks
        return pictures, numbers, marks

    def probes(self, count: int = 720, classes: int = 2, named: bool = True, paired: bool = False):
        """A probe set of these pictures, as the probe nodes make it."""
        pictures, numbers, marks = self.pictures(count, classes)
        names = self.classifier(classes=classes).labels
        return self.lab.pack("detour.probes.probe_set").ProbeSet(
            tuple(pictures),
            tuple("mark" if mark else "no mark" for mark in marks.tolist()),
            tuple(names[number] for number in numbers.tolist()) if named else (),
            tuple(f"photo {index // (2 * classes)}" for index in range(count)) if paired else (),
        )

    def run(self, node: str, **inputs: Any) -> Any:
        """The whole NodeOutput of a node, called as the host's executor calls it."""
        node_class = self.lab.node(f"Detour{node}")
        for one in node_class.define_schema().inputs:
            if not getattr(one, "optional", False) and hasattr(one, "default"):
                inputs.setdefault(one.id, one.default)
        return self.lab.prepared(node_class).execute(**inputs)

    def neutralize(self, classifier: Any, **inputs: Any) -> Any:
        """The result of the main node; the search is kept small."""
        given = {"probes": self.probes(), "edit": "one_weight_bias", "max_weights": 1}
        inputs = {**given, **inputs}
        return self.run("Neutralize", classifier=classifier, **inputs)

    def execute(self, graph: dict[str, Any], last: list[str]) -> dict[str, Any]:
        """A graph through the host's own check and executor: its ui by node, its messages."""
        self.lab.load_pack()
        import execution

        checked = asyncio.run(execution.validate_prompt("check", graph, None))
        assert checked[0], checked
        server = SimpleNamespace(
            client_id=None, last_node_id=None, last_prompt_id=None, sockets_metadata={}
        )
        server.send_sync = lambda *_message, **_more: None
        kept = {"lru": 0, "ram": 0, "ram_inactive": 0}
        runner = execution.PromptExecutor(
            server, cache_type=execution.CacheType.CLASSIC, cache_args=kept
        )
        runner.execute(graph, "run", {}, last)
        return {"ui": runner.history_result["outputs"], "messages": runner.status_messages}

    @staticmethod
    def colour_folder(folder: Path, count: int = 12) -> None:
        """Grey-grained red and green pictures as `<class>/<attribute>/` sub-folders."""
        draw = torch.Generator().manual_seed(0)
        for label in ("low", "high"):
            for place, colour in enumerate(("red", "green")):
                below = folder / label / colour
                below.mkdir(parents=True)
                for number in range(count):
                    picture = 255 * torch.rand(16, 16, 3, generator=draw)
                    picture[..., 1 - place] = 0
                    data = picture.to(torch.uint8).numpy()
                    Image.fromarray(data).save(below / f"{number}.png")

    @staticmethod
    def head(classifier: Any) -> bytes:
        """Every bit of the unedited head, to see that nothing wrote to it."""
        own = classifier.unedited
        parts = [own.weight] if own.bias is None else [own.weight, own.bias]
        return b"".join(part.numpy().tobytes() for part in parts)
