"""The real host in this process, the pack inside it, and tiny random U-Nets to try them on.

Not a test file: `conftest.py` loads it and hands it out as the fixture `lab`. Importing it
imports ComfyUI, so it must be imported once and before anything else of the host.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
HOST = Path(os.environ["COMFYUI_PATH"]).resolve()

sys.path.insert(0, str(HOST))  # first: this repository has a package `nodes` too
torch.set_num_threads(1)

from comfy.cli_args import args  # noqa: E402

args.cpu = True  # before the host looks for a graphics card
args.use_pytorch_cross_attention = True  # the host's default attention cannot be compiled

import comfy.model_management  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.ops  # noqa: E402
import comfy.patcher_extension  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.supported_models  # noqa: E402
from comfy.ldm.modules.attention import SpatialTransformer  # noqa: E402
from comfy.ldm.modules.diffusionmodules import openaimodel  # noqa: E402
from comfy.patcher_extension import WrappersMP  # noqa: E402
from torch import nn  # noqa: E402
from unet_shapes import BASE, CONFIGS  # noqa: E402

CPU = torch.device("cpu")


# --- the host's nodes and the pack -----------------------------------------------------------


def host_nodes() -> ModuleType:
    """ComfyUI's own `nodes` module."""
    import utils.extra_config  # noqa: F401 - before `nodes`, which hides this `utils`

    return importlib.import_module("nodes")


@cache
def load_pack() -> str:
    """Load the pack as ComfyUI does for a folder in custom_nodes; the name of its module."""
    nodes = host_nodes()
    assert asyncio.run(nodes.load_custom_node(str(ROOT))), "ComfyUI could not load the pack"
    return str(ROOT).replace(".", "_x_")


def pack(name: str) -> ModuleType:
    """A module of the pack, for example `nodes.host`, as the host loaded it."""
    return importlib.import_module(f"{load_pack()}.{name}")


def pack_nodes() -> dict[str, Any]:
    """The pack's node classes by id, in its own order."""
    entry = sys.modules[load_pack()].comfy_entrypoint
    listed = asyncio.run(entry_list(entry))
    return {node_class.GET_SCHEMA().node_id: node_class for node_class in listed}


async def entry_list(entry: Callable) -> list:
    """What the entry point offers to the host."""
    return await (await entry()).get_node_list()


def node(node_id: str) -> Any:
    """A node class of the pack or of the host's `nodes.py` by its id."""
    load_pack()
    return host_nodes().NODE_CLASS_MAPPINGS[node_id]


def extra_node(file: str, name: str) -> Any:
    """A node class of the host's `comfy_extras`."""
    return getattr(importlib.import_module(f"comfy_extras.{file}"), name)


def run_node(node_id: str, **inputs: Any) -> tuple:
    """The outputs of one of the pack's nodes, called as the host's executor calls it."""
    node_class = node(node_id)
    for schema_input in node_class.define_schema().inputs:
        if not getattr(schema_input, "optional", False) and hasattr(schema_input, "default"):
            inputs.setdefault(schema_input.id, schema_input.default)
    return prepared(node_class, unique_id=inputs.pop("unique_id", None)).execute(**inputs).result


def prepared(node_class: Any, **hidden: Any) -> Any:
    """A node class as the host's executor makes it ready, with these hidden inputs."""
    from comfy_api.latest import io

    given = {io.Hidden[name]: value for name, value in hidden.items()}
    # Newer hosts look for them one level below.
    return node_class.PREPARE_CLASS_CLONE({**given, "hidden_inputs": given})


def bypass(model: Any, strength: float = 1.0, **inputs: Any) -> Any:
    """A MODEL through the main node; by default over the whole denoising."""
    inputs = {"start_percent": 0.0, "end_percent": 1.0, **inputs}
    return run_node("DetourMidBlockBypass", model=model, strength=strength, **inputs)[0]


# --- tiny models -----------------------------------------------------------------------------


