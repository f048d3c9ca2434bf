"""Guidance Relief in the web UIs: another guidance scale for the length of one denoiser call.

AUTOMATIC1111 mixes the halves in its denoiser's `combine_denoised`, and computes both always: at
1 the rows of the negative prompt are left out of the U-Net's call where prompt and negative
prompt are in it, one of each for every picture. The Forge family lets "conditioning modifiers"
of the U-Net's patcher change the scale, and leaves the negative prompt out itself at 1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..detour.ways.relief import Relief, ReliefCoverage, is_unguided, relieved, relieved_rows
from ..detour.ways.rows import pick
from ..detour.ways.targets import has_embedded_guidance
from . import host
from .acting import Acting

ELSEWHERE = (
    "Nothing was relieved: in this run another extension or the sampler mixes prompt and negative "
    "prompt past the host's own place; do without Guidance Relief there."
)
THREE = (
    "This checkpoint (InstructPix2Pix) has two scales of guidance for three predictions, so that "
    "Guidance Relief cannot tell which one goes to 1; use another way here."
)
MODIFIERS = "conditioning_modifiers"
Change = Callable[[float, bool], float]
"""A guidance scale, and whether there is a negative prompt, to the scale to use."""


@dataclass
class Evaluation:
    """One denoiser call.

    pictures, prompts: rows of the latent and of the prompt. may_cut: whether the U-Net's rows of
    the negative prompt can be left out. came: the U-Net's rows by whose they were (prompt,
    negative prompt), where the host tells.
    """

    lam: float
    pictures: int
    prompts: int
    may_cut: bool = False
    at_one: bool = False
    was_mixed: bool = False
    cut: int = 0
    came: list[float] = field(default_factory=lambda: [0.0, 0.0])


class ActingRelief(Acting):
    """The host mixes by another scale, and a distilled model is given another one."""

    coverage: ReliefCoverage
    counts = ReliefCoverage

    def __init__(self, p: Any, way: Relief) -> None:
        super().__init__(p, way)
        self.now: Evaluation | None = None
        self.undo = ExitStack()
        self.unet: nn.Module | None = None
        self.hooks: list[Any] = []
        self.is_cutting = False
        self.asked = self.mixed = 0

    def follow(self, params: Any, progress: float) -> None:
        """Put another scale in place for the coming denoiser call."""
        self._finish()
        (lam,) = self.way.lams([progress])
        told = host.told_rows(self.p, params)
        if told.is_edit:
            raise ValueError(THREE)
        self.coverage.visit([progress])
        self._watch(host.find_unet(self.p))
        self.now = Evaluation(lam, told.pictures, told.prompts)
        if lam == 0.0:
            return
        self._relieve_embedded(params, lam)
        self.asked += 1
        self.now.may_cut = lam == 1.0 and host.may_cut(self.p, params)
        self.undo.callback(change_scale(self.p, params.denoiser, self._changed))

    def _changed(self, scale: float, has_negative: bool) -> float:
        """What the host's scale becomes in the denoiser call under way."""
        now, coverage = self.now, self.coverage
        if now is None:
            return scale
        now.was_mixed = True
        if not has_negative or is_unguided(scale):
            coverage.unguided += 1
            return scale
        coverage.relieved += 1
        new = relieved(scale, now.lam)
        now.at_one = is_unguided(new)
        return new

    def _relieve_embedded(self, params: Any, lam: float) -> None:
        """A distilled model reads the scale beside the prompt's embedding."""
        text = params.text_cond
        guidance = text.get("guidance") if isinstance(text, dict) else None
        if guidance is not None and has_embedded_guidance(host.find_unet(self.p)):
            params.text_cond = copy.copy(text)
            params.text_cond["guidance"] = relieved_rows(guidance, [lam])
            self.coverage.embedded += 1

    def _finish(self) -> None:
        """Take the scale back after a denoiser call, and count what it saved."""
        self.undo.close()
        now, self.now = self.now, None
        if now is None:
            return
        self.mixed += now.was_mixed
        if not now.at_one:
            return
        prompt, negative = now.came
        saved = now.cut
        if prompt:
            saved = max(round(prompt * now.pictures / now.prompts - negative), 0)
        self.coverage.saved += saved
        self.coverage.asked += not saved

    def detach(self) -> None:
        """Take scale and hooks out."""
        self._finish()
        self._watch(None)

    def missed(self) -> str | None:
        """As for every relief; and where nobody asked for the scale."""
        coverage = self.coverage
        if self.asked and not self.mixed and not coverage.embedded:
            return ELSEWHERE
        return coverage.missed()

    # --- the rows of the U-Net's calls -------------------------------------------------------

    def _watch(self, unet: nn.Module | None) -> None:
        """Have hooks in this U-Net and in no other. They come before the bypass's, which is to
        see the rows that are computed."""
        if unet is self.unet:
            return
        for hook in self.hooks:
            hook.remove()
        self.unet, self.hooks, self.is_cutting = unet, [], False
        if unet is not None:
            self.hooks = [
                unet.register_forward_pre_hook(self._enter, with_kwargs=True, prepend=True),
                unet.register_forward_hook(self._leave),
            ]

    def _enter(self, _unet: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        now, self.is_cutting = self.now, False
        x = args[0] if args else kwargs.get("x")
        if now is None or x is None:
            return None
        rows = x.shape[0]
        chunks = (kwargs.get("transformer_options") or {}).get("cond_or_uncond") or ()
        for chunk in chunks:
            now.came[chunk != 0] += rows / len(chunks)
        if now.may_cut and rows == 2 * now.pictures:
            self.is_cutting = True
            now.cut += now.pictures
            self.coverage.rows += now.pictures
            return pick(args, rows, [0], 2), pick(kwargs, rows, [0], 2)
        self.coverage.rows += rows
        return None

    def _leave(self, _unet: nn.Module, _args: tuple, output: torch.Tensor) -> Any:
        was_cut, self.is_cutting = self.is_cutting, False
        return torch.cat([output, output]) if was_cut else None


def change_scale(p: Any, denoiser: Any, change: Change) -> Callable[[], None]:
    """Let a denoiser's next call mix by another scale; gives what takes that back."""
    patcher = host.patcher(p)
    if patcher is None:
        return _change_in_denoiser(denoiser, change)
    return _change_in_patcher(patcher.model_options, denoiser, change)


def _change_in_denoiser(denoiser: Any, change: Change) -> Callable[[], None]:
    before = vars(denoiser).get("combine_denoised")
    inner = denoiser.combine_denoised
    is_undone = False

    def combine(x_out: Any, conds: Any, uncond: Any, scale: float, *rest: Any, **named: Any) -> Any:
        unit = getattr(denoiser, "cond_scale_miltiplier", 1.0)  # of CFG++; the host's spelling
        used = scale if is_undone else change(scale / unit, True) * unit
        return inner(x_out, conds, uncond, used, *rest, **named)

    def undo() -> None:
        nonlocal is_undone
        is_undone = True  # where another extension has put its own around it, it stays
        if vars(denoiser).get("combine_denoised") is not combine:
            return
        if before is None:
            del denoiser.combine_denoised
        else:
            denoiser.combine_denoised = before

    denoiser.combine_denoised = combine
    return undo


def _change_in_patcher(options: dict, denoiser: Any, change: Change) -> Callable[[], None]:
    def modify(
        model: Any,
        x: Any,
        timestep: Any,
        uncond: Any,
        cond: Any,
        scale: float,
        model_options: dict,
        seed: Any,
    ) -> tuple:
        new = change(scale, bool(uncond))
        mixes_itself = "sampler_cfg_function" in model_options  # Dynamic Thresholding and others
        weighs = not is_unguided(_weight(cond))
        needed = host.needs_negative(denoiser) or weighs or mixes_itself
        if needed and is_unguided(new) and not is_unguided(scale):
            model_options = {**model_options, "disable_cfg1_optimization": True}
        return model, x, timestep, uncond, cond, new, model_options, seed

    def undo() -> None:
        kept = [other for other in options.get(MODIFIERS, ()) if other is not modify]
        if kept:
            options[MODIFIERS] = kept
        else:
            options.pop(MODIFIERS, None)

    options[MODIFIERS] = [*options.get(MODIFIERS, ()), modify]
    return undo


def _weight(parts: Sequence[Any]) -> float:
    """Of all parts of a prompt together: where it is not 1 (AND), the host multiplies by it what
    lies between prompt and negative prompt, and needs both."""
    return sum(part.get("strength", 1.0) for part in parts)
