"""Tiny random U-Nets of the kinds that the hosts run, and the models that hold them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import torch
from torch import nn

from detour.progress import stable_diffusion_sigmas

WORDS = 8
"""Width of the prompt's embedding."""


def seeded(make):
    """A module with random weights that are the same at each call, and no zero layers."""
    torch.manual_seed(0)
    module = make().eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        if not parameter.any():
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return module


def ldm_unet() -> nn.Module:
    """The U-Net class of A1111's SD 1 and 2, from the package `stable-diffusion-sdkit`."""
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    given = {
        "image_size": 8,
        "in_channels": 4,
        "model_channels": 32,
        "out_channels": 4,
        "num_res_blocks": 1,
        "attention_resolutions": [],  # in the mid-block alone
        "channel_mult": (1,),
        "num_heads": 2,
        "use_spatial_transformer": True,
        "context_dim": WORDS,
        "legacy": False,
    }
    with _list_config():
        return seeded(lambda: UNetModel(**given))


@contextmanager
def _list_config():
    """The class asks one other package for a type, only to compare with it; where that package
    is not installed, any type will do."""
    if importlib.util.find_spec("omegaconf") is not None:
        yield
        return
    listconfig = types.ModuleType("omegaconf.listconfig")
    listconfig.ListConfig = type("ListConfig", (), {})
    stubs = {"omegaconf": types.ModuleType("omegaconf"), "omegaconf.listconfig": listconfig}
    with patch.dict(sys.modules, stubs):
        yield


def diffusers_unet() -> nn.Module:
    """The U-Net class of SD.Next."""
    from diffusers import UNet2DConditionModel

    return seeded(
        lambda: UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WORDS,
            attention_head_dim=2,
        )
    )


class SpatialTransformer(nn.Module):
    """Named like the hosts' class, since the hosts count layers of that class."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_q = nn.Conv2d(channels, channels, 1)
        self.to_kv = nn.Linear(WORDS, channels)

    def forward(self, x, context=None, transformer_options=None):
        words = self.to_kv(context).mean(1)[:, :, None, None]
        return x + torch.tanh(self.to_q(x) * words)


class LoopingUNet(nn.Module):
    """Loops over its mid-block's layers and adds control in place, as reForge, Forge-classic and
    ComfyUI do."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(4, 8, 3, padding=1)
        self.middle_block = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1), SpatialTransformer(8), nn.Conv2d(8, 8, 3, padding=1)
        )
        self.outlet = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, x, timesteps, context=None, control=None, transformer_options=None):
        h = skip = self.inlet(x + 1e-3 * timesteps.view(-1, 1, 1, 1))
        for layer in self.middle_block:
            h = layer(h, context) if isinstance(layer, SpatialTransformer) else layer(h)
        if control is not None:
            h += control
        return self.outlet(torch.cat([h, skip], dim=1))


def looping_unet() -> nn.Module:
    return seeded(LoopingUNet)


class DoubleStreamBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.of_img, self.of_txt = nn.Linear(WORDS, WORDS), nn.Linear(WORDS, WORDS)

    def forward(self, img, txt, vec, pe):
        img += torch.tanh(self.of_txt(txt)).mean(1, keepdim=True) * vec
        return img, txt + torch.tanh(self.of_img(img)).mean(1, keepdim=True) * vec


class SingleStreamBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WORDS, WORDS)

    def forward(self, x, vec, pe):
        return x + torch.tanh(self.linear(x)) * vec


class ChromaDoubleBlock(DoubleStreamBlock):
    def forward(self, img, txt, mod, pe):
        return super().forward(img, txt, mod, pe)


class ChromaSingleBlock(SingleStreamBlock):
    def forward(self, x, mod, pe):
        return super().forward(x, mod, pe)


class FluxTransformer(nn.Module):
    """Lists, arguments and loop of the Flux that Forge and its newer kin bring themselves; in no
    registry. It has no mid-block, and its blocks write into what they get.

    double, single: the kinds of its blocks; Chroma's call an argument differently.
    """

    def __init__(self, double: type[nn.Module], single: type[nn.Module]) -> None:
        super().__init__()
        self.img_in, self.txt_in = nn.Linear(4, WORDS), nn.Linear(WORDS, WORDS)
        self.double_blocks = nn.ModuleList([double(), double()])
        self.single_blocks = nn.ModuleList([single(), single()])
        self.outlet = nn.Linear(WORDS, 4)

    def forward(self, x, timesteps, context=None, transformer_options=None):
        img, txt = self.img_in(x.flatten(2).transpose(1, 2)), self.txt_in(context)
        vec = torch.cos(timesteps / 300).view(-1, 1, 1)
        for block in self.double_blocks:
            img, txt = block(img, txt, vec, None)
        img = torch.cat([txt, img], dim=1)
        for block in self.single_blocks:
            img = block(img, vec, None)
        out = self.outlet(img[:, context.shape[1] :])
        return out.transpose(1, 2).reshape(x.shape)


def flux_transformer() -> nn.Module:
    return seeded(lambda: FluxTransformer(DoubleStreamBlock, SingleStreamBlock))


def chroma_transformer() -> nn.Module:
    return seeded(lambda: FluxTransformer(ChromaDoubleBlock, ChromaSingleBlock))


def alphas_cumprod() -> torch.Tensor:
    sigmas = torch.tensor(stable_diffusion_sigmas(), dtype=torch.float64)
    return (1 / (1 + sigmas**2)).float()


class A1111Model(nn.Module):
    """The parts of A1111's model that samplers use."""

    parameterization = "eps"

    def __init__(self, unet: nn.Module, name: str = "base") -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.diffusion_model = unet
        self.register_buffer("alphas_cumprod", alphas_cumprod())
        self.sd_checkpoint_info = name

    def apply_model(self, x, t, cond=None):
        return self.model.diffusion_model(x, t, context=cond)


class ForgeModel:
    """The parts of the Forge family's model: the U-Net lies in a patcher that the host may
    replace, and is told in each call which rows belong to the prompt."""

    parameterization = "eps"

    def __init__(self, unet: nn.Module, name: str = "base") -> None:
        self.alphas_cumprod = alphas_cumprod()
        self.unet = unet
        self.sd_checkpoint_info = name
        self.reset()

    def reset(self) -> None:
        sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()
        inner = SimpleNamespace(diffusion_model=self.unet, predictor=SimpleNamespace(sigmas=sigmas))
        patcher = SimpleNamespace(model=inner, model_options={})
        self.forge_objects = SimpleNamespace(unet=patcher)

    def apply_model(self, x, t, cond=None, chunks=()):
        options = {"cond_or_uncond": list(chunks), "sigmas": t[: len(t) // max(len(chunks), 1)]}
        return self.forge_objects.unet.model.diffusion_model(
            x, t, context=cond, transformer_options=options
        )


def a1111() -> A1111Model:
    return A1111Model(ldm_unet())


def forge() -> ForgeModel:
    return ForgeModel(looping_unet())


def k_diffusion(folder: Path | None = None):
    """The real samplers; the package's own start would import what they do not need.

    folder: where they are, if not in the installed package.
    """
    if "k_diffusion" not in sys.modules:
        folder = folder or Path(importlib.util.find_spec("k_diffusion").origin).parent
        parent = types.ModuleType("k_diffusion")
        parent.__path__ = [str(folder)]
        sys.modules["k_diffusion"] = parent
    parent = sys.modules["k_diffusion"]
    parent.sampling = importlib.import_module("k_diffusion.sampling")
    parent.external = importlib.import_module("k_diffusion.external")
    return parent
