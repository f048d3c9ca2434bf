"""The bypass in SD.Next, which samples with diffusers' pipelines and has no sampler callbacks.

It is opened before each batch and closed after it; after an error or an interrupt the host's
last callback closes it. The host puts other schedulers and pipelines in place while a batch
runs, so those are looked up anew each time.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ..detour.diffusers import pipeline_bypass
from ..detour.ways.targets import REFUSAL
from . import host
from .host import log
from .settings import Settings


class PipelineSession:
    """The bypass of the batch under way; `close` may be called at any time."""

    def __init__(self, shared: Any) -> None:
        self.shared = shared
        self.opened = ExitStack()
        self.runs: list[Any] = []
        self.p: Any = None

    def open(self, p: Any, settings: Settings) -> None:
        """Bypass the base model, the refiner or both until `close`."""
        self.close()
        self.p = p
        base = ["sd_model"] if settings.refiner in ("base", "both") else []
        # The refiner is asked for only where the host is about to use it: asking loads it.
        refiner = ["sd_refiner"] if settings.refiner != "base" and _uses_refiner(p) else []
        names = [name for name in base + refiner if hasattr(getattr(self.shared, name), "unet")]
        if not names:
            host.tell(p, REFUSAL if base or refiner else host.no_such_model(settings.refiner))
        try:
            for name in names:
                self.runs.append(self.opened.enter_context(self._bypass(name, p, settings)))
        except ValueError as error:  # the host would only print it and go on
            self.close()
            host.tell(p, str(error))

    def _bypass(self, name: str, p: Any, settings: Settings) -> Any:
        return pipeline_bypass(
            lambda: getattr(self.shared, name),
            lambda: settings.dial(_is_hires(p)),  # the hires pass is in the same batch
        )

    def close(self, *_: Any) -> None:
        """Leave the models as they were, and say so if no call could be bypassed."""
        self.opened.close()
        state = getattr(self.shared, "state", None)
        cut_short = any(getattr(state, name, False) for name in ("interrupted", "skipped"))
        runs = [coverage for coverage in self.runs if coverage.calls]
        notices = [coverage.missed() for coverage in runs]
        if runs and all(notices) and not cut_short:  # a refiner has but a part of the window
            host.tell(self.p, notices[0])
        for coverage in runs:
            log.info("Detour: %s", coverage.summary())
        self.runs, self.p = [], None


def _is_hires(p: Any) -> bool:
    """Whether the hires pass is under way. To refine a picture of before, the host does that pass
    alone, with that picture's own `p`, so that it is not marked in this one."""
    again = getattr(p, "state", "") == "reprocess_refine"
    return again or bool(getattr(p, "is_hr_pass", False))


def _uses_refiner(p: Any) -> bool:
    """Whether a generation has a refiner pass."""
    steps, start = getattr(p, "refiner_steps", 0), getattr(p, "refiner_start", 0)
    return bool(getattr(p, "enable_hr", False)) and steps > 0 and 0 < start < 1
