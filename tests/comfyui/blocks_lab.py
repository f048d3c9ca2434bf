"""Ranges of blocks bypassed by hand, with hooks on the host's own blocks: the oracle. Not a test
file: `conftest.py` loads it and hands it out as the fixture `ranges`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

DEPTHS: dict[str, dict[str, Any]] = {
    "lumina": {"n_layers": 6},
    "z_image": {"n_layers": 4},
    "qwen": {"num_layers": 4},
    "wan": {"num_layers": 4},
    "sd3": {
        "depth": 4,
        "context_embedder_config": {
            "target": "torch.nn.Linear",
            "params": {"in_features": 24, "out_features": 256},
        },
    },
    "flux": {"depth": 3, "depth_single_blocks": 3},
    "flux2": {"depth": 3, "depth_single_blocks": 3},
    "chroma": {"depth": 3, "depth_single_blocks": 3},
    "radiance": {"depth": 3, "depth_single_blocks": 3},
    "cosmos": {"num_blocks": 4},
    "anima": {"num_blocks": 4},
    "krea2": {"layers": 4},
    "ernie": {"num_layers": 4},
}
ONE = ("layers", "blocks", "single_blocks")
IN: dict[str, tuple[str, str]] = {
    "double_blocks": ("img", "txt"),
    "transformer_blocks": ("hidden_states", "encoder_hidden_states"),
}


def taken(name: str, args: tuple, kwargs: dict) -> list[Any]:
    """The streams that a block of this list was called with."""
    if name in ONE:
        return [args[0]]
    return [args[0], args[1]] if name == "joint_blocks" else [kwargs[key] for key in IN[name]]


def turned(name: str, streams: Any) -> Any:
    """Streams as a block takes them from its result, or a result from them."""
    first, *rest = streams
    return (*rest, first) if name == "transformer_blocks" else (first, *rest)


def unpacked(name: str, result: Any) -> list[Any]:
    return [result] if name in ONE else list(turned(name, result))


def packed(name: str, streams: Sequence[Any]) -> Any:
    return streams[0] if name in ONE else turned(name, streams)


@dataclass
class Ranges:
    """The helpers, with the labs that they work in."""

    lab: Any
    transformers: Any

    def build(self, family: str) -> Any:
        """A MODEL of 4 blocks, of 6 (Lumina), or of 3 double and 3 single ones (Flux)."""
        return self.transformers.build(family, **DEPTHS[family])

    def texts(self, family: str, tokens: int = 5, other: int = 5) -> dict[str, list]:
        """A prompt and a negative prompt."""
        make = self.transformers.conditioning
        return {"positive": make(family, 10, tokens), "negative": make(family, 20, other)}

    def run(self, model: Any, family: str, **settings: Any) -> torch.Tensor:
        """Two steps without guidance."""
        given = {"steps": 2, "cfg": 1.0, **self.texts(family), **settings}
        return self.transformers.sample(model, **given)

    def bypass(self, model: Any, blocks: str, strength: float, **inputs: Any) -> Any:
        """The MODEL through the node, over the whole denoising."""
        return self.lab.bypass(model, strength, blocks=blocks, **inputs)

    def all_of(self, model: Any) -> list[tuple[str, nn.Module]]:
        """Each block with the name of its list, in the order in which they run."""
        whole = model.model.diffusion_model
        names = (*ONE, "joint_blocks", *IN)
        order = [name for name in names if hasattr(whole, name)]
        if "double_blocks" in order:
            order = ["double_blocks", "single_blocks"]
        return [(name, block) for name in order for block in getattr(whole, name)]

    @contextmanager
    def lerped(
        self, model: Any, first: int, last: int, lam: float | Callable[[Any, Any, dict], Any]
    ) -> Iterator[None]:
        """The blend by its formula, with hooks on the first and the last block of the range.

        lam: a number, or what to do with output and input of a stream, and the call's options.
        """
        blocks, kept = self.all_of(model), []
        blended = lam if callable(lam) else lambda out, h, _options: torch.lerp(out, h, lam)
        (start, opening), (stop, closing) = blocks[first], blocks[last]

        def before(_block: nn.Module, args: tuple, kwargs: dict) -> None:
            kept[:] = [h.clone() for h in taken(start, args, kwargs)]

        def after(_block: nn.Module, _args: tuple, kwargs: dict, result: Any) -> Any:
            begun = kept if start == stop else [torch.cat([kept[1], kept[0]], dim=1)]
            options = kwargs.get("transformer_options", {})  # Ernie hands none on
            pairs = zip(unpacked(stop, result), begun, strict=True)
            mixed = [None if out is None else blended(out, h, options) for out, h in pairs]
            return packed(stop, mixed)

        with ExitStack() as hooks:
            for handle in (
                opening.register_forward_pre_hook(before, with_kwargs=True),
                closing.register_forward_hook(after, with_kwargs=True),
            ):
                hooks.callback(handle.remove)
            yield

    @contextmanager
    def left_out(self, model: Any, first: int, last: int) -> Iterator[None]:
        """Identities in the places of the blocks of the range."""
        chosen = self.all_of(model)[first : last + 1]
        for name, block in chosen:
            block.forward = lambda *args, name=name, **kwargs: packed(
                name, [h.clone() for h in taken(name, args, kwargs)]
            )
        try:
            yield
        finally:
            for _, block in chosen:
                del block.forward

    @contextmanager
    def counted(self, model: Any) -> Iterator[list[int]]:
        """How many modules ran in each block."""
        blocks = [block for _, block in self.all_of(model)]
        ran = [0] * len(blocks)

        def note(place: int) -> Callable:
            def noted(*_: Any) -> None:
                ran[place] += 1

            return noted

        with ExitStack() as hooks:
            for place, block in enumerate(blocks):
                for module in block.modules():
                    hooks.callback(module.register_forward_hook(note(place)).remove)
            yield ran
