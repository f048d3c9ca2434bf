"""How each way acts in a call of a diffusers U-Net: on what goes in, in it, or on what comes out.

A loop of diffusers mixes the halves of its guidance behind the call, by a scale w that it keeps:

    out = u + w (c - u)

With torch.lerp(u, c, lam) in the place of u this is u + w' (c - u) for w' = 1 + (w - 1) (1 - lam),
whatever w is. So guidance is relieved here, in the rows of the negative prompt; at lam 1 they
are c, and need not be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from .diffusers_clock import Clock
from .diffusers_rows import (
    NEGATIVE,
    PROMPT,
    chunk_roles,
    conditioned,
    is_prompt,
    may_lose_rows,
    require_fade,
    require_known_rows,
    require_relief,
)
from .ways.bypass import BypassCoverage, Dial, blend, bypassed
from .ways.fade import Fade, FadeCoverage, draw, toward_negative, toward_noise
from .ways.relief import Relief, ReliefCoverage, relieved
from .ways.rows import pick
from .ways.targets import find_mid_block, uncompiled
from .ways.way import Coverage, Way

POSITIONS = ("sample", "timestep", "encoder_hidden_states")
"""The arguments of diffusers' U-Nets that pipelines may give without their names."""
NO_NEGATIVE = (
    "This run has no negative prompt to fade to, since its guidance is off; raise guidance_scale, "
    "or use toward = noise."
)


@dataclass
class UNetCall:
    """One call of a U-Net. What it is given may be put anew, and is not written to.

    rows: of its batch as the pipeline made it; kept: the chunks of it that are computed.
    """

    unet: nn.Module
    pipe: Any
    args: list[Any]
    named: dict[str, Any]
    open: ExitStack = field(default_factory=ExitStack)
    rows: int = 0
    kept: list[int] | None = None

    def __post_init__(self) -> None:
        self.rows = self["sample"].shape[0]

    def __getitem__(self, name: str) -> Any:
        place = POSITIONS.index(name) if name in POSITIONS else len(self.args)
        return self.args[place] if place < len(self.args) else self.named.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        place = POSITIONS.index(name) if name in POSITIONS else len(self.args)
        if place < len(self.args):
            self.args[place] = value
        else:
            self.named[name] = value

    @cached_property
    def roles(self) -> list[str]:
        """See `chunk_roles`."""
        return chunk_roles(self.pipe, self.rows)

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


class Acting:
    """One way in the U-Net calls of one `with`, with the count of what it did.

    turn: text is faded before rows are left out, and what acts in the model comes last.
    """

    turn = 0
    counts: type[Coverage]

    def __init__(self, find_way: Callable[[], Any], clock: Clock) -> None:
        self.find_way, self.clock = find_way, clock
        self.coverage: Any = self.counts(find_way())

    def lams(self, call: UNetCall) -> tuple[list[float], tuple[float, ...]]:
        """The place and the strength of each row of a call."""
        progress = self.clock.progress(call["timestep"], call.rows)
        return progress, self.find_way().lams(progress)

    def before(self, call: UNetCall) -> None:
        """Before a call."""

    def after(self, call: UNetCall, out: torch.Tensor) -> torch.Tensor:
        """What the call gave, `[rows, ...]`, or something in its place."""
        return out


