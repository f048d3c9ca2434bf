"""What else a graph may hold, as the host's own nodes make it. Not a test file."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch


def lora_hook(strength: float = 1.0) -> Any:
    """A hook that patches weights of the mid-block of `sd15` for one conditioning."""
    import comfy.hooks

    def randn(*size: int, seed: int) -> torch.Tensor:
        return torch.randn(*size, generator=torch.Generator().manual_seed(seed)) * 0.2

    name = "diffusion_model.middle_block.0.in_layers.2"
    lora = {
        f"{name}.lora_up.weight": randn(64, 4, 1, 1, seed=61),
        f"{name}.lora_down.weight": randn(4, 64, 3, 3, seed=62),
    }
    return comfy.hooks.create_hook_lora(lora, strength, 0.0)


def hook_group(model: Any, scope: str) -> Any:
    """A hook for conditionings that carries the wrappers of a MODEL."""
    import comfy.hooks

    carried = {
        kind: {key: list(functions) for key, functions in by_key.items()}
        for kind, by_key in model.wrappers.items()
    }
    group, scopes = comfy.hooks.HookGroup(), comfy.hooks.EnumHookScope
    hook = comfy.hooks.TransformerOptionsHook({"wrappers": carried}, getattr(scopes, scope))
    group.add(hook)
    return group


def with_pag(model: Any) -> Any:
    """The MODEL with Perturbed-Attention Guidance, which works inside the mid-block."""
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance

    return PerturbedAttentionGuidance.execute(model=model, scale=3.0).result[0]


def sample_custom(
    lab: Any, model: Any, sampler: Any, sigmas: torch.Tensor, cfg: float = 3.0
) -> torch.Tensor:
    """A run of the host's SamplerCustom: a sampler object, and sigmas of any kind."""
    node = lab.extra_node("nodes_custom_sampler", "SamplerCustom")
    result = node.execute(
        model=model,
        add_noise=True,
        noise_seed=5,
        cfg=cfg,
        positive=lab.conditioning(model, 10),
        negative=lab.conditioning(model, 20),
        sampler=sampler,
        sigmas=sigmas,
        latent_image={"samples": lab.latent(model)},
    )
    return result.result[0]["samples"]


def compiled(model: Any, backend: str | Callable = "eager", **more: Any) -> Any:
    """The MODEL through the host's compile wrapper; the graphs are run as they are."""
    helpers = pytest.importorskip("comfy_api.torch_helpers", reason="the host cannot compile")
    clone = model.clone()
    helpers.set_torch_compile_wrapper(model=clone, backend=backend, **more)
    return clone


def counted(graphs: list) -> Callable:
    """A backend that notes each graph and runs it as it is."""

    def backend(graph: Any, _inputs: Any) -> Callable:
        graphs.append(graph)
        return graph.forward

    return backend


def in_windows(lab: Any, model: Any, length: int, dim: int) -> Any:
    """The model in the host's context windows: of this length, overlapping by 1, along `dim`."""
    lab.load_pack()  # before the host's node, which imports the host's `nodes`
    node = lab.extra_node("nodes_context_windows", "ContextWindowsManualNode")
    given = {
        "context_length": length,
        "context_overlap": 1,
        "context_schedule": "standard_static",
        "context_stride": 1,
        "closed_loop": False,
        "fuse_method": "pyramid",
        "dim": dim,
        "freenoise": False,  # of newer hosts
    }
    takes = inspect.signature(node.execute).parameters
    known = {name: value for name, value in given.items() if name in takes}
    return node.execute(model=model, **known).result[0]
