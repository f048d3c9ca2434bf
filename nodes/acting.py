"""How each way acts in a run of the host: in the guider's evaluation, in its conditionings, or in
the model call. `model_host.py` asks all ways of a MODEL in the order of their nodes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.samplers import CFGGuider

from ..detour.ways.bypass import BypassCoverage, Dial, bypassed
from ..detour.ways.fade import Fade, FadeCoverage, draw
from ..detour.ways.relief import Relief, ReliefCoverage, is_unguided, relieved, relieved_rows
from ..detour.ways.targets import (
    BlockRange,
    find_blocks,
    find_mid_block,
    has_embedded_guidance,
    mid_attention_is_read,
    uncompiled,
)
from ..detour.ways.way import Coverage, Way
from .prompt import faded_to, faded_to_noise, is_there, negative_of, require_known
from .run import Moment, Run, conditioned

log = logging.getLogger("detour")


@dataclass
class Evaluation:
    """The guider's work for one call by its sampler.

    x: the latent, `[B, ...]`. model_options: the run's; a way may put others in their place for
        this evaluation, and writes into none of them. scale: of guidance, before any of our ways.
    """

    run: Run
    guider: Any
    x: Any
    model_options: dict
    moment: Moment
    scale: float | None = None


@dataclass
class Conditionings:
    """Conditionings that are evaluated together; what each one is stands in `run.roles`.

    lists: the host's list of parts for each, or None; a way puts others in their place, and writes
        into none of them. options: the evaluation's transformer options.
    """

    run: Run
    model: Any
    lists: list[Any]
    x: Any
    options: dict
    moment: Moment

    @property
    def are_frames(self) -> bool:
        """Whether the rows are frames of one video: the host's window lies over the batch."""
        return getattr(self.options.get("context_window"), "dim", None) == 0


@dataclass
class ModelCall:
    """One model call.

    base: the host's model. x: `[rows, ...]`. named: its arguments by keyword, which a way may
    change. ran: has an entry, once the model ran; None where it surely runs.
    """

    run: Run
    base: Any
    x: Any
    options: dict
    named: dict[str, Any]
    moment: Moment
    ran: list[bool] | None = field(default_factory=list)

    @property
    def was_answered(self) -> bool:
        """False if a cache answered it and the model did not run."""
        return self.ran is None or bool(self.ran)

    @cached_property
    def whose(self) -> list[bool | None]:
        """See `conditioned`."""
        rows = self.moment.sigmas.numel()
        return conditioned(self.options, self.run.roles, rows, self.run.in_tiles)


class Acting:
    """One way in one run, with the count of what it did. Each kind overrides what it needs."""

    counts: type[Coverage]

    def __init__(self, way: Any) -> None:
        self.way: Any = way
        self.coverage: Any = self.counts(way)

    @staticmethod
    def require(model: Any, way: Any) -> None:
        """Look at a MODEL when a node patches it; ValueError if the way cannot act there."""

    def begin(self, guider: Any) -> None:
        """Look at the guider of a run; ValueError if the way cannot act there."""

    def evaluation(self, evaluation: Evaluation) -> AbstractContextManager[None]:
        """Around the guider's evaluation."""
        return nullcontext()

    def conditionings(self, conds: Conditionings) -> None:
        """Before conditionings are evaluated."""

    def model_call(self, call: ModelCall) -> AbstractContextManager[None]:
        """Around a model call."""
        return nullcontext()


