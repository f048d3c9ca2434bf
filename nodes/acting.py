"""How each way acts in a run of the host: in the guider's evaluation, in its conditionings, or in
the model call. `model_host.py` asks all ways of a MODEL in the order of their nodes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from comfy.ldm.modules.attention import SpatialTransformer

from ..detour.ways.bypass import BypassCoverage, Dial, bypassed
from ..detour.ways.targets import find_mid_block, mid_attention_is_read
from ..detour.ways.way import Coverage, Way
from .run import Moment, Run, conditioned

log = logging.getLogger("detour")


@dataclass
class Evaluation:
    """The guider's work for one call by its sampler.

    x: the latent, `[B, ...]`. model_options: the run's, as this evaluation is given them.
    """

    run: Run
    guider: Any
    x: Any
    model_options: dict
    moment: Moment


@dataclass
class Conditionings:
    """Conditionings that are evaluated together; what each one is stands in `run.roles`.

    lists: the host's list of parts for each, or None; a way puts others in their place, and writes
        into none of them.
    """

    run: Run
    model: Any
    lists: list[Any]
    x: Any
    moment: Moment


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
    def require(model: Any) -> None:
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
    def require(model: Any) -> None:
        """A mid-block is needed; one without attention is only warned of."""
        holder, name = find_mid_block(model.get_model_object("diffusion_model"))
        middle = getattr(holder, name)
        if not any(isinstance(module, SpatialTransformer) for module in middle.modules()):
            log.warning(
                "Detour: the mid-block of this %s has no attention; expect little effect.",
                type(model.model).__name__,
            )

    @contextmanager
    def model_call(self, call: ModelCall) -> Iterator[None]:
        """Bypass it as its rows want it."""
        progress = call.moment.progress(self.way.schedule)
        whose = [] if self.way.apply_to == "both" else call.whose[: len(progress)]
        made = self.way.call(progress, whose)
        is_read = mid_attention_is_read(call.options)
        with bypassed(call.base.diffusion_model, made, is_read=is_read, device=call.x.device):
            yield
        self.coverage.record(made, ran=call.was_answered)


ACTING: dict[type[Way], type[Acting]] = {Dial: ActingBypass}
"""How each kind of way acts, by its settings."""
