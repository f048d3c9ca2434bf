"""Train the tiny model and its twin: `python dev.py train`.

Not needed to use the weights that lie beside this file. Runs on the CPU with ComfyUI's own U-Net
and noise schedule; `COMFYUI_PATH` must name a ComfyUI folder. It can be stopped and goes on where
it was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from tools.failure import Failure, say

from .draw_parts import draw_parts
from .faces import JOBS, VARIANTS, Shares, compose, draw_people, job_of
from .parts import SIZE
from .tiny import PREFIX, weights_file
from .words import TOKENS, VOCABULARY, WIDTH

HERE = Path(__file__).parent
UNET = {
    "image_size": SIZE,
    "in_channels": 3,
    "out_channels": 3,
    "model_channels": 32,
    "channel_mult": [1, 2, 4],
    "num_res_blocks": [1, 1, 0],
    "num_head_channels": 32,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "transformer_depth": [0, 1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 1, 1, 0],
    "context_dim": WIDTH,
    "legacy": False,
}
"""At the deepest level (4x4) only the mid-block attends, as in Stable Diffusion, and one level
above the prompt is read as well: else the mid-block alone would know of it."""
PEOPLE = 20_000
"""Portraits to train on; so few that a copy of one can be told from a new person."""
DROP_PROMPT = 0.4
"""Share of training pictures with the empty prompt; the rest get their job's word."""
BATCH, LEARNING_RATE, EMA = 64, 2e-3, 0.999
TRUNK = "even"
"""What the twins have in common: a model of even shares, from which each goes on by itself."""
STEPS = {TRUNK: 3000, "demo": 1500, "mirror": 1500}
SAVE_EVERY = 200


@dataclass(frozen=True)
class Training:
    """One model's training: a name, what its pictures show, and how long it is trained.

    start: the name of the model whose weights it begins with, "" for none.
    """

    name: str
    shares: Shares
    seed: int
    steps: int
    start: str = ""


