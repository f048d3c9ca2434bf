"""How the bypass gets into ComfyUI's own U-Net: the only file that knows its model patcher.

An APPLY_MODEL wrapper opens the stand-in around each model call and an OUTER_SAMPLE wrapper
looks after one run. Nothing of the model is kept between calls, so nothing can be left behind.
"""

from __future__ import annotations

import logging
import sys
import uuid
from dataclasses import dataclass, field
from typing import Any

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.patcher_extension import WrappersMP
from torch import nn

from ..detour.coverage import Coverage
from ..detour.midblock import bypassed, find_mid_block, rows_for, uniform
from ..detour.progress import SigmaTable, StepTable
from ..detour.schedule import APPLY_TO, Schedule, require_choice

log = logging.getLogger("detour")

NOTICE_EVENT = "detour.notice"
"""Websocket message with the fields node, text and missed."""


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
    bypass = Bypass(f"detour-{uuid.uuid4()}", schedule, apply_to, skip_compute, node_id)
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, bypass.key, bypass.watch_run)
    patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, bypass.key, bypass.apply)
    return patched


def uncompiled(module: Any) -> Any:
    """The module itself where torch.compile has wrapped it."""
    return getattr(module, "_orig_mod", module)


def model_table(model_sampling: Any) -> SigmaTable:
    """The sigma table of a model's `model_sampling`."""
    return SigmaTable(tuple(model_sampling.sigmas.flatten().tolist()))


@dataclass
class Run:
    """What is known of the sampling run under way; lives in the run's transformer options."""

    coverage: Coverage
    tables: dict[str, tuple[object, Any]] = field(default_factory=dict)

    def table(self, name: str, source: object, make: Any) -> Any:
        """`make()`, kept for as long as `source` is the same object as at the last call."""
        kept = self.tables.get(name)
        if kept is None or kept[0] is not source:
            kept = self.tables[name] = (source, make())
        return kept[1]


@dataclass(frozen=True)
class Bypass:
    """The bypass of one node. Immutable and shared by all clones of its MODEL."""

    key: str
    schedule: Schedule
    apply_to: str
    skip_compute: bool
    node_id: str | None

    def watch_run(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Around one sampling run: count its calls, and say so if none fell into the window."""
        run = Run(Coverage(self.schedule))
        guider = executor.class_obj
        guider.model_options.setdefault("transformer_options", {})[self.key] = run
        result = executor(*args, **kwargs)
        summary = run.coverage.summary()
        missed = run.coverage.missed_window() is not None
        log.log(logging.WARNING if missed else logging.INFO, "Detour: %s", summary)
        show_on_node(self.node_id, summary, missed)
        return result

    def apply(self, executor: Any, x: Any, t: Any, *args: Any, **kwargs: Any) -> Any:
        """Around one model call: `x [B, ...]`, `t` its sigma for each row of the batch."""
        options = _transformer_options(args, kwargs)
        run = options.get(self.key) or Run(Coverage(self.schedule))
        base = executor.class_obj
        progress = self._progress(run, base.model_sampling, t, options)
        lams = [self.schedule.lam(place) for place in progress]
        if self.apply_to != "both":
            lams = rows_for(lams, _conditioned(options, len(lams)), self.apply_to)
        run.coverage.record(progress, lams)
        skip = self.skip_compute and not _mid_attention_is_read(options)
        unet = uncompiled(base.diffusion_model)
        with bypassed(unet, uniform(lams), skip_compute=skip, placeholder=keeps_index):
            return executor(x, t, *args, **kwargs)

    def _progress(self, run: Run, model_sampling: Any, t: Any, options: dict) -> list[float]:
        sigmas = t.flatten().tolist()  # the one wait for the device
        if self.schedule.schedule_by == "sigma":
            table = run.table("sigma", model_sampling, lambda: model_table(model_sampling))
        else:
            of_run = options.get("sample_sigmas")
            if of_run is None:
                raise ValueError(
                    "schedule_by = step needs the sampler's list of sigmas, and this sampler "
                    "does not give it; use schedule_by = sigma."
                )
            table = run.table("step", of_run, lambda: StepTable(tuple(of_run.tolist())))
        return [table.progress(sigma) for sigma in sigmas]


def _transformer_options(args: tuple, kwargs: dict) -> dict:
    """The call's options: the sixth positional argument, or a keyword if a wrapper made it one."""
    if "transformer_options" in kwargs:
        return kwargs["transformer_options"]
    return args[3] if len(args) > 3 else {}


def _conditioned(options: dict, rows: int) -> list[bool]:
    """For each row whether it belongs to the prompt (ComfyUI's 0) or the negative prompt."""
    chunks = options.get("cond_or_uncond")
    if not chunks or rows % len(chunks):
        raise ValueError(
            "This sampler does not tell which rows belong to the prompt and which to the "
            "negative prompt; use apply_to = both."
        )
    return [chunk == 0 for chunk in chunks for _ in range(rows // len(chunks))]


def _mid_attention_is_read(options: dict) -> bool:
    """True if a patch such as SAG replaces attention in the mid-block: then it has to run."""
    replaced = options.get("patches_replace", {}).get("attn1", {})
    return any(place[0] == "middle" for place in replaced)


class _KeepsIndex(SpatialTransformer):
    """Stands for a skipped transformer, for which the host counts on its transformer index
    (GLIGEN reads it)."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, x: torch.Tensor, *_args: Any, **_kwargs: Any) -> torch.Tensor:
        return x


def keeps_index(layer: nn.Module) -> nn.Module | None:
    """The placeholder that the engine asks for when it skips a layer."""
    return _KeepsIndex() if isinstance(layer, SpatialTransformer) else None


def show_on_node(node_id: str | None, text: str, missed: bool) -> None:
    """Tell the browser that asked for a run what it did; `js/notice.js` shows it on the node.
    Without a browser the log has it."""
    prompt_server = getattr(sys.modules.get("server"), "PromptServer", None)
    server = getattr(prompt_server, "instance", None)
    if node_id is not None and server is not None:
        told = {"node": node_id, "text": text, "missed": missed}
        server.send_sync(NOTICE_EVENT, told, server.client_id)
