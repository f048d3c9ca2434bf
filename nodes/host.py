"""How the bypass gets into a MODEL of ComfyUI: wrappers on a clone of its patcher.

Nothing of the model is kept between calls, so nothing can be left behind.
"""

from __future__ import annotations

import logging
from typing import Any

from comfy.ldm.modules.attention import SpatialTransformer
from comfy.patcher_extension import CallbacksMP

from ..detour.midblock import find_mid_block
from ..detour.schedule import APPLY_TO, Schedule, require_choice
from .call_options import KEY
from .dials import Dial, Dials, dials_of, uncompiled

log = logging.getLogger("detour")


def patch_model(
    model: Any, schedule: Schedule, apply_to: str, skip_compute: bool, node_id: str | None
) -> Any:
    """A clone of a MODEL with the bypass; the given one is not touched.

    node_id: the node that shows the notice of a run which never reached the window.
    Raises ValueError if the model has no mid-block.
    """
    require_choice("apply_to", apply_to, APPLY_TO)
    unet = uncompiled(model.get_model_object("diffusion_model"))
    middle = getattr(unet, find_mid_block(unet))
    patched = model.clone()
    if schedule.is_off:
        return patched
    if not any(isinstance(module, SpatialTransformer) for module in middle.modules()):
        log.warning(
            "Detour: the mid-block of this %s has no attention; expect little effect.",
            type(model.model).__name__,
        )
    before = dials_of(model)
    own = Dial(schedule, apply_to, skip_compute, node_id)
    _register(patched, Dials((*(before.dials if before else ()), own)))
    return patched


def _register(patched: Any, dials: Dials) -> None:
    """Put the wrappers of all dials in, in the place of those that were there: one set of them,
    under one key, however many dials a MODEL goes through."""
    for kind, wrapper in dials.wrappers().items():
        # Not by the patcher's own ways to remove: the place among other packs' wrappers stays.
        patched.wrappers.setdefault(kind, {})[KEY] = [wrapper]
    for kind, callback in (
        (CallbacksMP.ON_PRE_RUN, dials.before_run),
        (CallbacksMP.ON_CLEANUP, dials.after_run),
    ):
        patched.callbacks.setdefault(kind, {})[KEY] = [callback]
