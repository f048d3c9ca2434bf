"""How each way acts in a call of a diffusers U-Net or transformer: on what goes in, in it, or on
what comes out.

A loop of diffusers mixes the halves of its guidance behind the call, by a scale w that it keeps:

    out = u + w (c - u)

With torch.lerp(u, c, lam) in the place of u this is u + w' (c - u) for w' = 1 + (w - 1) (1 - lam),
whatever w is. So guidance is relieved here, in the rows of the negative prompt; at lam 1 they
are c, and need not be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from .diffusers_call import DenoiserCall, is_unet
from .diffusers_clock import Clock
from .diffusers_rows import (
    NEGATIVE,
    PROMPT,
    has_own_guidance,
    is_prompt,
    may_lose_rows,
    require_fade,
    require_known_rows,
    require_relief,
)
from .ways.bypass import BypassCoverage, Dial, blend, bypassed
from .ways.fade import Fade, FadeCoverage, draw, toward_negative, toward_noise
from .ways.relief import Relief, ReliefCoverage, relieved, relieved_rows
from .ways.targets import find_blocks, find_mid_block, uncompiled
from .ways.way import Coverage, Way

NO_NEGATIVE = (
    "This run has no negative prompt to fade to, since its guidance is off; raise guidance_scale, "
    "or use toward = noise."
)


class Acting:
    """One way in the model calls of one `with`, with the count of what it did.

    turn: text is faded before rows are left out, and what acts in the model comes last.
    """

    turn = 0
    counts: type[Coverage]

    def __init__(self, find_way: Callable[[], Any], clock: Clock) -> None:
        self.find_way, self.clock = find_way, clock
        self.coverage: Any = self.counts(find_way())

    def lams(self, call: DenoiserCall) -> tuple[list[float], tuple[float, ...]]:
        """The place and the strength of each row of a call."""
        progress = self.clock.progress(call.timestep, call.rows)
        return progress, self.find_way().lams(progress)

    def before(self, call: DenoiserCall) -> None:
        """Before a call."""

    def after(self, call: DenoiserCall, out: torch.Tensor) -> torch.Tensor:
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

    def before(self, call: DenoiserCall) -> None:
        """Fade the prompt's rows as far as they want it."""
        way, (progress, lams) = self.find_way(), self.lams(call)
        if not way.schedule.is_off and way.toward == "negative" and NEGATIVE not in call.roles:
            raise ValueError(NO_NEGATIVE)
        self.coverage.record(progress, lams)
        if not any(lams):
            return
        call.put_texts(self._faded(way, call.texts, lams, call.roles))

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

    def before(self, call: DenoiserCall) -> None:
        """Leave the negative prompt's rows out where guidance is none; the rest is done after."""
        progress, lams = self.lams(call)
        roles, coverage, self.acts = call.roles, self.coverage, ()
        each = call.rows // len(roles)
        is_embedded = any(lams) and self._relieve_embedded(call, lams)
        if not is_embedded and any(lams) and NEGATIVE in roles and call.kept is None:
            start = roles.index(NEGATIVE) * each
            self.acts = lams[start : start + each]
        coverage.visit(progress)
        coverage.embedded += is_embedded
        coverage.relieved += any(self.acts)
        coverage.unguided += any(lams) and not self.acts and not is_embedded
        if self.acts and set(self.acts) == {1.0}:
            if may_lose_rows(call.pipe) and not is_read(call.denoiser):
                call.leave_out_negative()
                coverage.saved += each
            else:
                coverage.asked += 1
        coverage.rows += len(call.of_kept(lams))

    def _relieve_embedded(self, call: DenoiserCall, lams: Sequence[float]) -> bool:
        """Another scale in what a distilled model is given for it; False if it is given none."""
        if call["guidance"] is not None and has_own_guidance(call.pipe):
            call["guidance"] = relieved_rows(call["guidance"], lams)
            return True
        given = call["timestep_cond"]
        if given is None:
            return False
        scale = float(call.pipe.guidance_scale)
        scales = torch.tensor([relieved(scale, lam) - 1.0 for lam in lams[: len(given)]])
        made = call.pipe.get_guidance_scale_embedding(scales, embedding_dim=given.shape[-1])
        call["timestep_cond"] = made.to(given.device, given.dtype)
        return True

    def after(self, call: DenoiserCall, out: torch.Tensor) -> torch.Tensor:
        """The negative prompt's rows on their way to the prompt's."""
        if not self.acts:
            return out
        roles = call.roles
        kept = list(range(len(roles))) if call.kept is None else call.kept
        parts = dict(zip(kept, out.chunk(len(kept)), strict=True))
        prompt, negative = parts[roles.index(PROMPT)], parts.get(roles.index(NEGATIVE))
        moved = prompt if negative is None else blend(negative, prompt, _lam(self.acts))
        parts[roles.index(NEGATIVE)] = moved
        call.kept = None  # for another relief: all chunks are there again
        return torch.cat([parts[chunk] for chunk in range(len(roles))])


