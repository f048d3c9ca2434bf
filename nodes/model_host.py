"""How the bypass gets into a MODEL of ComfyUI: wrappers on a clone of its patcher, under one
constant key, and one object for all the dials of a MODEL.

Nothing of the model is kept between calls, so nothing can be left behind. torch.compile makes a
new graph for whatever is new in a call's transformer options, so that the U-Net is given those
that it would have without Detour.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.patcher_extension import CallbacksMP, WrappersMP

from ..detour.schedule import Call, Coverage, Dial
from ..detour.ways.bypass import bypassed
from ..detour.ways.targets import find_mid_block, mid_attention_is_read
from .run import Run, SamplerSteps, conditioned, is_second_models, keeps_rule, roles_of

log = logging.getLogger("detour")
KEY = "detour"
"""Of our wrappers, and of what we keep in a run's transformer options."""
NOTICE_EVENT = "detour.notice"
"""Websocket message with the fields node, text and missed."""
ACTED = "_detour_acted"
"""Set on a model patcher whose wrappers were called in the run under way."""
LEFT_OUT = (
    "This model is the second one of a guider for two models, which leaves out what is patched "
    "into it: nothing was bypassed. Connect the dial to the guider's first model."
)


def options_of(args: tuple, kwargs: dict) -> dict:
    """The call's options: the sixth positional argument, or a keyword if a wrapper made it one."""
    if "transformer_options" in kwargs:
        return kwargs["transformer_options"]
    return args[3] if len(args) > 3 else {}


