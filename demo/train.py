"""Train the tiny models and their twins: `python dev.py train`.

Not needed to use the weights that lie beside this file. Runs on the CPU with ComfyUI's own network
and noise schedule; `COMFYUI_PATH` must name a ComfyUI folder. It can be stopped and goes on where
it was.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from tools.failure import in_one_sentence, say

from .draw_parts import draw_parts
from .faces import JOBS, TWINS, VARIANTS, Shares, compose, draw_people, job_of
from .networks import NETWORKS, Network, load_host
from .parts import SIZE
from .tiny import PREFIX, weights_file
from .words import TOKENS, VOCABULARY, WIDTH

HERE = Path(__file__).parent
PEOPLE = 20_000
"""Portraits to train on; so few that a copy of one can be told from a new person."""
DROP_PROMPT = 0.4
"""Share of training pictures with the empty prompt; the rest get their job's word."""
BATCH, LEARNING_RATE, WEIGHT_DECAY, EMA = 64, 2e-3, 0.01, 0.999
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
TRUNK = "even"
"""What the U-Nets have in common: a model of even shares, from which each goes on by itself."""
TRANSFORMERS = ("transformer", TWINS["transformer"])
"""Twins with nothing in common, not even the seed: each is trained from nothing."""
STEPS = {TRUNK: 3000, "demo": 1500, "mirror": 1500} | dict.fromkeys(TRANSFORMERS, 6000)
SAVE_EVERY = 200


@dataclass(frozen=True)
class Training:
    """One model's training: a name, what its pictures show, and how long it is trained.

    start: the name of the model whose weights it begins with, "" for none. network: which of
    `NETWORKS` it is.
    """

    name: str
    shares: Shares
    seed: int
    steps: int
    start: str = ""
    network: str = "unet"