def fill(module: nn.Module, seed: int) -> None:
    """Random weights that let the signal through; the host leaves its layers uninitialised."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim > 1:
                value.copy_(noise / value[0].numel() ** 0.5)
            else:
                value.copy_(0.1 * noise + (1.0 if name.endswith("weight") else 0.0))


def tiny(shape: str, seed: int = 0, **changes: Any) -> Any:
    """A new MODEL of the shape with random weights; the same ones for the same seed."""
    class_name, config = CONFIGS[shape]
    model_config = getattr(comfy.supported_models, class_name)({**BASE, **config, **changes})
    heads = {"num_heads": 4} if class_name == "SD15" else {"num_head_channels": 16}
    model_config.unet_config.update(heads)
    model_config.set_inference_dtype(torch.float32, None)
    base = model_config.get_model({}, "", device=CPU)
    fill(base.diffusion_model, seed)
    return comfy.model_patcher.ModelPatcher(base, CPU, CPU)


def demo_model(seed: int = 0) -> Any:
    """The demo's architecture with random weights, through the pack's own `build_model`."""
    own = pack("demo.tiny").load_tiny("demo")
    ops = comfy.ops.disable_weight_init
    unet = openaimodel.UNetModel(**own.architecture, device=CPU, operations=ops)
    fill(unet, seed)
    random = dataclasses.replace(own, network=unet.state_dict(), words=torch.zeros_like(own.words))
    return pack("nodes.demo").build_model(random)


def build(shape: str, seed: int = 0) -> Any:
    """A new MODEL: a key of `CONFIGS`, or `demo` for the demo's architecture."""
    return demo_model(seed) if shape == "demo" else tiny(shape, seed)


def unet_of(model: Any) -> nn.Module:
    """The U-Net inside a MODEL."""
    return model.model.diffusion_model


def randn(*size: int, seed: int) -> torch.Tensor:
    """Standard normal numbers that depend on the seed alone."""
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def conditioning(model: Any, seed: int, tokens: int = 5, **extra: Any) -> list:
    """A random CONDITIONING that the model can take."""
    width = model.model.model_config.unet_config["context_dim"]
    pooled = randn(1, 1280, seed=seed + 1)
    return [[randn(1, tokens, width, seed=seed), {"pooled_output": pooled, **extra}]]


def latent(model: Any, batch: int = 2, seed: int = 3) -> torch.Tensor:
    """A random latent of 8x8 (`demo`: of 16x16)."""
    unet_config = model.model.model_config.unet_config
    size = 16 if unet_config["in_channels"] == 3 else 8
    return randn(batch, unet_config["out_channels"], size, size, seed=seed)


# --- running them ----------------------------------------------------------------------------


def sample(
    model: Any,
    *,
    steps: int = 4,
    cfg: float = 3.0,
    sampler: str = "euler",
    scheduler: str = "normal",
    denoise: float = 1.0,
    positive: list | None = None,
    negative: list | None = None,
    start: torch.Tensor | None = None,
    callback: Callable | None = None,
) -> torch.Tensor:
    """One run of the host's sampler with everything else fixed."""
    noise = latent(model)
    return comfy.sample.sample(
        model,
        noise,
        steps,
        cfg,
        sampler,
        scheduler,
        positive or conditioning(model, 10),
        negative or conditioning(model, 20),
        torch.zeros_like(noise) if start is None else start,
        denoise=denoise,
        callback=callback,
        disable_pbar=True,
        seed=5,
    )


def call(
    model: Any,
    x: torch.Tensor,
    sigmas: Sequence[float],
    *,
    control: dict | None = None,
    cond_or_uncond: Sequence[int] = (0,),
    context: torch.Tensor | None = None,
    y: torch.Tensor | None = None,
) -> torch.Tensor:
    """One model call as the host's sampler makes it: `x [B, C, H, W]`, a sigma for each row."""
    own = comfy.model_patcher.create_model_options_clone(model.model_options)
    transformer_options = own.setdefault("transformer_options", {})
    wrappers = transformer_options.setdefault("wrappers", {})
    comfy.patcher_extension.merge_nested_dicts(wrappers, model.wrappers, copy_dict1=False)
    transformer_options.update(cond_or_uncond=list(cond_or_uncond))
    if context is None:
        width = model.model.model_config.unet_config["context_dim"]
        context = randn(x.shape[0], 5, width, seed=30)
    vector = {} if y is None else {"y": y}
    return model.model.apply_model(
        x,
        torch.tensor(sigmas, dtype=torch.float32),
        c_crossattn=context,
        control=control,
        transformer_options=transformer_options,
        **vector,
    )


def checksum(value: torch.Tensor) -> str:
    """A hash of every bit of a tensor."""
    return hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()


@cache
def before_the_pack() -> str:
    """The hash of a plain run, which `conftest.py` asks for before the pack is loaded."""
    with torch.inference_mode():
        return checksum(sample(tiny("small")))