def with_options(options: dict, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The arguments with other options in the same place."""
    if "transformer_options" in kwargs:
        return args, {**kwargs, "transformer_options": options}
    return ((*args[:3], options, *args[4:]) if len(args) > 3 else args), kwargs


def is_first(options: dict) -> bool:
    """Whether no wrapper of the call comes before ours, which could have changed its sigmas."""
    return next(iter(options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {})), KEY) == KEY


def handed_on(options: dict, ran: list[bool]) -> tuple[dict, bool]:
    """The options without ours, and whether `ran` will get an entry if the U-Net runs.

    It surely runs where nothing else hangs around it. Else (EasyCache answers some calls by
    itself) the innermost wrapper there notes it.
    """
    if len(options.get(KEY, ())) > 1:  # others of us come later in the call (a hook's)
        return options, False
    plain = {name: value for name, value in options.items() if name != KEY}
    for kind in ("wrappers", "callbacks"):
        if kind in plain:
            plain[kind] = _without_ours(plain[kind])
    around = plain.get("wrappers", {}).get(WrappersMP.DIFFUSION_MODEL)
    if around:
        around[KEY] = [_note_that_it_runs]
        plain[KEY] = ran
    return plain, bool(around)


def _without_ours(by_kind: dict[str, dict]) -> dict[str, dict]:
    kept = {
        kind: {key: functions for key, functions in by_key.items() if key != KEY}
        for kind, by_key in by_kind.items()
    }
    return {kind: by_key for kind, by_key in kept.items() if by_key}


@torch.compiler.disable(recursive=False)
def _note_that_it_runs(executor: Any, *args: Any, **kwargs: Any) -> Any:
    for given in (*args, *kwargs.values()):
        if isinstance(given, dict) and KEY in given:
            given[KEY].append(True)
    return executor(*args, **kwargs)


def show_on_node(node_id: str | None, text: str, missed: bool) -> None:
    """Tell the browser that asked for a run what it did. Without a browser the log has it."""
    prompt_server = getattr(sys.modules.get("server"), "PromptServer", None)
    server = getattr(prompt_server, "instance", None)
    if node_id is not None and server is not None:
        told = {"node": node_id, "text": text, "missed": missed}
        server.send_sync(NOTICE_EVENT, told, server.client_id)


@dataclass(frozen=True, eq=False)
class Dials:
    """The bypasses of the nodes of a MODEL, the first one nearest to the mid-block. Immutable and
    shared by all clones of it.

    node_ids: for each dial the node that shows what a run did.
    """

    dials: tuple[Dial, ...] = ()
    node_ids: tuple[str | None, ...] = ()

    def and_then(self, dial: Dial, node_id: str | None) -> Dials:
        """These, and one more behind them."""
        return Dials((*self.dials, dial), (*self.node_ids, node_id))

    def wrappers(self) -> dict[str, Callable]:
        """What to register with the model patcher, by kind of wrapper."""
        return {
            WrappersMP.SAMPLER_SAMPLE: self.watch_run,
            WrappersMP.PREDICT_NOISE: self.watch_evaluation,
            WrappersMP.CALC_COND_BATCH: self.watch_conds,
            WrappersMP.APPLY_MODEL: self.apply,
        }

    # --- what is going on --------------------------------------------------------------------

    def watch_run(
        self,
        executor: Any,
        guider: Any,
        sigmas: Any,
        extra_args: Any,
        callback: Any,
        *rest,
        **named,
    ) -> Any:
        """Around one sampling run: follow its steps, count its calls, and say what was done."""
        steps = SamplerSteps(
            tuple(sigmas.flatten().tolist()),
            keeps_rule=keeps_rule(executor.class_obj)
            # Such a function may call the model at other sigmas than it was told.
            and "model_function_wrapper" not in guider.model_options,
        )
        in_tiles = bool(guider.model_options.get("tiled_diffusion"))
        run = Run(self._coverages(), guider, steps, in_tiles)
        for dial in self.dials:  # read what is on the device before the run, not in it
            if dial.schedule.schedule_by == "sigma":
                run.clock(dial.schedule, guider.inner_model.model_sampling, None)
        options = extra_args["model_options"].setdefault("transformer_options", {})
        options[KEY] = {**options.get(KEY, {}), self: run}
        setattr(guider.model_patcher, ACTED, True)
        result = executor(guider, sigmas, extra_args, steps.listening(callback), *rest, **named)
        for node_id, coverage in zip(self.node_ids, run.coverages, strict=True):
            summary, missed = coverage.summary(), coverage.missed() is not None
            log.log(logging.WARNING if missed else logging.INFO, "Detour: %s", summary)
            show_on_node(node_id, summary, missed)
        return result

    def watch_evaluation(
        self, executor: Any, x: Any, timestep: Any, model_options: Any, *rest: Any, **named: Any
    ) -> Any:
        """Around the guider's work for one call by its sampler."""
        run = self._run(model_options.get("transformer_options", {}))
        if run is not None and run.steps is not None:
            run.steps.evaluated(timestep)
        return executor(x, timestep, model_options, *rest, **named)

    def watch_conds(
        self, executor: Any, model: Any, conds: Any, x: Any, timestep: Any, model_options: Any
    ) -> Any:
        """Around the evaluation of some conditionings: note what they are."""
        run = self._run(model_options.get("transformer_options", {}))
        if run is None:
            return executor(model, conds, x, timestep, model_options)
        before = run.roles, run.is_seconds
        run.roles = roles_of(run.guider, conds)
        run.is_seconds = is_second_models(run.guider, model, conds)
        try:
            return executor(model, conds, x, timestep, model_options)
        finally:
            run.roles, run.is_seconds = before

    def _run(self, options: dict) -> Run | None:
        return options.get(KEY, {}).get(self)

    def _coverages(self) -> tuple[Coverage, ...]:
        return tuple(Coverage(dial) for dial in self.dials)

    # --- one model call ----------------------------------------------------------------------

    def apply(self, executor: Any, x: Any, t: Any, *args: Any, **kwargs: Any) -> Any:
        """Around one model call: `x [B, ...]`, `t` its sigma for each row of the batch."""
        options = options_of(args, kwargs)
        run = self._run(options) or Run(self._coverages())
        if run.is_seconds and not self._is_on_second(run.guider):
            return executor(x, t, *args, **kwargs)
        base = executor.class_obj
        calls = self._calls(run, base.model_sampling, t, options)
        ran: list[bool] = []
        plain, is_counted = handed_on(options, ran)
        args, kwargs = with_options(plain, args, kwargs)
        is_read = mid_attention_is_read(options)
        with ExitStack() as opened:
            for call in calls:
                opened.enter_context(
                    bypassed(base.diffusion_model, call, is_read=is_read, device=x.device)
                )
            result = executor(x, t, *args, **kwargs)
        for call, coverage in zip(calls, run.coverages, strict=True):
            coverage.record(call, ran=bool(ran) or not is_counted)
        return result

    def _is_on_second(self, guider: Any) -> bool:
        """Whether the guider's second model has these very dials: the same MODEL twice."""
        second = getattr(guider, "uncond_model_patcher", None)
        return second is not None and dials_of(second) is self

    def _calls(self, run: Run, model_sampling: Any, t: Any, options: dict) -> list[Call]:
        """What each dial does in a call. Far from all windows one row stands for all of them."""
        of_run = options.get("sample_sigmas")
        clocks = [run.clock(dial.schedule, model_sampling, of_run) for dial in self.dials]
        whose: list[bool | None] = []
        if any(dial.apply_to != "both" for dial in self.dials):
            whose = conditioned(options, run.roles, t.numel(), run.in_tiles)
        span = run.span(options.get("sigmas")) if is_first(options) else None
        if run.steps is not None and span is not None and not self._near(clocks, span):
            sigmas, whose = [run.steps.next], whose[:1]
        else:
            sigmas = t.flatten().tolist()  # the one wait for the device
        return [
            dial.call([clock.progress(sigma) for sigma in sigmas], whose)
            for dial, clock in zip(self.dials, clocks, strict=True)
        ]

    def _near(self, clocks: list, span: tuple[float, float]) -> bool:
        low, high = span
        return any(
            dial.schedule.reaches(*sorted((clock.progress(high), clock.progress(low))))
            for dial, clock in zip(self.dials, clocks, strict=True)
        )

    # --- a model that the run leaves out -----------------------------------------------------

    def before_run(self, patcher: Any) -> None:
        """The host's callback before a run with this model."""
        if hasattr(patcher, ACTED):
            delattr(patcher, ACTED)

    def after_run(self, patcher: Any) -> None:
        """The host's callback after one, good or not: say so if the run never called us."""
        failed = sys.exc_info()[0] is not None
        if failed or hasattr(patcher, ACTED) or getattr(patcher, "is_multigpu_base_clone", False):
            return
        log.warning("Detour: %s", LEFT_OUT)
        for node_id in self.node_ids:
            show_on_node(node_id, LEFT_OUT, missed=True)


def dials_of(model: Any) -> Dials | None:
    """The dials of a MODEL."""
    wrappers = model.get_wrappers(WrappersMP.APPLY_MODEL, KEY)
    return wrappers[-1].__self__ if wrappers else None


def patch_model(model: Any, dial: Dial, node_id: str | None) -> Any:
    """A clone of a MODEL with the bypass; the given one is not touched.

    node_id: the node that shows the notice of a run which never reached the window.
    Raises ValueError if the model has no mid-block.
    """
    holder, name = find_mid_block(model.get_model_object("diffusion_model"))
    middle = getattr(holder, name)
    patched = model.clone()
    if dial.schedule.is_off:
        return patched
    if not any(isinstance(module, SpatialTransformer) for module in middle.modules()):
        log.warning(
            "Detour: the mid-block of this %s has no attention; expect little effect.",
            type(model.model).__name__,
        )
    _register(patched, (dials_of(model) or Dials()).and_then(dial, node_id))
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