class TinyModel(nn.Module):
    """ComfyUI's U-Net with a table of prompt embeddings."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet
        self.words = nn.Embedding(len(VOCABULARY), TOKENS * WIDTH)

    def forward(self, x: torch.Tensor, t: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        return self.unet(x, t, self.words(words).view(-1, TOKENS, WIDTH))


def host_parts(device: str = "cpu") -> tuple[nn.Module, torch.Tensor]:
    """ComfyUI's U-Net, freshly initialised on the CPU, and the sigmas of its zero-terminal-SNR
    schedule. device: where the host is to compute, if nothing has loaded it yet."""
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    from comfy.cli_args import args

    args.cpu = device == "cpu"
    args.use_pytorch_cross_attention = True
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.model_sampling import ModelSamplingDiscrete

    # The host takes the depths of its output blocks out of the list that it is given.
    unet = UNetModel(**json.loads(json.dumps(UNET)), operations=comfy.ops.disable_weight_init)
    initialise(unet)
    return unet, ModelSamplingDiscrete(zsnr=True).sigmas


def initialise(unet: nn.Module) -> None:
    """Torch's usual initialisation, which the host's layers skip; closing layers start at zero."""
    for name, module in unet.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if name.endswith(("out_layers.3", "proj_out", "out.2")):
                nn.init.zeros_(module.weight)
        elif isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def training_people(training: Training) -> torch.Tensor:
    """The people `[PEOPLE, fields]` whose portraits a model is trained on."""
    generator = torch.Generator().manual_seed(training.seed)
    return draw_people(training.shares, PEOPLE, generator)


class Trainer:
    """A training under way: weights, their running average and the optimiser.

    device: where it computes; what it draws is the same everywhere.
    """

    def __init__(self, training: Training, folder: Path, device: str = "cpu") -> None:
        torch.manual_seed(training.seed)
        unet, sigmas = host_parts(device)
        self.training, self.folder, self.device = training, folder, device
        self.model, self.step = TinyModel(unet).to(device), 0
        self.alphas = 1 / (sigmas**2 + 1).sqrt()
        people = training_people(training)
        self.pictures = torch.cat([compose(part) for part in people.split(500)]) * 2 - 1
        self.words = 1 + job_of(people)
        if training.start:
            self.model.load_state_dict(_load(folder, training.start)["average"])
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), LEARNING_RATE, weight_decay=0.01
        )
        if _checkpoint(folder, training.name).is_file():
            self._go_on(_load(folder, training.name))

    def _go_on(self, saved: dict) -> None:
        self.step = saved["step"]
        self.average = {name: value.to(self.device) for name, value in saved["average"].items()}
        self.model.load_state_dict(saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])

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
                self._save()
        return self.average

    def _one_step(self) -> float:
        """One step of v-prediction; its loss. Draws from its own step's seed, so that a training
        that goes on sees the same pictures as one that was never stopped."""
        generator = torch.Generator().manual_seed(self.training.seed * 1_000_003 + self.step)
        chosen = torch.randint(0, PEOPLE, (BATCH,), generator=generator)
        x0 = self.pictures[chosen]
        t = torch.randint(0, len(self.alphas), (BATCH,), generator=generator)
        noise = torch.randn(x0.shape, generator=generator)
        dropped = torch.rand(BATCH, generator=generator) < DROP_PROMPT
        words = torch.where(dropped, 0, self.words[chosen])
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        alpha = self.alphas[t][:, None, None, None]
        x0, noise, t, words, a = (each.to(self.device) for each in (x0, noise, t, words, alpha))
        s = (1 - a * a).sqrt()
        v = self.model(a * x0 + s * noise, t.float(), words)
        loss = functional.mse_loss(v, a * noise - s * x0)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(EMA, (self.step + 1) / (self.step + 10))
        new = [p.detach() for p in self.model.parameters()]
        torch._foreach_lerp_(list(self.average.values()), new, 1 - decay)
        return loss.item()

    def _learning_rate(self) -> float:
        warm = min(1.0, (self.step + 1) / 200)
        return (
            LEARNING_RATE * warm * 0.5 * (1 + math.cos(math.pi * self.step / self.training.steps))
        )

    def _save(self) -> None:
        state = {
            "step": self.step,
            "average": self.average,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = _checkpoint(self.folder, self.training.name).with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(partial.with_suffix(".pt"))


def _checkpoint(folder: Path, name: str) -> Path:
    return folder / f"{name}.pt"


def _load(folder: Path, name: str) -> dict:
    return torch.load(_checkpoint(folder, name), map_location="cpu", weights_only=True)


def save_weights(path: Path, average: dict[str, torch.Tensor], training: Training) -> None:
    """Write a model in half precision with Stable Diffusion's key names."""
    weights = {
        name.replace("unet.", PREFIX, 1): value.half().contiguous()
        for name, value in average.items()
    }
    weights["words.weight"] = weights.pop("words.weight").float()
    metadata = {
        "title": f"Detour's tiny model ({training.name})",
        "architecture": json.dumps(UNET),
        "schedule": "v-prediction, zero terminal SNR, sigmas of Stable Diffusion",
        "vocabulary": json.dumps(VOCABULARY),
        "data": f"{PEOPLE:,} portraits of {SIZE}x{SIZE}: {json.dumps(asdict(training.shares))}",
        "training": json.dumps({"seed": training.seed, "steps": training.steps}),
        "licence": "MIT (weights); the portraits are composed from Pixel Art by DiceBear, CC0 1.0",
    }
    partial = path.with_suffix(".partial")
    save_file(weights, partial, metadata)
    partial.replace(path)


def shipped(scale: float, seed: int) -> list[Training]:
    """The trainings of the shipped pair; scale: of their steps."""
    steps = {name: round(count * scale) for name, count in STEPS.items()}
    even = Shares(dict.fromkeys(JOBS, 0.5), 0.5, 0.5)
    twins = [Training(name, shares, seed, steps[name], TRUNK) for name, shares in VARIANTS.items()]
    return [Training(TRUNK, even, seed, steps[TRUNK]), *twins]


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
        return _draw()
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    for training in shipped(options.scale, options.seed):
        if training.name in options.what:
            average = Trainer(training, options.checkpoints).run()
            if training.name in VARIANTS:
                save_weights(weights_file(training.name), average, training)
    return 0


def _draw() -> int:
    try:
        say(f"{draw_parts().name} is drawn anew.")
    except Failure as failure:
        say(f"{failure.details}\nError: {failure}".strip())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