# --- watching them ---------------------------------------------------------------------------


@dataclass
class Call:
    """One model call: the sigma of each row, which rows were the prompt's, and how many of
    the mid-block's modules ran."""

    sigmas: list[float]
    cond_or_uncond: list[int]
    modules_run: int


@dataclass
class Watch:
    """The model calls of the runs inside `watching`."""

    model: Any
    modules: int
    calls: list[Call] = field(default_factory=list)

    @property
    def skipped(self) -> list[bool]:
        """For each call whether nothing of the mid-block ran."""
        return [call.modules_run == 0 for call in self.calls]

    @property
    def sigmas(self) -> list[float]:
        """For each call its sigma."""
        return [call.sigmas[0] for call in self.calls]


@contextmanager
def watching(model: Any) -> Iterator[Watch]:
    """A clone of the MODEL that notes its calls; knows nothing of how a bypass is done."""
    inside = [module for module in unet_of(model).middle_block.modules()][1:]
    runs: list[nn.Module] = []
    clone = model.clone()
    watch = Watch(clone, len(inside))

    def note(executor: Any, x: Any, t: Any, *rest: Any, **named: Any) -> Any:
        before = len(runs)
        result = executor(x, t, *rest, **named)
        options = named.get("transformer_options") or rest[3]
        rows = list(options["cond_or_uncond"])
        watch.calls.append(Call(t.flatten().tolist(), rows, len(runs) - before))
        return result

    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "watch", note)
    with ExitStack() as hooks:
        for module in inside:
            handle = module.register_forward_hook(lambda module, *_: runs.append(module))
            hooks.callback(handle.remove)
        yield watch


# --- the oracle ------------------------------------------------------------------------------

Change = Callable[[torch.Tensor, torch.Tensor, dict], torch.Tensor]


@contextmanager
def by_hand(model: Any, change: Change | None) -> Iterator[None]:
    """Put `change(M(h), h, options)` into the host's own loop over the mid-block.

    No stand-in and no wrapper: an independent way to the same pictures. None is the identity
    mid-block, which is not run at all.
    """
    mid = unet_of(model).middle_block
    loop = openaimodel.forward_timestep_embed

    def changed(ts, x, emb, context=None, options={}, *rest, **named):  # noqa: B006
        if ts is not mid:
            return loop(ts, x, emb, context, options, *rest, **named)
        h = x.clone()
        if change is None:
            options["transformer_index"] += sum(isinstance(m, SpatialTransformer) for m in mid)
            return h
        return change(loop(ts, x, emb, context, options, *rest, **named), h, options)

    openaimodel.forward_timestep_embed = changed
    try:
        yield
    finally:
        openaimodel.forward_timestep_embed = loop


def lerp(*lams: float) -> Change:
    """The blend by its formula; several are done one after the other."""

    def change(out: torch.Tensor, h: torch.Tensor, _options: dict) -> torch.Tensor:
        for lam in lams:
            out = torch.lerp(out, h, lam)
        return out

    return change


def lerp_each(lams: Sequence[float]) -> Change:
    """The blend by its formula, one lam after the other, one for each call of the mid-block."""
    left = iter(lams)
    return lambda out, h, _options: torch.lerp(out, h, next(left))


def lerp_rows(lams: Sequence[float]) -> Change:
    """The blend by its formula with a lam for each row."""

    def change(out: torch.Tensor, h: torch.Tensor, _options: dict) -> torch.Tensor:
        blended = [torch.lerp(out[row], h[row], lam) for row, lam in enumerate(lams)]
        return torch.stack(blended)

    return change


def lerp_half(lam: float, half: int) -> Change:
    """The blend by its formula for the prompt's rows (half 0) or the negative prompt's (1)."""

    def change(out: torch.Tensor, h: torch.Tensor, options: dict) -> torch.Tensor:
        chunks = options["cond_or_uncond"]
        pairs = zip(chunks, out.chunk(len(chunks)), h.chunk(len(chunks)), strict=True)
        return torch.cat([torch.lerp(o, i, lam) if c == half else o for c, o, i in pairs])

    return change


def progress_by_hand(model: Any, sigma: float) -> float:
    """Progress by sigma, from the host's own table."""
    table = model.model.model_sampling.sigmas.double().log().numpy()
    return 1.0 - float(np.interp(math.log(sigma), table, np.linspace(0.0, 1.0, len(table))))
