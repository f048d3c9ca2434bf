"""The real ComfyUI in this process with Detour in it: what is measured is the code that ships."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from demo.parts import SIZE
from demo.tiny import read_tiny
from demo.words import word_index
from tools.gpu_part import stand_in

from .rivals import most_varied

STEPS, BATCH = 20, 400
OWN_NOISE = 500_000_000
"""Between the seeds of a batch's first noise and of what its sampler adds. On a CPU the host's
ancestral samplers would draw the first noise once more, and pictures would stay noisy."""
SHEET = 10
"""Pictures that somebody looks at together: out of so many times `draws` the best are kept."""


@dataclass(frozen=True)
class Run:
    """One batch, as it goes to the host's sampler; a way is what makes another one of it.

    model: the host's MODEL. positive, negative: embeddings `[1 or count, tokens, width]`.
    options: of the sampler. shift: by how much every noise level but the first is raised.
    draws: pictures drawn for each one that is kept.
    """

    model: Any
    positive: torch.Tensor
    negative: torch.Tensor
    cfg: float
    seed: int
    count: int
    steps: int = STEPS
    sampler: str = "euler"
    options: Mapping[str, Any] = field(default_factory=dict)
    shift: float = 1.0
    draws: int = 1


@dataclass(frozen=True)
class Drawn:
    """Pictures `[count, 3, 16, 16]` in 0..1, the rows that the U-Net computed for them, and the
    seconds that it took."""

    pictures: torch.Tensor
    rows: int
    seconds: float


class Host:
    """ComfyUI, loaded once for a device (`cpu` or `cuda`); there is one in a process."""

    def __init__(self, device: str) -> None:
        stand_in()
        os.environ["DETOUR_DEVICE"] = device
        self.parts: Any = importlib.import_module("tools.bench_models")
        self.parts.load_pack()
        logging.getLogger("detour").setLevel(logging.ERROR)  # blocks at an end are asked for
        self.sample: Any = importlib.import_module("comfy.sample")
        self.samplers: Any = importlib.import_module("comfy.samplers")

    def pack(self, name: str) -> ModuleType:
        """A module of Detour as the host loaded it."""
        return importlib.import_module(f"{self.parts.PACK}.{name}")

    def node(self, file: str, name: str, **inputs: Any) -> Any:
        """The MODEL that a node of the host's own makes."""
        return self.parts.host_node(file, name, **inputs)

    def placebo(self, model: Any, amount: float, end: float, seed: int) -> Any:
        """A MODEL with the demo's placebo, from the first step to `end`."""
        os.environ.setdefault("DETOUR_ROOT", str(self.parts.ROOT))  # as the demo's server has it
        node = importlib.import_module("demo.host_nodes.placebo").MidBlockNoise()
        return node.patch(model, amount, 0.0, end, seed)[0]

    def facts(self, device: str) -> dict[str, Any]:
        """What the figures were measured with."""
        name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
        tf32 = " (TF32 in convolutions)" if device == "cuda" else ""
        return {**self.parts.facts(), "device": f"{name}, float32{tf32}, PyTorch attention"}

    def run_of(self, weights: Path, prompt: str, cfg: float) -> Run:
        """A run of a model as it is, without a seed and pictures yet; the negative prompt is
        empty."""
        tiny = read_tiny(weights)
        model = self.pack("nodes.demo").build_model(tiny)
        positive, negative = (tiny.words[place : place + 1] for place in (word_index(prompt), 0))
        return Run(model, positive, negative, cfg, seed=0, count=0)

    @torch.inference_mode()
    def draw(self, run: Run) -> Drawn:
        """The pictures of a run, all from one seed."""
        noise = self.sample.prepare_noise(
            torch.zeros(run.count * run.draws, 3, SIZE, SIZE), run.seed
        )
        sampling = run.model.get_model_object("model_sampling")
        sigmas = self.samplers.calculate_sigmas(sampling, "normal", run.steps)
        with counted_rows(run.model.model.diffusion_model) as rows:
            began = time.perf_counter()
            found = self.sample.sample_custom(
                run.model,
                noise,
                run.cfg,
                self.samplers.ksampler(run.sampler, dict(run.options)),
                shifted(sigmas, run.shift),
                [[run.positive, {}]],
                [[run.negative, {}]],
                torch.zeros_like(noise),
                disable_pbar=True,
                seed=run.seed + OWN_NOISE,
            )
            seconds = time.perf_counter() - began
        pictures = ((found.float().cpu() + 1) / 2).clamp(0, 1)
        if run.draws > 1:
            sheets = pictures.split(SHEET * run.draws)
            pictures = torch.cat([most_varied(s, len(s) // run.draws) for s in sheets])
        return Drawn(pictures, sum(rows), seconds)

    def draw_all(
        self, run: Run, apply: Callable[..., Run], setting: Any, seed: int, count: int
    ) -> Drawn:
        """`count` pictures in batches with seeds from `seed` on.

        apply: from a host, a run and a setting to the run with a way in it.
        """
        parts = []
        for place, start in enumerate(range(0, count, BATCH)):
            one = replace(run, seed=seed + place, count=min(BATCH, count - start))
            parts.append(self.draw(apply(self, one, setting)))
        pictures = torch.cat([part.pictures for part in parts])
        return Drawn(pictures, sum(p.rows for p in parts), sum(p.seconds for p in parts))


def shifted(sigmas: torch.Tensor, shift: float) -> torch.Tensor:
    """The noise levels of a run, all but the first and the last raised by a factor: more steps
    where there is much noise. In flow matching, where t = sigma / (1 + sigma), this is the same as
    the shift t -> shift * t / (1 + (shift - 1) * t)."""
    raised = sigmas.clone()
    raised[1:-1] = (sigmas[1:-1] * shift).clamp(max=sigmas[0])
    return raised


class counted_rows:
    """Inside of it, the rows of each call of a U-Net."""

    def __init__(self, unet: torch.nn.Module) -> None:
        self.unet, self.rows = unet, []

    def __enter__(self) -> list[int]:
        self.handle = self.unet.register_forward_pre_hook(
            lambda _unet, args: self.rows.append(len(args[0]))
        )
        return self.rows

    def __exit__(self, *_error: object) -> None:
        self.handle.remove()