class ActingBypass(Acting):
    """The stand-in is in the mid-block's place for the length of a model call."""

    way: Dial
    coverage: BypassCoverage
    counts = BypassCoverage

    @staticmethod
    def require(model: Any, way: Dial) -> None:
        """A mid-block is needed, or a transformer with those blocks; one without attention, and
        blocks at an end of the model, are only warned of."""
        denoiser = model.get_model_object("diffusion_model")
        blocks = find_blocks(denoiser, way.blocks)
        if blocks is not None:
            _tell(blocks, type(uncompiled(denoiser)).__name__, is_guess=way.blocks is None)
            return
        holder, name = find_mid_block(denoiser)
        middle = getattr(holder, name)
        if not any(isinstance(module, SpatialTransformer) for module in middle.modules()):
            log.warning(
                "Detour: the mid-block of this %s has no attention; expect little effect.",
                type(model.model).__name__,
            )

    def conditionings(self, conds: Conditionings) -> None:
        """Count them, to see whether the model's calls come by."""
        self.coverage.evaluations += 1

    @contextmanager
    def model_call(self, call: ModelCall) -> Iterator[None]:
        """Bypass it as its rows want it."""
        progress = call.moment.progress(self.way.schedule)
        whose = [] if self.way.apply_to == "both" else call.whose[: len(progress)]
        made = self.way.call(progress, whose)
        is_read = mid_attention_is_read(call.options)
        model, device = call.base.diffusion_model, call.x.device
        with bypassed(model, made, is_read=is_read, device=device) as span:
            yield
        self.coverage.record(made, ran=call.was_answered, span=span)


def _tell(blocks: BlockRange, kind: str, is_guess: bool) -> None:
    """What the log has to say of a choice of blocks."""
    if is_guess:
        log.info(
            "Detour: blocks = auto takes %s of this %s, the middle third of its depth; that is a "
            "guess: in tiny models no range was shown to bring variety.",
            blocks,
            kind,
        )
    elif warning := blocks.warning(kind):
        log.warning("Detour: %s", warning)


MIXING = ("sampler_cfg_function", "sampler_pre_cfg_function")
"""Where patches (APG, VideoLinearCFGGuidance) say how prompt and negative prompt are mixed. At a
scale of 1 they may still mix: without the negative prompt the host would give them zeros for it."""


class ActingRelief(Acting):
    """The guider has another scale for the length of an evaluation, and the model is given another
    embedded guidance."""

    way: Relief
    coverage: ReliefCoverage
    counts = ReliefCoverage

    def __init__(self, way: Relief) -> None:
        super().__init__(way)
        self.came: dict[Any, float] = {}
        self.is_overruled = False

    def begin(self, guider: Any) -> None:
        """The guider has to mix two conditionings as the host does, by the scale that it keeps."""
        kind = type(guider)
        if getattr(kind, "predict_noise", None) is not CFGGuider.predict_noise:
            raise ValueError(
                f"Guidance Relief cannot be used with {kind.__name__}, which mixes its "
                "conditionings by a rule of its own; use KSampler or CFGGuider."
            )

    @contextmanager
    def evaluation(self, evaluation: Evaluation) -> Iterator[None]:
        """Another scale; at 1 the host leaves the negative prompt out, unless a patch or a sampler
        asked for it, or mixes by a rule of its own."""
        guider, moment, coverage = evaluation.guider, evaluation.moment, self.coverage
        progress = moment.progress(self.way.schedule)
        lams, given = self.way.lams(progress), guider.cfg
        acts = any(lams) and not is_unguided(given)
        if acts and len(set(lams)) > 1:
            raise ValueError(
                "The rows of this batch are at different sigmas, and guidance has one scale for "
                "all of them; sample them apart, or without Guidance Relief."
            )
        scale = relieved(given, lams[0]) if acts else given
        if acts and is_unguided(scale) and any(map(evaluation.model_options.get, MIXING)):
            evaluation.model_options = {
                **evaluation.model_options,
                "disable_cfg1_optimization": True,
            }
        self.came, self.is_overruled = dict.fromkeys((True, False), 0.0), False
        guider.cfg = scale
        try:
            yield
        finally:
            guider.cfg = given
        coverage.visit(progress)
        if acts and self.is_overruled:
            coverage.overruled += 1
            return
        coverage.relieved += acts
        coverage.unguided += any(lams) and is_unguided(evaluation.scale)
        coverage.relieved_before += any(lams) and not acts and not is_unguided(evaluation.scale)
        if acts and is_unguided(scale):
            coverage.asked += bool(self.came[False])
            coverage.saved += self._saved(guider.conds, moment.timestep)

    def conditionings(self, conds: Conditionings) -> None:
        """Note where a node between this one and the sampler has put a scale of its own."""
        self.is_overruled = conds.run.guider.cfg != conds.run.scale

    def _saved(self, conds: dict[str, Any], timestep: Any) -> int:
        """The rows that the negative prompt would have had in an evaluation, by those that the
        prompt had, less those that it had all the same."""
        parts = {
            half: sum(is_there(part, timestep) for part in conds.get(name) or ())
            for name, half in HALVES
        }
        expected = self.came[True] * parts[False] / max(parts[True], 1)
        return max(round(expected - self.came[False]), 0)

    @contextmanager
    def model_call(self, call: ModelCall) -> Iterator[None]:
        """Another embedded guidance, where the model reads one; and count the rows."""
        is_relieved, guidance = False, call.named.get("guidance")
        if guidance is not None and has_embedded_guidance(call.base.diffusion_model):
            lams = self.way.lams(call.moment.progress(self.way.schedule))
            is_relieved = any(lams)
            if is_relieved:
                call.named["guidance"] = relieved_rows(guidance, lams)
        yield
        if call.was_answered:
            self.coverage.embedded += is_relieved
            self._count(call)

    def _count(self, call: ModelCall) -> None:
        rows, roles = call.moment.sigmas.numel(), call.run.roles
        self.coverage.rows += rows
        chunks = call.options.get("cond_or_uncond", ())
        for chunk in chunks:
            role = roles[chunk] if chunk < len(roles) else None
            if isinstance(role, bool):
                self.came[role] = self.came.get(role, 0.0) + rows / len(chunks)


