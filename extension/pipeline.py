"""The ways in SD.Next, which samples with diffusers' pipelines and has no sampler callbacks.

They are opened before each batch and closed after it; after an error or an interrupt the host's
last callback closes them. The host puts other schedulers and pipelines in place while a batch
runs, so those are looked up anew each time.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import Any

from ..detour.diffusers import pipeline_way
from ..detour.ways.bypass import Dial
from ..detour.ways.targets import REFUSAL
from ..detour.ways.way import Way
from . import host
from .host import log
from .settings import KINDS_OF_WAYS, Settings


class PipelineSession:
    """The ways of the batch under way; `close` may be called at any time."""

    def __init__(self, shared: Any) -> None:
        self.shared = shared
        self.opened = ExitStack()
        self.runs: dict[type[Way], list[Any]] = {}
        self.p: Any = None

    def open(self, p: Any, settings: Settings) -> None:
        """Let the ways act in the base model, the refiner or both until `close`."""
        self.close()
        self.p = p
        kinds = {*settings.kinds(is_hires=False), *settings.kinds(is_hires=True)}
        try:
            for kind in (kind for kind in KINDS_OF_WAYS if kind in kinds):
                self._open(kind, p, settings)
        except ValueError as error:  # the host would only print it and go on
            self.close()
            host.tell(p, str(error))

    def _open(self, kind: type[Way], p: Any, settings: Settings) -> None:
        which = settings.refiner if kind is Dial else "both"
        base = ["sd_model"] if which in ("base", "both") else []
        # The refiner is asked for only where the host is about to use it: asking loads it.
        names = base + (["sd_refiner"] if which != "base" and _uses_refiner(p) else [])
        if kind is Dial:  # a refiner may be of another kind
            found = [name for name in names if hasattr(getattr(self.shared, name), "unet")]
            if not found:
                raise ValueError(REFUSAL if names else host.no_such_model(which))
            names = found
        for name in names:
            run = pipeline_way(
                functools.partial(getattr, self.shared, name),
                lambda: settings.way(kind, _is_hires(p)),  # the hires pass is in the same batch
            )
            self.runs.setdefault(kind, []).append(self.opened.enter_context(run))

    def close(self, *_: Any) -> None:
        """Leave the models as they were, and say so if no call could be bypassed."""
        self.opened.close()
        state = getattr(self.shared, "state", None)
        cut_short = any(getattr(state, name, False) for name in ("interrupted", "skipped"))
        for opened in self.runs.values():
            runs = [coverage for coverage in opened if coverage.calls]
            notices = [coverage.missed() for coverage in runs]
            if runs and all(notices) and not cut_short:  # a refiner has but a part of the window
                host.tell(self.p, notices[0])
            for coverage in runs:
                log.info("Detour: %s", coverage.summary())
        self.runs, self.p = {}, None


def _is_hires(p: Any) -> bool:
    """Whether the hires pass is under way. To refine a picture of before, the host does that pass
    alone, with that picture's own `p`, so that it is not marked in this one."""
    again = getattr(p, "state", "") == "reprocess_refine"
    return again or bool(getattr(p, "is_hr_pass", False))


def _uses_refiner(p: Any) -> bool:
    """Whether a generation has a refiner pass."""
    steps, start = getattr(p, "refiner_steps", 0), getattr(p, "refiner_start", 0)
    return bool(getattr(p, "enable_hr", False)) and steps > 0 and 0 < start < 1
