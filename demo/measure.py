"""Runs the tiny model in a real ComfyUI over HTTP and reads what it drew."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from tools.server import ComfyServer

from .digits import SIZE
from .stats import Reading

BATCH = 125
STEPS = 20


@dataclass(frozen=True)
class Case:
    """One row of the table: what is drawn, and what is done in the window meanwhile.

    case: bypass; placebo (noise on the mid-block's output); unprompted (no mid-block is
        touched, but the prompt is left out in the window: the rival explanation).
    strength: of the bypass, or of the placebo's noise in standard deviations; 0 = nothing.
    """

    model: str = "demo"
    prompt: str = ""
    cfg: float = 1.0
    case: str = "bypass"
    strength: float = 0.0
    start: float = 0.0
    end: float = 1.0

    @property
    def patched(self) -> bool:
        """True if the mid-block is touched at all."""
        return self.strength != 0 and self.case != "unprompted"

    @property
    def plain(self) -> Case:
        """The same without a bypass: what this row is compared with."""
        return replace(self, case="bypass", strength=0.0, start=0.0, end=1.0)


def prompt_for(case: Case, seed: int, pictures: int, shown: int) -> dict[str, Any]:
    """The graph for one batch: as a user would build it, with a counter at its end."""
    window = {"start_percent": case.start, "end_percent": case.end}
    bypass = {"shape": "constant", **window, "apply_to": "both", "schedule_by": "sigma"}
    noise = {"amount": case.strength, **window, "seed": seed}
    graph: dict[str, Any] = {
        "model": node("DetourDemoModel", prompt=case.prompt, variant=case.model),
        "vae": node("VAELoader", vae_name="pixel_space"),
        "latent": node(
            "EmptyChromaRadianceLatentImage", width=SIZE, height=SIZE, batch_size=pictures
        ),
        "sampler": node(
            "KSampler",
            model=["patch" if case.patched else "model", 0],
            positive=["prompt", 0] if case.case == "unprompted" else ["model", 1],
            negative=["model", 2],
            latent_image=["latent", 0],
            seed=seed,
            steps=STEPS,
            cfg=case.cfg,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["vae", 0]),
        "count": node("DemoCountDigits", images=["decode", 0]),
    }
    if case.case == "unprompted":
        graph |= unprompted(case.end)
    elif case.patched and case.case == "placebo":
        graph["patch"] = node("DemoMidBlockNoise", model=["model", 0], **noise)
    elif case.patched:
        graph["patch"] = node(
            "DetourMidBlockBypass", model=["model", 0], strength=case.strength, **bypass
        )
    if shown:
        graph["first"] = node("ImageFromBatch", image=["decode", 0], batch_index=0, length=shown)
        graph["save"] = node("SaveImage", images=["first", 0], filename_prefix="detour")
    return graph


def unprompted(end: float) -> dict[str, Any]:
    """The host's own nodes for a prompt that is empty up to `end` and itself from there on."""
    empty = {"conditioning": ["model", 2], "start": 0.0, "end": end}
    asked = {"conditioning": ["model", 1], "start": end, "end": 1.0}
    return {
        "early": node("ConditioningSetTimestepRange", **empty),
        "late": node("ConditioningSetTimestepRange", **asked),
        "prompt": node(
            "ConditioningCombine", conditioning_1=["late", 0], conditioning_2=["early", 0]
        ),
    }


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node of the API's prompt format."""
    return {"class_type": class_type, "inputs": inputs}


class Laboratory:
    """A running server; remembers each batch, so that nothing is drawn twice."""

    def __init__(self, server: ComfyServer, progress: Callable[[str], None]) -> None:
        self.server, self.progress = server, progress
        self.batches: dict[tuple[Case, int, int], Reading] = {}

    def read(self, case: Case, first_seed: int, count: int) -> Reading:
        """What the reader sees in `count` pictures from `first_seed` on."""
        digits: list[int] = []
        sure: list[bool] = []
        for start in range(0, count, BATCH):
            self.progress(f"{describe(case)}: {start} of {count} pictures")
            batch = self._batch(case, first_seed + start, min(BATCH, count - start))
            digits += batch.digits
            sure += batch.sure
        return Reading(digits, sure)

    def _batch(self, case: Case, seed: int, size: int) -> Reading:
        key = (case, seed, size)
        if key not in self.batches:
            found = self.server.run(prompt_for(case, seed, size, 0))["count"]
            self.batches[key] = Reading(found["digits"], found["sure"])
        return self.batches[key]

    def pictures(self, case: Case, seed: int, count: int) -> tuple[list[Image.Image], Reading]:
        """The first `count` pictures of a batch, and what the reader sees in them."""
        outputs = self.server.run(prompt_for(case, seed, BATCH, count))
        files = [
            self.server.view(file["filename"], file["subfolder"], file["type"])
            for file in outputs["save"]["images"]
        ]
        found = outputs["count"]
        reading = Reading(found["digits"][:count], found["sure"][:count])
        opened = [Image.open(io.BytesIO(file), formats=["PNG"]) for file in files]
        return [picture.convert("RGB") for picture in opened], reading


def describe(case: Case) -> str:
    """A case in words, as the table shows it."""
    if case.strength == 0:
        return "without Detour"
    window = f"{case.start:g} to {case.end:g}"
    if case.case == "placebo":
        return f"placebo: noise {case.strength:.2g}, {window}"
    if case.case == "unprompted":
        return f"no bypass, prompt off {window}"
    return f"strength {case.strength:g}, {window}"


def terminal_progress(text: str) -> None:
    """One line that is written over; nothing where the output is not a terminal."""
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end="", flush=True)
