"""One call of a diffusers U-Net or transformer: what it is given, and whose its rows are."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import torch
from torch import nn

from .diffusers_rows import NEGATIVE, PERTURBED_PROMPT, chunk_roles
from .ways.rows import pick
from .ways.targets import uncompiled


@dataclass
class DenoiserCall:
    """One call. What it is given may be put anew, and is not written to.

    rows: of its batch as the pipeline made it; kept: the chunks of it that are computed.
    """

    denoiser: nn.Module
    pipe: Any
    args: list[Any]
    named: dict[str, Any]
    open: ExitStack = field(default_factory=ExitStack)
    rows: int = 0
    kept: list[int] | None = None

    def __post_init__(self) -> None:
        self.rows = len(self.sample)

    def __getitem__(self, name: str) -> Any:
        place = self._place(name)
        return self.args[place] if place < len(self.args) else self.named.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        place = self._place(name)
        if place < len(self.args):
            self.args[place] = value
        else:
            self.named[name] = value

    def _place(self, name: str) -> int:
        names = _arguments(type(uncompiled(self.denoiser)))
        return names.index(name) if name in names else len(self.args)

    @property
    def sample(self) -> Any:
        """What is to be denoised: a tensor `[rows, ...]`, or a list of one for each row."""
        return self[_arguments(type(uncompiled(self.denoiser)))[0]]

    @property
    def device(self) -> torch.device:
        """Where the call computes."""
        return self.sample[0].device

    @property
    def timestep(self) -> Any:
        """A U-Net's, a number or a tensor. None for a transformer: its pipelines give it one in
        forms of their own (rounded, a thousandth of it, backwards, one for each token)."""
        return self["timestep"] if is_unet(self.denoiser) else None

    @cached_property
    def roles(self) -> list[str]:
        """See `chunk_roles`. Skip-layer guidance makes a call of its own with the prompt alone."""
        if self["skip_layers"] is not None:
            return [PERTURBED_PROMPT]
        return chunk_roles(self.pipe, self.rows)

    @property
    def by_row(self) -> list[str]:
        """The role of each row."""
        return [role for role in self.roles for _ in range(self.rows // len(self.roles))]

    @property
    def texts(self) -> list[torch.Tensor]:
        """What the model is given of the text, `[rows, ...]`: its tokens, and the pooled one."""
        pooled = (self["added_cond_kwargs"] or {}).get("text_embeds", self["pooled_projections"])
        return [one for one in (self["encoder_hidden_states"], pooled) if one is not None]

    def put_texts(self, texts: Sequence[torch.Tensor]) -> None:
        """Others in their places."""
        self["encoder_hidden_states"] = texts[0]
        if len(texts) > 1 and self["pooled_projections"] is not None:
            self["pooled_projections"] = texts[1]
        elif len(texts) > 1:
            self["added_cond_kwargs"] = {**self["added_cond_kwargs"], "text_embeds": texts[1]}

    def leave_out_negative(self) -> None:
        """Compute the other chunks alone."""
        chunks = len(self.roles)
        self.kept = [n for n, role in enumerate(self.roles) if role != NEGATIVE]
        self.args = [pick(value, self.rows, self.kept, chunks) for value in self.args]
        self.named = pick(self.named, self.rows, self.kept, chunks)

    def of_kept(self, by_row: Sequence[Any]) -> list[Any]:
        """What there is for each row, of those that are computed."""
        if self.kept is None:
            return list(by_row)
        each = self.rows // len(self.roles)
        return [by_row[chunk * each + place] for chunk in self.kept for place in range(each)]


def is_unet(denoiser: Any) -> bool:
    """Whether a model of diffusers is a U-Net, which in a few of them has no mid-block."""
    return any(hasattr(uncompiled(denoiser), name) for name in ("mid_block", "down_blocks"))


@cache
def _arguments(kind: type[nn.Module]) -> tuple[str, ...]:
    """The names of what a kind of model is called with, in their order."""
    return tuple(inspect.signature(kind.forward).parameters)[1:]
