"""Train the tiny model, its mirrored twin and the digit reader: `python dev.py train`.

Not needed to use the weights that lie beside this file. Runs on the CPU with ComfyUI's
own U-Net and noise schedule; `COMFYUI_PATH` must name a ComfyUI folder.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from . import digits as data
from .reader import WEIGHTS as READER_WEIGHTS
from .reader import DigitReader
from .tiny import load_tiny, weights_file
from .words import TOKENS, VOCABULARY, WIDTH

HERE = Path(__file__).parent
UNET = {
    "image_size": data.SIZE,
    "in_channels": 3,
    "out_channels": 3,
    "model_channels": 32,
    "channel_mult": [1, 2, 3],
    "num_res_blocks": [1, 1, 0],
    "num_head_channels": 32,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "transformer_depth": [0, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 0, 0, 0],
    "context_dim": WIDTH,
    "legacy": False,
}
"""At the deepest level (4x4) only the mid-block attends, as in Stable Diffusion. A level
with attention and residual blocks of its own there leaves the mid-block nothing to decide."""
DROP_PROMPT, PARITY_PROMPT = 0.4, 0.3
"""Share of training pictures with the empty prompt, and with `even` or `odd`; the rest get
their digit's word."""
BATCH, LEARNING_RATE, EMA = 128, 2e-3, 0.999


class TinyModel(nn.Module):
    """ComfyUI's U-Net with a table of prompt embeddings."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet
        self.words = nn.Embedding(len(VOCABULARY), TOKENS * WIDTH)

    def forward(self, x: torch.Tensor, t: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        return self.unet(x, t, self.words(words).view(-1, TOKENS, WIDTH))


def host_parts() -> tuple[nn.Module, torch.Tensor]:
    """ComfyUI's U-Net, freshly initialised, and the sigmas of its zero-terminal-SNR schedule."""
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    from comfy.cli_args import args

    args.cpu = True
    args.use_pytorch_cross_attention = True
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.model_sampling import ModelSamplingDiscrete

    unet = UNetModel(**UNET, operations=comfy.ops.disable_weight_init)
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


