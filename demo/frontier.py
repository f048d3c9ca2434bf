"""The demo's rows: which are measured in a real ComfyUI over HTTP, how a setting is chosen,
and what a row says."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from PIL import Image

from detour.judge.groups import wilson
from detour.schedule import Schedule
from tools.server import ComfyServer

from .digits import MINORITY, SIZE
from .stats import Reading, mcnemar, moved

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


CHOOSING_SEED, REPORT_SEED = 1_000_000, 2_000_000
"""Where the seeds for choosing and for reporting begin; they never meet."""
OPEN_WORD = {"demo": "odd", "mirror": "even"}
"""For each twin the word that leaves most open: three of its five digits are the minority's.
With guidance a model answers it with the majority, as it answers "nurse" or "CEO"."""
GUIDED = 3.0
WINDOWS = (0.25, 0.3, 0.35, 0.4, 0.45)
"""Ends of the early windows that a setting is chosen from, at strength 1."""
READABLE_LOSS, CHOOSING_LOSS = 0.03, 0.02
"""The readable pictures that a setting may cost at most, as a share of all pictures: in the
report, and when choosing, where a margin is left since the best of several flatters itself."""
DEFAULT = Case(strength=Schedule.strength, end=Schedule.end_percent)
"""The node's own default, taken where nothing is chosen (`--quick`)."""
LONGER = Case(strength=1.0, end=0.45)
"""A longer early window, for the rows in which no prompt and no guidance have a part."""
NOISES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


def asked(case: Case, model: str) -> Case:
    """The same case with the twin's open word, under guidance: the question of the demo."""
    return replace(case, model=model, prompt=OPEN_WORD[model], cfg=GUIDED)


def choose_window(lab: Laboratory, count: int) -> Case:
    """The early window with the largest minority share among those that keep the pictures
    readable, on the choosing seeds of the demo model."""
    plain = lab.read(asked(Case(), "demo"), CHOOSING_SEED, count)
    best, best_share = Case(strength=1.0, end=WINDOWS[0]), -1.0
    for end in WINDOWS:
        case = Case(strength=1.0, end=end)
        reading = lab.read(asked(case, "demo"), CHOOSING_SEED, count)
        hits, seen = reading.share(MINORITY["demo"])
        keeps = plain.readable - reading.readable <= CHOOSING_LOSS
        if keeps and seen and hits / seen > best_share:
            best, best_share = case, hits / seen
    return best


def choose_placebo(lab: Laboratory, chosen: Case, count: int) -> Case:
    """The strongest noise in the same window that costs no more readable pictures than the
    bypass, on the choosing seeds: a bypass has to beat a placebo that is as strong as allowed."""
    goal = lab.read(asked(chosen, "demo"), CHOOSING_SEED, count).readable
    best = replace(chosen, case="placebo", strength=NOISES[0])
    for amount in NOISES:
        placebo = replace(chosen, case="placebo", strength=amount)
        if lab.read(asked(placebo, "demo"), CHOOSING_SEED, count).readable < goal:
            break
        best = placebo
    return best


def table_cases(chosen: Case, placebo: Case, extent: str) -> list[Case]:
    """The rows in the order of the table; `extent` is quick, usual or full."""
    trio = [Case(), chosen, placebo]
    unprompted = replace(chosen, case="unprompted")
    rows = [asked(case, model) for model in OPEN_WORD for case in (*trio, unprompted)]
    if extent == "quick":
        return [*rows, Case(), chosen, Case(strength=1.0)]
    empty = [Case(), replace(chosen, strength=0.5), chosen, Case(strength=0.3)]
    empty += [LONGER, Case(strength=1.0), Case(strength=-0.3), placebo]
    words = [("even", 3.0), ("odd", 7.0), ("even", 7.0)]
    if extent == "full":
        empty += [Case(strength=1.0, end=end) for end in (0.2, 0.5, 0.65)]
        empty += [Case(strength=1.0, start=0.3, end=0.65), Case(strength=1.0, start=0.5)]
        empty += [Case(strength=strength) for strength in (0.5, 0.7)]
        words += [("", 3.0), ("", 7.0), ("seven", 3.0), ("two", 3.0)]
    rows += empty
    for prompt, cfg in words:
        rows += [replace(case, prompt=prompt, cfg=cfg) for case in trio[:2]]
    rows += [replace(case, model="mirror") for case in (*trio[:2], LONGER, placebo)]
    return list(dict.fromkeys(rows))


def rival(case: Case, chosen: Case, placebo: Case, table: list[Case]) -> Case | None:
    """The table's placebo for the same question; None for rows without the chosen setting."""
    question = {"model": case.model, "prompt": case.prompt, "cfg": case.cfg}
    like = replace(placebo, **question)
    return like if case == replace(chosen, **question) and like in table else None


def measure_row(lab: Laboratory, case: Case, placebo: Case | None, count: int) -> dict[str, Any]:
    """One row of the table on fresh seeds, as design names its fields."""
    minority = MINORITY[case.model]
    reading = lab.read(case, REPORT_SEED, count)
    plain = lab.read(case.plain, REPORT_SEED, count)
    hits, seen = reading.share(minority)
    low, high = wilson(hits, seen) if seen else (0.0, 1.0)
    to_minority, to_majority = moved(plain, reading, minority)
    beyond = None
    if placebo is not None:
        beyond = moved(lab.read(placebo, REPORT_SEED, count), reading, minority)
    return {
        **asdict(case),
        "minority_share": hits / seen if seen else None,
        "low": low,
        "high": high,
        "readable": reading.readable,
        "n": count,
        "to_minority": to_minority,
        "to_majority": to_majority,
        "p": None if case.strength == 0 else mcnemar(to_minority, to_majority),
        "p_placebo": None if beyond is None else mcnemar(*beyond),
        "more_than_placebo": None if beyond is None else beyond[0] > beyond[1],
    }


def reaches_goal(row: dict[str, Any], plain: dict[str, Any]) -> bool:
    """Clearly more minority, beyond the placebo, at no more than 3 points fewer readable."""
    more = row["to_minority"] > row["to_majority"] and row["p"] < 0.01
    beyond = row["more_than_placebo"] and row["p_placebo"] < 0.05
    return bool(more and beyond) and plain["readable"] - row["readable"] <= READABLE_LOSS