MISSING = {
    "positive": (
        "The guider of this run has no conditioning that is called positive, so that Prompt Fade "
        "cannot tell which one is the prompt; use a guider of the host."
    ),
    "negative": (
        "This run has no negative prompt to fade to: use a guider that has one (CFGGuider, also at "
        "CFG 1), or toward = noise."
    ),
}


class ActingFade(Acting):
    """The prompt's parts are given with another text for the length of one evaluation."""

    way: Fade
    coverage: FadeCoverage
    counts = FadeCoverage

    def __init__(self, way: Fade) -> None:
        super().__init__(way)
        self.drawn: dict[Any, list[Any]] = {}

    def begin(self, guider: Any) -> None:
        """A prompt is needed and, to fade to it, a negative prompt; both of a known form."""
        conds, model = getattr(guider, "conds", {}), type(guider.inner_model).__name__
        needed = ("positive", "negative") if self.way.toward == "negative" else ("positive",)
        for name in needed:
            if not conds.get(name):
                raise ValueError(MISSING[name])
            for part in conds[name]:
                require_known(part, model)

    def conditionings(self, conds: Conditionings) -> None:
        """Fade the prompt's as far as its rows want it."""
        if True not in conds.run.roles:
            return
        progress = conds.moment.progress(self.way.schedule)
        lams = self.way.lams(progress)
        self.coverage.record(progress, lams)
        if any(lams):
            pairs = zip(conds.lists, conds.run.roles, strict=True)
            conds.lists = [
                self._faded(parts, lams, conds) if role is True else parts for parts, role in pairs
            ]

    def _faded(self, parts: list[Any], lams: Sequence[float], conds: Conditionings) -> list[Any]:
        lam = lams[0] if len(set(lams)) == 1 else torch.tensor(lams)
        batch = len(conds.x)
        faded = []
        for part in parts:
            if not is_there(part, conds.moment.timestep):
                faded.append(part)
            elif self.way.toward == "negative":
                negative = negative_of(
                    part, conds.run.guider.conds["negative"], conds.moment.timestep
                )
                faded.append(faded_to(part, negative, lam, batch))
            else:
                rows = (0,) if conds.are_frames else range(batch)
                faded.append(faded_to_noise(part, lam, batch, partial(self._draw, rows)))
        return faded

    def _draw(self, rows: Sequence[int], shapes: Sequence[tuple]) -> list[Any]:
        """See `draw`; once for all steps."""
        place = (*rows, *shapes)
        if place not in self.drawn:
            self.drawn[place] = draw(self.way.seed, rows, *shapes)
        return self.drawn[place]


HALVES = (("positive", True), ("negative", False))
ACTING: dict[type[Way], type[Acting]] = {
    Dial: ActingBypass,
    Relief: ActingRelief,
    Fade: ActingFade,
}
"""How each kind of way acts, by its settings."""