class ActingFade(Acting):
    """The prompt's rows are given another text."""

    coverage: FadeCoverage
    counts = FadeCoverage

    def __init__(self, find_way: Callable[[], Fade], clock: Clock) -> None:
        require_fade(clock.find_pipe())
        super().__init__(find_way, clock)
        self.drawn: dict[Any, list[torch.Tensor]] = {}

    def before(self, call: UNetCall) -> None:
        """Fade the prompt's rows as far as they want it."""
        way, (progress, lams) = self.find_way(), self.lams(call)
        if not way.schedule.is_off and way.toward == "negative" and NEGATIVE not in call.roles:
            raise ValueError(NO_NEGATIVE)
        self.coverage.record(progress, lams)
        if not any(lams):
            return
        pooled = call["added_cond_kwargs"] or {}
        texts = [call["encoder_hidden_states"]]
        texts += [pooled["text_embeds"]] if "text_embeds" in pooled else []
        faded = self._faded(way, texts, lams, call.roles)
        call["encoder_hidden_states"] = faded[0]
        if len(faded) > 1:
            call["added_cond_kwargs"] = {**pooled, "text_embeds": faded[1]}

    def _faded(
        self, way: Fade, texts: list[torch.Tensor], lams: Sequence[float], roles: list[str]
    ) -> list[torch.Tensor]:
        """The texts of all chunks, the prompt's faded."""
        each, noise = len(lams) // len(roles), []
        if way.toward == "noise":
            noise = self._draw(way.seed, each, [tuple(text.shape[1:]) for text in texts])
        faded = []
        for place, text in enumerate(texts):
            parts = list(text.chunk(len(roles)))
            for chunk in (n for n, role in enumerate(roles) if is_prompt(role)):
                frames = len(parts[chunk]) // each  # a video's, each with the text
                lam = _lam(lams[chunk * each : (chunk + 1) * each], frames)
                if noise:
                    z = noise[place].repeat_interleave(frames, dim=0)
                    parts[chunk] = toward_noise(parts[chunk], z, lam)
                else:
                    negative = parts[roles.index(NEGATIVE)]
                    parts[chunk] = toward_negative(parts[chunk], negative, lam)
            faded.append(torch.cat(parts))
        return faded

    def _draw(self, seed: int, rows: int, shapes: list[tuple]) -> list[torch.Tensor]:
        """See `draw`; once for all steps."""
        key = (seed, rows, *shapes)
        if key not in self.drawn:
            self.drawn[key] = draw(seed, range(rows), *shapes)
        return self.drawn[key]


class ActingRelief(Acting):
    """The negative prompt's rows go to the prompt's, and an embedded scale goes to 1."""

    turn = 1
    coverage: ReliefCoverage
    counts = ReliefCoverage

    def __init__(self, find_way: Callable[[], Relief], clock: Clock) -> None:
        require_relief(clock.find_pipe())
        super().__init__(find_way, clock)
        self.acts: tuple[float, ...] = ()

    def before(self, call: UNetCall) -> None:
        """Leave the negative prompt's rows out where guidance is none; the rest is done after."""
        progress, lams = self.lams(call)
        roles, coverage, self.acts = call.roles, self.coverage, ()
        each = call.rows // len(roles)
        is_embedded = any(lams) and call["timestep_cond"] is not None
        if is_embedded:
            self._relieve_embedded(call, lams)
        elif any(lams) and NEGATIVE in roles and call.kept is None:
            start = roles.index(NEGATIVE) * each
            self.acts = lams[start : start + each]
        coverage.visit(progress)
        coverage.embedded += is_embedded
        coverage.relieved += any(self.acts)
        coverage.unguided += any(lams) and not self.acts and not is_embedded
        if self.acts and set(self.acts) == {1.0}:
            if may_lose_rows(call.pipe) and not is_read(call.unet):
                call.leave_out_negative()
                coverage.saved += each
            else:
                coverage.asked += 1
        coverage.rows += len(call.of_kept(lams))

    def _relieve_embedded(self, call: UNetCall, lams: Sequence[float]) -> None:
        """Another scale in the vector that a distilled U-Net is given for it."""
        given, scale = call["timestep_cond"], float(call.pipe.guidance_scale)
        scales = torch.tensor([relieved(scale, lam) - 1.0 for lam in lams[: len(given)]])
        made = call.pipe.get_guidance_scale_embedding(scales, embedding_dim=given.shape[-1])
        call["timestep_cond"] = made.to(given.device, given.dtype)

    def after(self, call: UNetCall, out: torch.Tensor) -> torch.Tensor:
        """The negative prompt's rows on their way to the prompt's."""
        if not self.acts:
            return out
        roles = call.roles
        kept = list(range(len(roles))) if call.kept is None else call.kept
        parts = dict(zip(kept, out.chunk(len(kept)), strict=True))
        prompt, negative = parts[roles.index(PROMPT)], parts.get(roles.index(NEGATIVE))
        moved = prompt if negative is None else blend(negative, prompt, _lam(self.acts))
        parts[roles.index(NEGATIVE)] = moved
        return torch.cat([parts[chunk] for chunk in range(len(roles))])