class TinyModel(nn.Module):
    """One of ComfyUI's networks with a table of prompt embeddings."""

    def __init__(self, kind: Network) -> None:
        super().__init__()
        self.kind, self.network = kind, kind.build()
        self.words = nn.Embedding(len(VOCABULARY), TOKENS * WIDTH)

    def forward(self, x: torch.Tensor, t: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        return self.kind.call(self.network, x, t, self.words(words).view(-1, TOKENS, WIDTH))


def training_people(training: Training) -> torch.Tensor:
    """The people `[PEOPLE, fields]` whose portraits a model is trained on."""
    generator = torch.Generator().manual_seed(training.seed)
    return draw_people(training.shares, PEOPLE, generator)


class Trainer:
    """A training under way: weights, their running average and the optimiser.

    device: where it computes; what it draws is the same everywhere.
    """

    def __init__(self, training: Training, folder: Path, device: str = "cpu") -> None:
        load_host(device)
        torch.default_generator.manual_seed(training.seed)
        self.training, self.folder, self.device = training, folder, device
        self.kind, self.step = NETWORKS[training.network], 0
        self.model = TinyModel(self.kind).to(device)
        people = training_people(training)
        self.pictures = torch.cat([compose(part) for part in people.split(500)]) * 2 - 1
        self.words = 1 + job_of(people)
        if training.start:
            self.model.load_state_dict(_load(folder, training.start)["average"])
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        if checkpoint(folder, training.name).is_file():
            self._go_on(_load(folder, training.name))

    def _go_on(self, saved: dict) -> None:
        self.step = saved["step"]
        self.average = {name: value.to(self.device) for name, value in saved["average"].items()}
        self.model.load_state_dict(saved["model"])
        # It may have been trained elsewhere; where this one computes, its own options hold.
        groups = self.optimiser.state_dict()["param_groups"]
        state = saved["optimiser"]["state"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})

    def run(self) -> dict[str, torch.Tensor]:
        """Train to the end; the averaged weights."""
        began, first, losses = time.monotonic(), self.step, []
        while self.step < self.training.steps:
            losses.append(self._one_step())
            if self.step % SAVE_EVERY == 0 or self.step == self.training.steps:
                rate = (time.monotonic() - began) / (self.step - first)
                recent = sum(losses[-SAVE_EVERY:]) / len(losses[-SAVE_EVERY:])
                place = f"{self.training.name} {self.step}/{self.training.steps}"
                print(f"{place} loss {recent:.4f} {rate:.2f} s/step", flush=True)
                self.save()
        return self.average

    def _one_step(self) -> float:
        """One step; its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.training.steps)
        loss = self.descend(*(each.to(self.device) for each in self.batch(self.step)))
        new = [p.detach() for p in self.model.parameters()]
        torch._foreach_lerp_(list(self.average.values()), new, 1 - decay(self.step))
        self.step += 1
        return loss.item()

    def batch(self, step: int) -> Batch:
        """Pictures, noise, times and words of a step, drawn on the CPU from the step's own seed:
        a training that goes on sees the same as one that was never stopped."""
        generator = torch.Generator().manual_seed(self.training.seed * 1_000_003 + step)
        chosen = torch.randint(0, PEOPLE, (BATCH,), generator=generator)
        x0 = self.pictures[chosen]
        t = self.kind.draw_time(BATCH, generator)
        noise = torch.randn(x0.shape, generator=generator)
        share = DROP_PROMPT if self.kind.prompts else 1
        dropped = torch.rand(BATCH, generator=generator) < share
        return x0, noise, t, torch.where(dropped, 0, self.words[chosen])

    def descend(
        self, x0: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, words: torch.Tensor
    ) -> torch.Tensor:
        """Change the weights by a batch on the device, which is not waited for; the loss there."""
        x, time_of_x, target = self.kind.noisy(x0, noise, t)
        loss = functional.mse_loss(self.model(x, time_of_x, words), target)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return loss.detach()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "step": self.step,
            "average": self.average,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = checkpoint(self.folder, self.training.name).with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(partial.with_suffix(".pt"))


def learning_rate(step: int, steps: int) -> float:
    """Of a step: up during the first 200, and down along half a cosine."""
    return LEARNING_RATE * min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / steps))


def decay(step: int) -> float:
    """How much of the running average is left after a step."""
    return min(EMA, (step + 2) / (step + 11))


def checkpoint(folder: Path, name: str) -> Path:
    """The file in which a training is kept while it is under way."""
    return folder / f"{name}.pt"


def _load(folder: Path, name: str) -> dict:
    return torch.load(checkpoint(folder, name), map_location="cpu", weights_only=True)


def save_weights(
    path: Path, average: dict[str, torch.Tensor], training: Training, computed: str = "CPU, float32"
) -> None:
    """Write a model in half precision with Stable Diffusion's key names.

    computed: on what, and in which precision.
    """
    weights = {
        name.replace("network.", PREFIX, 1): value.half().contiguous()
        for name, value in average.items()
    }
    weights["words.weight"] = weights.pop("words.weight").float()
    kind = NETWORKS[training.network]
    metadata = {
        "title": f"Detour's tiny model ({training.name})",
        "architecture": json.dumps(dict(kind.architecture)),
        "schedule": kind.schedule,
        "vocabulary": json.dumps(VOCABULARY),
        "data": f"{PEOPLE:,} portraits of {SIZE}x{SIZE}: {json.dumps(asdict(training.shares))}",
        "training": json.dumps(
            {"seed": training.seed, "steps": training.steps, "computed": computed}
        ),
        "licence": "MIT (weights); the portraits are composed from Pixel Art by DiceBear, CC0 1.0",
    }
    partial = path.with_suffix(".partial")
    save_file(weights, partial, metadata)
    partial.replace(path)


def shipped(scale: float, seed: int) -> list[Training]:
    """The trainings of the shipped pairs; scale: of their steps."""
    steps = {name: round(count * scale) for name, count in STEPS.items()}
    even = Shares(dict.fromkeys(JOBS, 0.5), 0.5, 0.5)
    made = [Training(TRUNK, even, seed, steps[TRUNK])]
    for place, (name, shares) in enumerate(VARIANTS.items()):
        if name in TRANSFORMERS:
            made.append(Training(name, shares, seed + place, steps[name], network="transformer"))
        else:
            made.append(Training(name, shares, seed, steps[name], TRUNK))
    return made


@in_one_sentence
def main() -> int:
    """Train what the command line names, or draw the parts; the exit status."""
    parser = argparse.ArgumentParser(prog="dev.py train", description=__doc__)
    names = (TRUNK, *VARIANTS)
    parser.add_argument("what", nargs="*", default=names, metavar=" | ".join(names))
    parser.add_argument("--draw", action="store_true", help="draw the parts, no more (needs Node)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the usual number of steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", type=Path, default=HERE.parent / "output" / "training")
    options = parser.parse_args()
    if options.draw:
        say(f"{draw_parts().name} is drawn anew.")
        return 0
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    for training in shipped(options.scale, options.seed):
        if training.name in options.what:
            average = Trainer(training, options.checkpoints).run()
            if training.name in VARIANTS:
                save_weights(weights_file(training.name), average, training)
    return 0


if __name__ == "__main__":
    sys.exit(main())
