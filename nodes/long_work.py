"""Long searches in ComfyUI: its progress bar moves, its cancel button works."""

from __future__ import annotations

from collections.abc import Callable

import comfy.model_management as management
from comfy.utils import ProgressBar

STEPS = 1000
"""Into how many steps the bar is divided; a search reports its share as a number."""


def show_progress() -> Callable[[float], None]:
    """A function to call with the finished share (0..1) of one long piece of work.

    It raises the host's own exception when the user has cancelled the run.
    """
    bar = ProgressBar(STEPS)

    def progress(share: float) -> None:
        management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(share * STEPS), STEPS)

    return progress
