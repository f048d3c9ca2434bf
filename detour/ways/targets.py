"""What of a denoiser a way can act on, and what reads it; told by what an object has, not by the
host that it is of.

A U-Net has one mid-block. A transformer has none, but a middle: a range of the blocks that follow
each other in it. Which list they are in, and which streams go through them, stands in `FAMILIES`.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

import torch
from torch import nn

from ..checks import quoted

REFUSAL = "This model has no mid-block. Works with SD 1.x, SD 2.x, SDXL, SVD."
MID_BLOCKS = ("middle_block", "mid_block", "base_midblock")
AUTO = "auto"
Blocks = tuple[int, int]
"""The first and the last block of a range, as people number them: from 0, both included."""


def find_mid_block(unet: Any) -> tuple[nn.Module, str]:
    """The module that the mid-block is an attribute of, and the attribute: `middle_block` (ldm)
    or `mid_block` (diffusers). Behind `torch.compile` it is the U-Net's; of ControlNet-XS it is
    `base_midblock` of the pair of mid-blocks, as the other one adds its residual behind it.

    Raises ValueError that names the model's class if it has none.
    """
    found = _mid_block(unet)
    if found is None:
        kind = type(uncompiled(unet)).__name__
        raise ValueError(f"{REFUSAL} (The connected model is of the kind {kind}.)")
    return found


def _mid_block(unet: Any) -> tuple[nn.Module, str] | None:
    whole = uncompiled(unet)
    pair: Any = getattr(whole, "mid_block", None)
    holder: Any = pair if hasattr(pair, "base_midblock") else whole
    names = [name for name in MID_BLOCKS if isinstance(getattr(holder, name, None), nn.Module)]
    return (holder, names[0]) if names else None


@dataclass(frozen=True)
class BlockList:
    """One list of blocks of a family.

    name: of the attribute. takes: the first arguments of its blocks' `forward`, by which the
    family is known. streams: those of them that go through, in the order of the arguments.
    gives: the same in the order in which a block returns them, if that is another.
    """

    name: str
    takes: tuple[str, ...]
    streams: tuple[str, ...]
    gives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "gives", self.gives or self.streams)


@dataclass(frozen=True)
class Family:
    """Models whose blocks lie in the same lists.

    lists: in the order in which they run, numbered on from one to the next. has: further
        attributes, which kin with other streams lack. joined: the order in which the streams of
        one list become the one stream of the next, along the tokens.
    """

    name: str
    lists: tuple[BlockList, ...]
    has: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()


HIDDEN = ("hidden_states", "encoder_hidden_states")
"""How diffusers calls the streams of the picture and of the text; its blocks give them turned."""
TURNED = HIDDEN[::-1]
FAMILIES = (
    Family(
        "Lumina 2, Z-Image",
        (BlockList("layers", ("x", "x_mask", "freqs_cis", "adaln_input"), ("x",)),),
    ),
    Family(
        "Qwen-Image",
        (
            BlockList(
                "transformer_blocks",
                (*HIDDEN, "encoder_hidden_states_mask", "temb"),
                HIDDEN,
                TURNED,
            ),
        ),
    ),
    Family(
        "Flux, Flux.2, Chroma, Chroma Radiance",
        (
            BlockList("double_blocks", ("img", "txt", "vec", "pe"), ("img", "txt")),
            BlockList("single_blocks", ("x", "vec", "pe"), ("x",)),
        ),
        has=("txt_in.weight",),  # HunyuanVideo's is no layer; it joins its streams the other way
        joined=("txt", "img"),
    ),
    Family(
        "Chroma of Forge",
        (
            BlockList("double_blocks", ("img", "txt", "mod", "pe"), ("img", "txt")),
            BlockList("single_blocks", ("x", "mod", "pe"), ("x",)),
        ),
        has=("txt_in.weight",),
        joined=("txt", "img"),
    ),
    Family(
        "SD 3",
        (BlockList("joint_blocks", ("*args",), ("context", "x")),),
        has=("joint_blocks.0.context_block", "joint_blocks.0.x_block"),
    ),
    Family("Wan", (BlockList("blocks", ("x", "e", "freqs", "context"), ("x",)),)),
    Family("Krea 2", (BlockList("blocks", ("x", "vec", "freqs", "mask"), ("x",)),)),
    Family(
        "Anima, Cosmos Predict 2",
        (BlockList("blocks", ("x_B_T_H_W_D", "emb_B_T_D", "crossattn_emb"), ("x_B_T_H_W_D",)),),
    ),
    Family(
        "Ernie",
        (BlockList("layers", ("x", "rotary_pos_emb", "temb", "attention_mask"), ("x",)),),
    ),
    Family(
        "Flux of diffusers",
        (
            BlockList("transformer_blocks", (*HIDDEN, "temb", "image_rotary_emb"), HIDDEN, TURNED),
            BlockList(
                "single_transformer_blocks", (*HIDDEN, "temb", "image_rotary_emb"), HIDDEN, TURNED
            ),
        ),
    ),
    Family(
        "SD 3 of diffusers",
        (
            BlockList(
                "transformer_blocks", (*HIDDEN, "temb", "joint_attention_kwargs"), HIDDEN, TURNED
            ),
        ),
    ),
    Family(
        "Z-Image of diffusers",
        (BlockList("layers", ("x", "attn_mask", "freqs_cis", "adaln_input"), ("x",)),),
    ),
    Family(
        "Wan of diffusers",
        (BlockList("blocks", (*HIDDEN, "temb", "rotary_emb"), ("hidden_states",)),),
    ),
)
"""Every family that is known, by attributes and signatures of the hosts' classes. A new row is
all that another one needs whose blocks keep the shape of their streams."""
LISTS = tuple(dict.fromkeys(each.name for family in FAMILIES for each in family.lists))


@dataclass(frozen=True)
class Place:
    """Where a block is: at an index of a list of the model."""

    blocks: nn.ModuleList
    index: int
    of: BlockList


@dataclass(frozen=True)
class BlockRange:
    """Some consecutive blocks of a model.

    count: of all its blocks. places: of those of the range. joined: see `Family`.
    """

    first: int
    last: int
    count: int
    places: tuple[Place, ...]
    joined: tuple[str, ...]

    def __str__(self) -> str:
        return f"{_named((self.first, self.last))} of {self.count}"

    def warning(self, kind: str) -> str:
        """What to say of this range in a model of a class: that it touches an end; else empty."""
        if 0 < self.first and self.last < self.count - 1:
            return ""
        touch = "touches" if self.first == self.last else "touch"
        return f"{self} of this {kind} {touch} an end of the model, where a picture may break."


def parse_blocks(text: str) -> Blocks | None:
    """A range of blocks as it is typed, `8-15` or `8`; None for `auto`.

    Raises ValueError with one sentence for anything else.
    """
    typed = text.strip()
    if typed.lower() == AUTO:
        return None
    found = re.fullmatch(r"(\d{1,4})(?:\s*-\s*(\d{1,4}))?", typed, re.ASCII)
    if found is None:
        raise ValueError(
            f"blocks is {quoted(text)}; it must be auto, a block such as 8, or a range such as "
            "8-15."
        )
    first, last = found.groups()
    return int(first), int(last or first)


def find_blocks(denoiser: Any, blocks: Blocks | None) -> BlockRange | None:
    """The range of a transformer's blocks, or the middle third of its depth; None for a U-Net.

    Raises ValueError with one sentence, which names the model's class, for a range that it does
    not have, and for a model of no known family.
    """
    whole = uncompiled(denoiser)
    kind = type(whole).__name__
    if _mid_block(whole) is not None:
        if blocks is None:
            return None
        raise ValueError(
            f"blocks is {typed_blocks(blocks)}, and {kind} is a U-Net, which has 1 mid-block and "
            "no numbered blocks; use blocks = auto."
        )
    family = find_family(whole)
    lists = [(getattr(whole, each.name), each) for each in family.lists]
    every = [(own, index, each) for own, each in lists for index in range(len(own))]
    first, last = middle_third(len(every)) if blocks is None else blocks
    _require_range(first, last, len(every), kind)
    places = tuple(Place(*one) for one in every[first : last + 1])
    return BlockRange(first, last, len(every), places, family.joined)


def block_lists(denoiser: Any) -> tuple[tuple[str, int], ...]:
    """Name and length of each list of a transformer's blocks, in the order in which they run.

    Raises ValueError with one sentence for a U-Net, and for a model of no known family.
    """
    whole = uncompiled(denoiser)
    if _mid_block(whole) is not None:
        raise ValueError(
            f"{type(whole).__name__} is a U-Net: of its parts the mid-block alone can be left out, "
            "so that there is nothing to choose; the dial takes it with blocks = auto."
        )
    return tuple((each.name, len(getattr(whole, each.name))) for each in find_family(whole).lists)


def middle_third(count: int) -> Blocks:
    """The blocks between the first and the last third. A guess of ours: in tiny models no range was
    shown to bring variety (docs/measured.md)."""
    third = count // 3
    return third, count - third - 1


def _require_range(first: int, last: int, count: int, kind: str) -> None:
    typed, has = typed_blocks((first, last)), f"{kind} has {count} blocks"
    if first > last:
        raise ValueError(f"blocks is {typed}, which is reversed; {has}, 0 to {count - 1}.")
    if last >= count:
        raise ValueError(f"blocks is {typed}; {has}, 0 to {count - 1}.")
    if last - first + 1 == count:
        raise ValueError(
            f"blocks is {typed}, which are all of them: {has}, and some have to stay for a picture."
        )


def typed_blocks(blocks: Blocks) -> str:
    """A range as it is typed; `parse_blocks` reads it."""
    first, last = blocks
    return f"{first}" if first == last else f"{first}-{last}"


def _named(blocks: Blocks) -> str:
    return f"block{'s' if blocks[0] != blocks[1] else ''} {typed_blocks(blocks)}"


def find_family(denoiser: Any) -> Family:
    """The row of `FAMILIES` for a transformer.

    Raises ValueError with one sentence that names the class if there is none.
    """
    whole = uncompiled(denoiser)
    for family in FAMILIES:
        if _is_of(whole, family):
            return family
    found = [(name, blocks) for name in LISTS if (blocks := _block_list(whole, name))]
    taken = [f"{name} take ({', '.join(_takes(blocks[0])[:4])})" for name, blocks in found]
    has = f"its {' and its '.join(taken)}, and no known family is like that"
    if not found:
        has = f"it has neither a mid-block nor a list of blocks called {' or '.join(LISTS)}"
    raise ValueError(
        f"{type(whole).__name__} cannot be bypassed: {has}; for another family add a row to "
        "FAMILIES in detour/ways/targets.py with its list and what its blocks take and give."
    )


def _is_of(whole: Any, family: Family) -> bool:
    lists = [(each, _block_list(whole, each.name)) for each in family.lists]
    return (
        all(blocks is not None for _, blocks in lists)
        and any(blocks for _, blocks in lists)
        and all(_fits(block, each) for each, blocks in lists for block in (blocks or ())[:1])
        and all(_has(whole, path) for path in family.has)
    )


def _block_list(whole: Any, name: str) -> nn.ModuleList | None:
    blocks = getattr(whole, name, None)
    return blocks if isinstance(blocks, nn.ModuleList) else None


def _fits(block: nn.Module, each: BlockList) -> bool:
    return _takes(block)[: len(each.takes)] == each.takes


def _takes(block: nn.Module) -> tuple[str, ...]:
    """The names of a block's arguments; a stand-in is asked for those of what it stands for."""
    return _arguments(type(uncompiled(getattr(block, "stands_for", block))))