class ActingBypass(Acting):
    """The stand-in is in the mid-block's place for the length of a call."""

    turn = 2
    coverage: BypassCoverage
    counts = BypassCoverage

    def __init__(self, find_way: Callable[[], Dial], clock: Clock) -> None:
        super().__init__(find_way, clock)
        self.halves = find_way().apply_to != "both"
        if self.halves and clock.find_pipe() is not None:
            require_known_rows(clock.find_pipe())

    def before(self, call: UNetCall) -> None:
        """Bypass it as far as its progress says."""
        dial, progress = self.find_way(), self.clock.progress(call["timestep"], call.rows)
        is_cond = conditioned(call.pipe, call.rows) if self.halves else ()
        made = dial.call(call.of_kept(progress), call.of_kept(is_cond) if is_cond else ())
        self.coverage.record(made)
        sample = call["sample"]
        call.open.enter_context(
            bypassed(
                call.unet,
                made,
                is_read=made.lam() == 1.0 and is_read(getattr(*find_mid_block(call.unet))),
                each=_frames(call.unet, sample),
                device=sample.device,
            )
        )


ACTING: dict[type[Way], type[Acting]] = {
    Dial: ActingBypass,
    Relief: ActingRelief,
    Fade: ActingFade,
}
"""How each kind of way acts, by its settings."""


class Calls:
    """The calls of one U-Net, with all that acts in them."""

    def __init__(self, unet: nn.Module) -> None:
        self.unet = unet
        self.acting: list[Acting] = []
        self.call: UNetCall | None = None
        self.hooks: list[Any] = []

    def add(self, acting: Acting) -> None:
        """Let one more way act from the next call on."""
        if not self.acting:
            self.hooks = [
                self.unet.register_forward_pre_hook(self.enter, with_kwargs=True),
                self.unet.register_forward_hook(self.leave, always_call=True),
            ]
        self.acting.append(acting)

    def remove(self, acting: Acting) -> None:
        """Let it act no more; after the last one nothing is left in the U-Net."""
        self._close()
        self.acting.remove(acting)
        if not self.acting:
            for hook in self.hooks:
                hook.remove()

    def enter(self, unet: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Before a call."""
        self._close()  # torch tells no hook of a call that Ctrl-C ended
        found = (acting.clock.find_pipe() for acting in self.acting)
        pipe = next((pipe for pipe in found if pipe is not None), None)
        call = self.call = UNetCall(unet, pipe, list(args), dict(kwargs))
        for acting in sorted(self.acting, key=lambda one: one.turn):
            acting.before(call)
        return tuple(call.args), call.named

    def leave(self, _unet: nn.Module, _args: tuple, output: Any) -> Any:
        """After a call, also one that failed."""
        call = self.call
        self._close()
        if call is None or output is None:
            return None
        given = output[0]
        out = given
        for acting in self.acting:
            out = acting.after(call, out)
        if out is given:
            return None
        if isinstance(output, tuple):
            return (out, *output[1:])
        return type(output)(**{**output, next(iter(output)): out})

    def _close(self) -> None:
        if self.call is not None:
            self.call.open.close()
        self.call = None


def calls_of(unet: nn.Module) -> Calls:
    """The calls of a U-Net that ways act in already, or new ones: one for all ways of a U-Net,
    since what one leaves out the others must know of."""
    owners = (getattr(hook, "__self__", None) for hook in unet._forward_pre_hooks.values())
    return next((owner for owner in owners if isinstance(owner, Calls)), None) or Calls(unet)


def is_read(part: nn.Module) -> bool:
    """Whether something may record inside of a part, or count its rows, so that it has to run: an
    attention processor other than diffusers' models bring (SAG, LEDITS++, your own)."""
    processors = [getattr(module, "processor", None) for module in part.modules()]
    kinds = {type(processor) for processor in processors if processor is not None}
    return any(not kind.__module__.startswith("diffusers.models.") for kind in kinds)


def _lam(lams: Sequence[float], frames: int = 1) -> float | torch.Tensor:
    """One number if all rows have the same, else `[rows * frames]`."""
    if len(set(lams)) == 1:
        return lams[0]
    return torch.tensor(lams).repeat_interleave(frames)


def _frames(unet: Any, sample: torch.Tensor) -> int:
    """How many rows of the mid-block one row of a video's batch is (its frames in a row)."""
    if sample.ndim < 5:
        return 1
    by_frame = "SpatioTemporal" in uncompiled(unet).__class__.__name__
    return sample.shape[1 if by_frame else 2]