def prompts_for(labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """For each digit a word that describes it: nothing, its parity or its own name."""
    chance = torch.rand(len(labels), generator=generator)
    parity = 11 + labels % 2
    named = torch.where(chance < DROP_PROMPT + PARITY_PROMPT, parity, 1 + labels)
    return torch.where(chance < DROP_PROMPT, torch.zeros_like(labels), named)


def train_model(variant: str, steps: int, seed: int, resume: bool) -> None:
    """Train one twin with v-prediction and save the averaged weights in half precision.

    resume: go on from the weights that lie there, with a new, falling learning rate.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    unet, sigmas = host_parts()
    model = TinyModel(unet)
    done = load_weights(model, variant) if resume else 0
    average = [p.detach().clone() for p in model.parameters()]
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.01)
    alphas = 1 / (sigmas**2 + 1).sqrt()
    digits, began, losses = data.load_digits(), time.monotonic(), []
    for step in range(steps):
        for group in optimiser.param_groups:
            warm = min(1.0, (step + 1) / 200)
            group["lr"] = LEARNING_RATE * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
        pictures, labels = data.draw(digits, variant, BATCH, generator)
        x0 = pictures * 2 - 1
        t = torch.randint(0, len(sigmas), (BATCH,), generator=generator)
        noise = torch.randn(x0.shape, generator=generator)
        a = alphas[t][:, None, None, None]
        s = (1 - a * a).sqrt()
        with torch.autocast("cpu", torch.bfloat16):
            v = model(a * x0 + s * noise, t.float(), prompts_for(labels, generator))
        loss = functional.mse_loss(v.float(), a * noise - s * x0)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        decay = min(EMA, (step + 1) / (step + 10))
        torch._foreach_lerp_(average, [p.detach() for p in model.parameters()], 1 - decay)
        losses.append(loss.item())
        if (step + 1) % 200 == 0:
            recent = sum(losses[-200:]) / 200
            rate = (time.monotonic() - began) / (step + 1)
            print(f"{variant} {step + 1}/{steps} loss {recent:.4f} {rate:.2f} s/step", flush=True)
        if (step + 1) % 1000 == 0 or step + 1 == steps:
            save_model(model, average, variant, done + step + 1)


def load_weights(model: TinyModel, variant: str) -> int:
    """Put the saved weights into the model; the steps that they were trained for."""
    tiny = load_tiny(variant)
    model.unet.load_state_dict(tiny.unet)
    model.words.weight.data.copy_(tiny.words.flatten(1))
    with safe_open(weights_file(variant), "pt") as file:
        return int(file.metadata()["steps"])


def save_model(model: TinyModel, average: list[torch.Tensor], variant: str, steps: int) -> None:
    """Write `tiny_<variant>.safetensors` with Stable Diffusion's key names."""
    named = dict(zip((name for name, _ in model.named_parameters()), average, strict=True))
    weights = {
        name.replace("unet.", "model.diffusion_model.", 1): value.half().contiguous()
        for name, value in named.items()
    }
    weights["words.weight"] = weights.pop("words.weight").float()
    metadata = {
        "title": f"Detour's tiny model ({variant})",
        "architecture": json.dumps(UNET),
        "schedule": "v-prediction, zero terminal SNR, sigmas of Stable Diffusion",
        "vocabulary": json.dumps(VOCABULARY),
        "data": (
            f"10,000 MNIST digits at {data.SIZE}x{data.SIZE}; {data.MINORITY_SHARE:.0%} of the "
            f"pictures show {data.MINORITY[variant]}; {data.COLOUR_SHARE:.0%} in the group's colour"
        ),
        "steps": str(steps),
        "licence": "MIT (weights); the digits are MNIST by LeCun, Cortes and Burges",
    }
    partial = HERE / f"tiny_{variant}.safetensors.partial"
    save_file(weights, partial, metadata)
    partial.replace(partial.with_suffix(""))


def distort(pictures: torch.Tensor) -> torch.Tensor:
    """Turn, stretch and shift each picture a little, tint its ground and speckle it: what the
    tiny model does to digits that a person still reads."""
    count = len(pictures)
    turn = torch.eye(2).repeat(count, 1, 1) + torch.randn(count, 2, 2) * 0.1
    shift = torch.randn(count, 2, 1) * 0.08
    grid = functional.affine_grid(torch.cat([turn, shift], 2), list(pictures.shape), False)
    moved = functional.grid_sample(pictures, grid, align_corners=False)
    tint = torch.rand(count, 3, 1, 1) * 0.1
    return (moved + tint + torch.randn_like(moved) * 0.04).clamp(0, 1)


def train_reader(steps: int, seed: int) -> None:
    """Train the reader on 85 % of the digits; print and store its accuracy on the others."""
    torch.manual_seed(seed)
    digits = data.load_digits()
    order = torch.randperm(len(digits.labels))
    held_out, kept = order[:1500], order[1500:]
    reader = DigitReader()
    optimiser = torch.optim.AdamW(reader.parameters(), 2e-3, weight_decay=0.01)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(steps):
        batch = kept[torch.randint(0, len(kept), (256,))]
        pictures = data.colour(digits.pixels[batch], torch.rand(256) < 0.5)
        loss = functional.cross_entropy(reader(distort(pictures)), digits.labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
    reader.eval()
    with torch.no_grad():
        pictures = data.colour(digits.pixels[held_out], torch.rand(1500) < 0.5)
        right = reader(pictures).argmax(1) == digits.labels[held_out]
    accuracy = f"{right.float().mean().item():.4f}"
    print(f"reader: {accuracy} of 1,500 held-out digits read correctly", flush=True)
    metadata = {"title": "Detour's digit reader", "held_out_accuracy": accuracy, "licence": "MIT"}
    partial = READER_WEIGHTS.with_suffix(".partial")
    save_file(reader.state_dict(), partial, metadata)
    partial.replace(READER_WEIGHTS)


def main() -> None:
    """Train what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["reader", "demo", "mirror"])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the saved weights")
    options = parser.parse_args()
    for what in options.what:
        if what == "reader":
            train_reader(3000, options.seed)
        else:
            train_model(what, options.steps, options.seed, options.resume)


if __name__ == "__main__":
    main()