class ActingBypass(Acting):
    """Stand-ins are in the places of what is bypassed for the length of a call."""

    turn = 2
    coverage: BypassCoverage
    counts = BypassCoverage

    def __init__(self, find_way: Callable[[], Dial], clock: Clock) -> None:
        super().__init__(find_way, clock)
        self.halves = find_way().apply_to != "both"
        if self.halves and clock.find_pipe() is not None:
            require_known_rows(clock.find_pipe())

    def before(self, call: DenoiserCall) -> None:
        """Bypass it as far as its progress says."""
        dial, progress = self.find_way(), self.clock.progress(call.timestep, call.rows)
        is_cond = [is_prompt(role) for role in call.by_row] if self.halves else ()
        made = dial.call(call.of_kept(progress), call.of_kept(is_cond) if is_cond else ())
        reads = made.lam() == 1.0 and any(map(is_read, _parts(call.denoiser, dial)))
        span = call.open.enter_context(
            bypassed(
                call.denoiser,
                made,
                is_read=reads,
                each=_frames(call.denoiser, call.sample),
                device=call.device,
            )
        )
        call.open.callback(lambda: self.coverage.record(made, span=span))


def _parts(denoiser: nn.Module, dial: Dial) -> list[nn.Module]:
    """What of a model a dial bypasses."""
    blocks = find_blocks(denoiser, dial.blocks)
    if blocks is None:
        return [getattr(*find_mid_block(denoiser))]
    return [place.blocks[place.index] for place in blocks.places]


ACTING: dict[type[Way], type[Acting]] = {
    Dial: ActingBypass,
    Relief: ActingRelief,
    Fade: ActingFade,
}
"""How each kind of way acts, by its settings."""


class Calls:
    """The calls of one model, with all that acts in them."""

    def __init__(self, denoiser: nn.Module) -> None:
        self.denoiser = denoiser
        self.acting: list[Acting] = []
        self.call: DenoiserCall | None = None
        self.hooks: list[Any] = []

    def add(self, acting: Acting) -> None:
        """Let one more way act from the next call on."""
        if not self.acting:
            self.hooks = [
                self.denoiser.register_forward_pre_hook(self.enter, with_kwargs=True),
                self.denoiser.register_forward_hook(self.leave, always_call=True),
            ]
        self.acting.append(acting)

    def remove(self, acting: Acting) -> None:
        """Let it act no more; after the last one nothing is left in the model."""
        self._abandon()
        self.acting.remove(acting)
        if not self.acting:
            for hook in self.hooks:
                hook.remove()

    def enter(self, denoiser: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Before a call."""
        self._abandon()  # torch tells no hook of a call that Ctrl-C ended
        found = (acting.clock.find_pipe() for acting in self.acting)
        pipe = next((pipe for pipe in found if pipe is not None), None)
        call = self.call = DenoiserCall(denoiser, pipe, list(args), dict(kwargs))
        for acting in sorted(self.acting, key=lambda one: one.turn):
            acting.before(call)
        return tuple(call.args), call.named

    def leave(self, _denoiser: nn.Module, _args: tuple, output: Any) -> Any:
        """After a call, also one that failed."""
        call = self.call
        if call is None or output is None:
            self._abandon()
            return None
        self.call = None
        call.open.close()
        given = output[0]
        out = given
        for acting in self.acting:
            out = acting.after(call, out)
        if out is given:
            return None
        if isinstance(output, tuple):
            return (out, *output[1:])
        return type(output)(**{**output, next(iter(output)): out})

    def _abandon(self) -> None:
        """Undo what a call that failed has open; nothing is asked of it any more."""
        call, self.call = self.call, None
        if call is not None:
            failure = RuntimeError("the call failed")
            call.open.__exit__(type(failure), failure, None)


def calls_of(denoiser: nn.Module) -> Calls:
    """The calls of a model that ways act in already, or new ones: one for all ways of a model,
    since what one leaves out the others must know of."""
    owners = (getattr(hook, "__self__", None) for hook in denoiser._forward_pre_hooks.values())
    return next((owner for owner in owners if isinstance(owner, Calls)), None) or Calls(denoiser)


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


def _frames(denoiser: Any, sample: Any) -> int:
    """How many rows of the mid-block one row of a video's batch is (its frames in a row); a
    transformer has them among its tokens."""
    if not is_unet(denoiser) or sample.ndim < 5:
        return 1
    by_frame = "SpatioTemporal" in uncompiled(denoiser).__class__.__name__
    return sample.shape[1 if by_frame else 2]
