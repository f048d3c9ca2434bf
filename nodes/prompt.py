"""What of the host's conditionings is the prompt, and copies of them in which it is faded.

A conditioning is a list of parts (several where prompts were combined or have areas). Each is a
dict, and under `model_conds` lies what the model is given, made ready by the host for its family:
`c_crossattn` is the text's embedding, `y` a vector that begins with the pooled one where the
family has one (SDXL's goes on with the picture's size), `attention_mask` and `num_tokens` say
which tokens count. All else of a part stays the prompt's own: its area, mask, steps and strength,
its hooks, ControlNet and GLIGEN, sizes, embedded guidance, reference pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from comfy.conds import CONDCrossAttn
from comfy.utils import repeat_to_batch_size

from ..detour.checks import listed
from ..detour.ways.fade import toward_negative, toward_noise

Part = dict[str, Any]
Lam = float | torch.Tensor
TOKENS, VECTOR = "c_crossattn", "y"
WHICH_TOKENS = ("attention_mask", "num_tokens")
STAYS = frozenset(
    (
        *("c_concat", "crossattn_controlnet", "guidance", "c_size", "c_ar"),
        *("ref_latents", "ref_latents_method", "image_cond", "denoise_mask", "latent_shapes"),
        *("fps", "frame_rate"),
    )
)
"""What else the host gives to models of pictures, and is no text."""


def require_known(part: Part, model: str) -> None:
    """Raise ValueError unless all text in a part of the prompt can be faded."""
    there = part["model_conds"]
    unknown = [name for name in there if name not in {TOKENS, VECTOR, *WHICH_TOKENS, *STAYS}]
    if unknown:
        raise ValueError(
            f"The conditioning of this {model} has parts that Prompt Fade does not know "
            f"({listed(unknown)}), and would fade the prompt by half; use another way here."
        )
    if TOKENS not in there:
        raise ValueError(
            f"A conditioning of this {model} has no text, so that nothing can fade from or to it; "
            "connect what a text encoder makes."
        )


def texts(part: Part) -> dict[str, torch.Tensor]:
    """The embeddings of a part: of the tokens `[B, T, D]` and, where there is one, pooled
    `[B, D]`."""
    found = {TOKENS: part["model_conds"][TOKENS].cond}
    pooled = part.get("pooled_output")
    of_picture = "unclip_conditioning" in part  # then the host puts a picture's in its place
    if VECTOR in part["model_conds"] and pooled is not None and not of_picture:
        found[VECTOR] = part["model_conds"][VECTOR].cond[:, : pooled.shape[-1]]
    return found


def with_texts(part: Part, new: dict[str, torch.Tensor]) -> Part:
    """A copy of a part with other embeddings; neither it nor what it holds is written to."""
    conds = dict(part["model_conds"])
    for name, text in new.items():
        given = conds[name].cond
        if name == VECTOR and given.shape[-1] > text.shape[-1]:
            rest = repeat_to_batch_size(given[:, text.shape[-1] :], len(text))
            text = torch.cat([text.to(rest), rest], dim=-1)
        conds[name] = conds[name]._copy_with(text)
    return {**part, "model_conds": conds}


def with_counts(part: Part, other: Part) -> Part:
    """A copy of a part in which those tokens count that do in the other one."""
    conds = {k: cond for k, cond in part["model_conds"].items() if k not in WHICH_TOKENS}
    theirs = {k: cond for k, cond in other["model_conds"].items() if k in WHICH_TOKENS}
    return {**part, "model_conds": {**conds, **theirs}}


def faded_to(part: Part, other: Part, lam: Lam, batch: int) -> Part:
    """A part whose text went to that of another part.

    lam: a number, or `[batch]`. At the number 1 it is the other one's text, token for token.
    Raises ValueError where the two do not go together.
    """
    own, theirs = texts(part), texts({**part, "model_conds": other["model_conds"]})
    if own.keys() != theirs.keys():
        raise ValueError(
            f"Of prompt and negative prompt one has {listed([*own.keys() ^ theirs.keys()])} and "
            "the other has not: make both with the same text encoder."
        )
    if isinstance(lam, float) and lam == 1.0:
        return with_counts(with_texts(part, theirs), other)
    repeats = isinstance(part["model_conds"][TOKENS], CONDCrossAttn)
    mixed = {
        name: toward_negative(
            of_rows(own[name], batch), of_rows(theirs[name], batch), lam, repeats=repeats
        )
        for name in own
    }
    return with_texts(part, mixed)


def faded_to_noise(
    part: Part, lam: Lam, batch: int, draw: Callable[[Sequence[tuple]], list[torch.Tensor]]
) -> Part:
    """A part whose text went to noise. draw: for the shapes of embeddings without their first
    dimension noise with `batch` rows, or with one for all."""
    own = texts(part)
    drawn = draw([tuple(text.shape[1:]) for text in own.values()])
    mixed = {
        name: toward_noise(of_rows(text, batch), z, lam)
        for (name, text), z in zip(own.items(), drawn, strict=True)
    }
    return with_texts(part, mixed)


def of_rows(text: torch.Tensor, batch: int) -> torch.Tensor:
    """One row for all, or one for each of the batch, as the host repeats them."""
    return text if len(text) == 1 else repeat_to_batch_size(text, batch)


def is_there(part: Part, timestep: torch.Tensor) -> bool:
    """Whether the host evaluates a part at these sigmas: one may be for some steps alone."""
    start, end = part.get("timestep_start"), part.get("timestep_end")
    return not (start is not None and timestep[0] > start) and not (
        end is not None and timestep[0] < end
    )


def negative_of(part: Part, negative: Sequence[Part], timestep: torch.Tensor) -> Part:
    """The part of the negative prompt that a part of the prompt fades to: the one text that is
    there at these sigmas, or else the one with the same area (the host makes such pairs).
    Raises ValueError where several could be meant."""
    there = [other for other in negative if is_there(other, timestep)]
    alike = [other for other in there if other.get("area") == part.get("area")]
    for candidates in (there, alike):
        by_text = {id(other["model_conds"][TOKENS].cond): other for other in candidates}
        if len(by_text) == 1:
            return next(iter(by_text.values()))
    raise ValueError(
        f"It cannot be told which of {len(there)} parts of the negative prompt the prompt should "
        "fade to: use one negative prompt for all of it, or toward = noise."
    )