@cache
def _arguments(kind: type[nn.Module]) -> tuple[str, ...]:
    named = list(inspect.signature(kind.forward).parameters.values())[1:]
    return tuple(str(one.replace(annotation=one.empty, default=one.empty)) for one in named)


def _has(whole: Any, path: str) -> bool:
    try:
        attrgetter(path)(whole)
    except AttributeError:
        return False
    return True


def uncompiled(module: Any) -> Any:
    """The module itself where torch.compile has wrapped it."""
    return getattr(module, "_orig_mod", module)


def mid_attention_is_read(options: dict[str, Any]) -> bool:
    """True if a patch such as SAG, in a call's transformer options, replaces attention in the
    mid-block: then it has to run."""
    replaced = options.get("patches_replace", {}).get("attn1", {})
    return any(place[0] == "middle" for place in replaced)


def has_embedded_guidance(denoiser: Any) -> bool:
    """Whether a model was trained to read a guidance scale, as Flux dev, HunyuanVideo and others
    were: hosts also hand the scale to their kin that were not."""
    reader = getattr(uncompiled(denoiser), "guidance_in", None)
    return isinstance(reader, nn.Module) and any(True for _ in reader.parameters())


def keeps_index(layer: nn.Module) -> nn.Module | None:
    """For a skipped transformer a module that the looping hosts count like it (GLIGEN reads
    the count); None for other layers."""
    kinds = [kind for kind in type(layer).__mro__ if kind.__name__ == "SpatialTransformer"]
    return _stand_in(kinds[0])() if kinds else None


@cache
def _stand_in(kind: type[nn.Module]) -> type[nn.Module]:
    class KeepsIndex(kind):
        def __init__(self) -> None:
            nn.Module.__init__(self)

        def forward(self, x: torch.Tensor, *_args: Any, **_kwargs: Any) -> torch.Tensor:
            return x

    return KeepsIndex
