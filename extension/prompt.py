"""Prompt Fade in the web UIs: the host's callback lets the prompt's embedding be replaced.

An embedding is a tensor `[rows, tokens, width]`, or a dict: `crossattn` has the tokens, `vector`
begins with the pooled text and goes on, for SDXL, with the picture's size.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

from ..detour.checks import listed
from ..detour.ways.fade import Fade, FadeCoverage, draw, toward_negative, toward_noise
from . import host
from .acting import Acting
from .settings import seed_of_picture

TOKENS, VECTOR = "crossattn", "vector"
STAYS = ("guidance",)
POOLED = {2816: 1280, 2560: 1280, 2048: 2048, 768: 768}
"""How much of a vector is text, by its width: SDXL, its refiner, SD 3, Flux."""
MARK = 1024.0
"""A1111's ControlNet puts a token of this number before each prompt, and of its negative before
the negative prompt. In the U-Net's call it knows them by it, and takes them off."""
NO_NEGATIVE = (
    "This run has no negative prompt to fade to, since CFG is 1; raise CFG, or use Fade toward = "
    "noise."
)
SEVERAL = (
    "It cannot be told which negative prompt each part of a prompt with AND should fade to; use "
    "the same negative prompt for all pictures of the batch, or Fade toward = noise."
)


class ActingFade(Acting):
    """The host is given another embedding of the prompt for the length of one denoiser call."""

    way: Fade
    coverage: FadeCoverage
    counts = FadeCoverage

    def __init__(self, p: Any, way: Fade) -> None:
        super().__init__(p, way)
        self.drawn: dict[Any, list[torch.Tensor]] = {}

    def follow(self, params: Any, progress: float) -> None:
        """Fade the prompt as far as this place wants it."""
        lams = self.way.lams([progress])
        marks, own = unmarked(texts(params.text_cond))
        negative = None
        if self.way.toward == "negative":
            if params.text_uncond is None:
                raise ValueError(NO_NEGATIVE)
            _, negative = unmarked(texts(params.text_uncond))
        self.coverage.record([progress], lams)
        if not any(lams):
            return
        if negative is None:
            faded = self._to_noise(own, lams[0])
        else:
            repeats = hasattr(host.find_unet(self.p), "middle_block")
            faded = to_negative(own, negative, lams[0], repeats)
        faded[TOKENS] = torch.cat([marks, faded[TOKENS]], dim=1)
        params.text_cond = with_texts(params.text_cond, faded)

    def _to_noise(self, own: dict[str, torch.Tensor], lam: float) -> dict[str, torch.Tensor]:
        rows = len(own[TOKENS])
        prompts = tuple(len(each) for each in host.prompts_of_pictures(self.p))
        shapes = [tuple(text.shape[1:]) for text in own.values()]
        drawn = self._draw(prompts if sum(prompts) == rows else (1,) * rows, shapes)
        pairs = zip(own.items(), drawn, strict=True)
        return {name: toward_noise(text, z, lam) for (name, text), z in pairs}

    def _draw(self, prompts: tuple[int, ...], shapes: Sequence[tuple]) -> list[torch.Tensor]:
        """Noise for the prompts of each picture, by the seed that stands in its parameters; once
        for all steps."""
        key = (prompts, *shapes)
        if key not in self.drawn:
            first = getattr(self.p, "iteration", 0) * getattr(self.p, "batch_size", 1)
            seeds = (seed_of_picture(self.way.seed, first + n) for n in range(len(prompts)))
            each = [draw(s, range(n), *shapes) for s, n in zip(seeds, prompts, strict=True)]
            self.drawn[key] = [torch.cat(parts) for parts in zip(*each, strict=True)]
        return self.drawn[key]


def texts(embedding: Any) -> dict[str, torch.Tensor]:
    """What of an embedding is text. Raises ValueError for one of an unknown form."""
    if isinstance(embedding, torch.Tensor):
        return {TOKENS: embedding}
    if not isinstance(embedding, dict) or TOKENS not in embedding:
        raise ValueError(
            f"Prompt Fade does not know embeddings of the kind {type(embedding).__name__}; use "
            "another way with this checkpoint."
        )
    unknown = [name for name in embedding if name not in (TOKENS, VECTOR, *STAYS)]
    vector = embedding.get(VECTOR)
    if vector is not None and vector.shape[-1] not in POOLED:
        unknown.append(f"{VECTOR} of width {vector.shape[-1]}")
    if unknown:
        raise ValueError(
            f"The prompt's embedding has parts that Prompt Fade does not know ({listed(unknown)}), "
            "and would be faded by half; use another way with this checkpoint."
        )
    found = {TOKENS: embedding[TOKENS]}
    if vector is not None:
        found[VECTOR] = vector[:, : POOLED[vector.shape[-1]]]
    return found


def unmarked(own: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """ControlNet's marks, or no tokens where there are none, and the text without them."""
    tokens = own[TOKENS]
    count = int((tokens[:, :1].abs() == MARK).all())
    return tokens[:, :count], {**own, TOKENS: tokens[:, count:]}


def with_texts(embedding: Any, new: dict[str, torch.Tensor]) -> Any:
    """An embedding of the same kind with other text; the given one is not written to."""
    if isinstance(embedding, torch.Tensor):
        return new[TOKENS]
    made = copy.copy(embedding)
    made[TOKENS] = new[TOKENS]
    if VECTOR in new:
        rest = embedding[VECTOR][:, new[VECTOR].shape[-1] :]
        made[VECTOR] = torch.cat([new[VECTOR], rest], dim=-1)
    return made


def to_negative(
    own: dict[str, torch.Tensor], negative: dict[str, torch.Tensor], lam: float, repeats: bool
) -> dict[str, torch.Tensor]:
    """The prompt's text on its way to the negative prompt's; at 1 it is that, token for token.

    repeats: see `of_one_length`. Raises ValueError where the two do not go together.
    """
    if own.keys() != negative.keys():
        raise ValueError(
            "Of prompt and negative prompt one has a pooled embedding and the other has not, so "
            "that Prompt Fade has no way between them; use Fade toward = noise."
        )
    rows = len(own[TOKENS])
    matched = {name: _for_rows(text, rows) for name, text in negative.items()}
    if lam == 1.0:
        return {
            name: text.expand(rows, *text.shape[1:]).to(own[name]) for name, text in matched.items()
        }
    return {
        name: toward_negative(text, matched[name], lam, repeats=repeats)
        for name, text in own.items()
    }


def _for_rows(negative: torch.Tensor, rows: int) -> torch.Tensor:
    """One negative prompt for each row of the prompt, or one for all."""
    if len(negative) == rows:
        return negative
    if not torch.equal(negative, negative[:1].expand_as(negative)):
        raise ValueError(SEVERAL)
    return negative[:1]
