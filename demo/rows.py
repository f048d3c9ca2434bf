"""The demo's rows: what is drawn in a real ComfyUI over HTTP, and what a row says."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from PIL import Image

from detour.judge.groups import wilson
from tools.server import ComfyServer

from .faces import TWINS, is_held_out, job_of
from .parts import SIZE
from .reader import Reading
from .stats import Trait, counted, mcnemar, moved, rare_trait
from .words import word_index

BATCH = 48
STEPS = 20
SEED = 2_000_000
"""Of the first batch; each further batch has the next seed."""
PLAIN = "without Detour"


@dataclass(frozen=True)
class Case:
    """One row of the table: what is drawn, and what acts in the window meanwhile.

    way: `bypass`, `relief`, `fade`, or `placebo`, which is noise on the mid-block's output.
    strength: of the way; of a placebo its noise in standard deviations; 0 = nothing. blocks: what
    of the model a bypass leaves out, as its node has it.
    """

    model: str = "demo"
    prompt: str = "nurse"
    cfg: float = 3.0
    way: str = "bypass"
    strength: float = 0.0
    end: float = 1.0
    blocks: str = "auto"

    @property
    def plain(self) -> Case:
        """The same with nothing done: what this row is compared with."""
        return replace(self, way="bypass", strength=0.0, end=1.0, blocks="auto")

    @property
    def trait(self) -> Trait:
        """What is counted."""
        return rare_trait(self.model, self.prompt)


GUIDED = (
    Case(strength=1.0, end=0.3),
    Case(way="relief", strength=1.0, end=0.5),
    Case(way="fade", strength=1.0, end=0.3),
    Case(way="placebo", strength=1.0, end=0.3),
)
"""For a nurse, with guidance: each way early in the run, and noise in the bypass's place. The
windows were chosen on other seeds."""
BLOCKS = (
    Case(strength=1.0, end=0.3, blocks="3-4"),
    Case(way="relief", strength=1.0, end=0.5),
)
"""The same for the transformer: two blocks in its middle, and the relief for comparison."""
ASKED = {"demo": GUIDED, "transformer": BLOCKS}


def table_cases() -> list[Case]:
    """The rows in the order of the table, the same for both twins."""
    rows = []
    for first, asked in ASKED.items():
        for model in (first, TWINS[first]):
            cases = [replace(case, model=model) for case in asked]
            rows += [cases[0].plain, *cases]
    return rows


def prompt_for(case: Case, seed: int, pictures: int, save: bool) -> dict[str, Any]:
    """The graph for one batch: as a user would build it, with a reader at its end."""
    size = {"width": SIZE, "height": SIZE, "batch_size": pictures}
    graph: dict[str, Any] = {
        "model": node("DetourDemoModel", prompt=case.prompt, variant=case.model),
        "vae": node("VAELoader", vae_name="pixel_space"),
        "latent": node("EmptyChromaRadianceLatentImage", **size),
        "sampler": node(
            "KSampler",
            model=["patch" if case.strength else "model", 0],
            positive=["model", 1],
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
        "people": node("DemoReadPeople", images=["decode", 0]),
    }
    if case.strength:
        graph["patch"] = patch_for(case, seed)
    if save:
        graph["save"] = node("SaveImage", images=["decode", 0], filename_prefix="detour")
    return graph


def patch_for(case: Case, seed: int) -> dict[str, Any]:
    """The node that acts in the window."""
    window = {"start_percent": 0.0, "end_percent": case.end}
    way = {"strength": case.strength, "shape": "constant", **window, "schedule_by": "sigma"}
    if case.way == "placebo":
        return node(
            "DemoMidBlockNoise", model=["model", 0], amount=case.strength, seed=seed, **window
        )
    if case.way == "relief":
        return node("DetourGuidanceRelief", model=["model", 0], **way)
    if case.way == "fade":
        return node("DetourPromptFade", model=["model", 0], toward="negative", seed=seed, **way)
    way |= {"apply_to": "both", "blocks": case.blocks}
    return node("DetourMidBlockBypass", model=["model", 0], **way)


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node of the API's prompt format."""
    return {"class_type": class_type, "inputs": inputs}


class Laboratory:
    """A running server; remembers each batch, so that nothing is drawn twice."""

    def __init__(self, server: ComfyServer, progress: Callable[[str], None]) -> None:
        self.server, self.progress = server, progress
        self.batches: dict[tuple[Case, int, int], Reading] = {}

    def read(self, case: Case, count: int) -> Reading:
        """What is seen in the first `count` pictures of a case."""
        batches = []
        for start in range(0, count, BATCH):
            self.progress(f"{describe(case)}: {start} of {count} pictures")
            key = case, SEED + start // BATCH, min(BATCH, count - start)
            if key not in self.batches:
                found = self.server.run(prompt_for(*key, save=False))["people"]
                self.batches[key] = as_reading(found)
            batches.append(self.batches[key])
        people = torch.cat([batch.people for batch in batches])
        return Reading(people, torch.cat([batch.distance for batch in batches]))

    def pictures(self, case: Case, count: int) -> tuple[list[Image.Image], Reading]:
        """The first pictures of a case, at most a batch of them, and what is seen in them."""
        outputs = self.server.run(prompt_for(case, SEED, BATCH, save=True))
        files = [
            self.server.view(file["filename"], file["subfolder"], file["type"])
            for file in outputs["save"]["images"][:count]
        ]
        found = as_reading(outputs["people"])
        opened = [Image.open(io.BytesIO(file), formats=["PNG"]) for file in files]
        reading = Reading(found.people[:count], found.distance[:count])
        return [picture.convert("RGB") for picture in opened], reading


def as_reading(found: dict[str, Any]) -> Reading:
    """What the host's node told."""
    return Reading(torch.tensor(found["people"]), torch.tensor(found["distance"]))


def describe(case: Case) -> str:
    """A case in words, as the table shows it."""
    if case.strength == 0:
        return PLAIN
    name = "placebo: noise" if case.way == "placebo" else case.way
    blocks = "" if case.blocks == "auto" else f" of {case.blocks}"
    return f"{name}{blocks} {case.strength:g}, 0 to {case.end:g}"


def terminal_progress(text: str) -> None:
    """One line that is written over; nothing where the output is not a terminal."""
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end="", flush=True)


def measure_row(lab: Laboratory, case: Case, count: int) -> dict[str, Any]:
    """One row of the table.

    share, low, high: of the clean pictures those with the rare trait, with its 95 % interval.
    clean: of all. fits: of the clean ones those of the prompt's job; None for anybody. unseen: of
    the clean ones those with hair whose cut and colour no training picture has together.
    to_rare, to_usual: clean pictures that changed sides on their seeds; p: of McNemar's test.
    """
    reading, plain = lab.read(case, count), lab.read(case.plain, count)
    hits, seen = counted(reading, case.trait)
    low, high = wilson(hits, seen) if seen else (0.0, 1.0)
    to_rare, to_usual = moved(plain, reading, case.trait)
    people = reading.people[reading.clean]
    fits = (job_of(people) == word_index(case.prompt) - 1).float() if case.prompt else None
    return {
        **asdict(case),
        "trait": case.trait.name,
        "share": hits / seen if seen else None,
        "low": low,
        "high": high,
        "clean": seen / count,
        "fits": None if fits is None or not seen else fits.mean().item(),
        "unseen": is_held_out(people).float().mean().item() if seen else None,
        "n": count,
        "to_rare": to_rare,
        "to_usual": to_usual,
        "p": None if case.strength == 0 else mcnemar(to_rare, to_usual),
    }
